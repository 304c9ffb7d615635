"""A well-known reference: starting ``python -m http.server`` and sending it a request."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time

from benchmarks.servers import free_port

__all__ = ["time_to_first_response"]


def time_to_first_response() -> float:
    """Return the seconds from starting the process to its first complete response."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("HEAD", "/")
                connection.getresponse().read()
            except ConnectionRefusedError:
                time.sleep(0.001)
            else:
                return time.perf_counter() - started
            finally:
                connection.close()
    finally:
        process.kill()
        process.wait()
