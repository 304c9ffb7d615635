"""The broker process: ``python -m fnkit.platform.server.broker``, its settings as JSON on standard input.

It becomes nats-server, so its pid is the broker's, and what ties it to the supervisor (``attached``) holds on.
Where the kernel has no such tie, it stays and ends the broker with itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import msgspec

from fnkit.platform.layout import Layout, ProcessSettings
from fnkit.platform.server.nats_server import configuration, nats_server
from fnkit.platform.store.private_file import write_private

__all__ = ["main"]


def main() -> int:
    """Become the broker; returns an exit code where that fails."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
    program = nats_server()
    if program is None:
        print("nats: nats-server is not installed", file=sys.stderr)  # noqa: T201  a process's last word
        return 1
    folder = Layout(Path(settings.home)).nats
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "nats-server.conf"
    write_private(file, configuration(settings.queues.nats_url, folder).encode())
    arguments = [str(program), "--config", str(file)]
    if Path("/proc/self").exists():  # where the tie is the kernel's, and outlives what we become
        os.execv(program, arguments)  # noqa: S606  no shell is wanted
    return _accompany(arguments)


def _accompany(arguments: list[str]) -> int:
    broker = subprocess.Popen(arguments)

    def end(number: int, _frame: FrameType | None) -> None:
        broker.send_signal(number)

    signal.signal(signal.SIGTERM, end)
    return broker.wait()


if __name__ == "__main__":
    sys.exit(main())
