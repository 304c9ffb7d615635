"""A running ``fnkit dev`` whose output is read as JSON, one object a line."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.command import FNKIT

_TIMEOUT = 60.0

Item = dict[str, Any]


class DevSessionUnderTest:
    """A running session.

    Attributes:
        process: The command.
        items: What it has printed and a test has read.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.items: list[Item] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.serving: Item = {}

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(
        self, kind: str, condition: Callable[[Item], bool] = lambda _item: True, *, seconds: float = _TIMEOUT
    ) -> Item:
        """Return the next item of a kind for which a condition holds."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind} among {self.items}") from None
            assert line is not None, f"the command ended: {self.items}"
            item: Item = json.loads(line)
            self.items.append(item)
            if item["kind"] == "serving":
                self.serving = item
            if item["kind"] == kind and condition(item):
                return item

    def url(self, function: str) -> str:
        """Return the URL of a function by path."""
        return next(str(one["path_url"]) for one in self.serving["functions"] if one["name"] == function)

    def get(self, function: str, path: str = "") -> tuple[int, str]:
        """Send a request to a function, and return status and body."""
        try:
            with urllib.request.urlopen(self.url(function) + path, timeout=_TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def close(self) -> None:
        """Read the rest of the output of a command that has ended."""
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the command, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=_TIMEOUT)


@contextmanager
def dev_session(
    project: Path, home: Path, *options: str, cache: Path | None = None
) -> Iterator[DevSessionUnderTest]:
    """Run ``fnkit dev --json`` for a project until the block ends.

    Args:
        project: The project.
        home: The data directory of the local platform.
        *options: More options of the command.
        cache: The cache directory; by default one in ``home``.
    """
    process = subprocess.Popen(
        [str(FNKIT), "dev", "--json", *options],
        cwd=project,
        env={**os.environ, "FNKIT_HOME": str(home), "FNKIT_CACHE": str(cache or home / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    session = DevSessionUnderTest(process)
    try:
        yield session
    finally:
        if process.poll() is None:
            session.stop()
        session.close()
