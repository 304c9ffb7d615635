"""The process of the platform's NATS broker. It reads ``ProcessSettings`` as JSON from standard input.

On Linux it executes nats-server in its place: the pid stays the same, and so does the parent-death signal, which
survives execve(2). Elsewhere it runs nats-server as a child and forwards SIGTERM.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import msgspec

from fnkit.platform.layout import DataLayout, ProcessSettings
from fnkit.platform.server.nats_server import nats_configuration, find_nats_server
from fnkit.platform.store.private_file import write_private_file

__all__ = ["main"]


def main() -> int:
    """Run nats-server. Returns only if it cannot be executed in place of this process."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
    program = find_nats_server()
    if program is None:
        print("nats: nats-server is not installed", file=sys.stderr)  # noqa: T201  collected by the supervisor
        return 1
    folder = DataLayout(Path(settings.data_dir)).nats_dir
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "nats-server.conf"
    write_private_file(file, nats_configuration(settings.queues.nats_url, folder).encode())
    arguments = [str(program), "--config", str(file)]
    if Path("/proc/self").exists():  # Linux
        os.execv(program, arguments)  # noqa: S606  no shell is wanted
    return _run_as_child(arguments)


def _run_as_child(arguments: list[str]) -> int:
    broker = subprocess.Popen(arguments)

    def forward(number: int, _frame: FrameType | None) -> None:
        broker.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    return broker.wait()


if __name__ == "__main__":
    sys.exit(main())
