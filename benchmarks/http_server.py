"""The reference that everybody knows: a fresh ``python -m http.server``, started and called."""

from __future__ import annotations

import http.client
import subprocess
import sys
import time

from benchmarks.servers import free_port

__all__ = ["answered_after"]


def answered_after() -> float:
    """Seconds from starting the process to its first whole answer."""
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
