"""docs/requests.md documents exactly the error statuses that the platform itself returns."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.source_tree import REPOSITORY

PAGE = (REPOSITORY / "docs" / "requests.md").read_text(encoding="utf-8")
# These need TLS, a minute, or a full queue: see test_redirects, test_stalled_clients and test_engine_scaling.
TESTED_ELSEWHERE = {301, 408, 503}
HANDLER = """
import os, time
def handle(event, context):
    if event["path"] == "/exit":
        os._exit(1)
    if event["path"] == "/hang":
        time.sleep(60)
    return "fine"
"""
HEAD = b" HTTP/1.1\r\nHost: f.test\r\n"
REQUESTS = {
    400: b"GET /%zz" + HEAD,
    403: b"GET / HTTP/1.1\r\nHost: private.test\r\n",
    404: b"GET / HTTP/1.1\r\nHost: unknown.test\r\n",
    413: b"POST /" + HEAD + b"Content-Length: 6291457\r\n",
    426: b"GET / HTTP/1.0\r\nHost: f.test\r\n",
    431: b"GET /" + b"a" * 61_440 + HEAD,
    501: b"POST /" + HEAD + b"Transfer-Encoding: gzip, chunked\r\n",
    502: b"GET /exit" + HEAD,
    504: b"GET /hang HTTP/1.1\r\nHost: short-timeout.test\r\n",
}


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("f", HANDLER)
        running.deploy("short-timeout", HANDLER, timeout=1.0)
        running.deploy("private", HANDLER, privacy="private")
        yield running


@pytest.mark.parametrize("status", REQUESTS)
def test_documented_status_is_returned(plane: DataPlaneProcess, status: int) -> None:
    assert plane.send_raw(REQUESTS[status] + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 %d " % status)


def test_page_documents_exactly_the_tested_statuses() -> None:
    named = {int(status) for status in re.findall(r"^\| (\d{3}) \|", PAGE, flags=re.MULTILINE)}
    assert named == REQUESTS.keys() | TESTED_ELSEWHERE
