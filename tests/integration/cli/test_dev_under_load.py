"""``fnkit dev`` while clients send requests without a pause: none is lost, whatever is saved."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.dev_session import dev_session
from tests.support.project_tree import write_files

pytestmark = [pytest.mark.slow, pytest.mark.long]

CLIENTS = 4
SAVES = 25
HANDLER = """
import time

from fnkit import function


@function(memory=128, max_scale=8)
def steady(event, context):
    time.sleep(0.01)
    return "version 0"
"""


class LoadClient(threading.Thread):
    """Sends requests one after the other over one connection, and counts responses by status and body."""

    def __init__(self, url: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._url = urlsplit(url)
        self._stop_event = stop
        self.responses: Counter[tuple[int, str]] = Counter()
        self.errors: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection(str(self._url.hostname), self._url.port, timeout=60)
        while not self._stop_event.is_set():
            try:
                connection.request("GET", self._url.path)
                answer = connection.getresponse()
                self.responses[answer.status, answer.read().decode()] += 1
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection.close()
        connection.close()


def test_no_request_is_lost_while_reloading(tmp_path: Path) -> None:
    project = write_files(tmp_path / "project", {"fnkit.toml": 'name = "load"\n', "main.py": HANDLER})
    with dev_session(project, tmp_path / "home") as session:
        session.wait_for("serving")
        stop = threading.Event()
        clients = [LoadClient(session.url("steady"), stop) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for number in range(1, SAVES + 1):
            # Every fifth save changes a setting, which goes through the whole pipeline.
            text = HANDLER.replace("version 0", f"version {number}")
            (project / "main.py").write_text(text.replace("memory=128", "memory=256") if number % 5 == 0 else text)
            session.wait_for("reloaded")
            before = sum(sum(client.responses.values()) for client in clients)
            while sum(sum(client.responses.values()) for client in clients) < before + 20 and all(
                client.is_alive() for client in clients
            ):
                stop.wait(0.01)
        stop.set()
        for client in clients:
            client.join()
    assert [error for client in clients for error in client.errors] == []
    responses = sum((client.responses for client in clients), Counter[tuple[int, str]]())
    assert {status for status, _ in responses} == {200}
    assert {body for _, body in responses} == {f"version {number}" for number in range(SAVES + 1)}
