"""Large bodies are converted beside the event loop, so that other functions answer meanwhile."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.support.data_plane import DataPlaneProcess, children, running_data_plane
from tests.support.processes import arguments_of, is_alive
from tests.support.waiting import wait_until

_LARGE = 8 * 1024 * 1024
_ROUND_TRIPS = 20

_SOURCE = """
import hashlib, json

def handle(event, context):
    match event["path"]:
        case "/digest":
            body = event["body"]
            known = "isBase64Encoded" in event
            return f"{len(body)} {hashlib.sha256(body.encode()).hexdigest()} {known}"
        case "/body":
            return {"statusCode": 201, "headers": {"X-A": "1"}, "body": event["body"]}
        case "/keys":
            return "{" + ",".join(f'"a{i}":1' for i in range(500_000)) + "}"
        case "/headers":
            return '{"headers":{' + ",".join(f'"a{i}":""' for i in range(500_000)) + "}}"
        case "/base64":
            return '{"isBase64Encoded":true,"body":"' + "QUFB\\\\n" * 1_000_000 + '"}'
        case "/error":
            raise ValueError("x" * 1_000_000)
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("large", _SOURCE, memory=1024)
        running.deploy("small", "def handle(e, c):\n    return 'fine'\n")
        yield running


def chunked(path: str, body: bytes, size: int = 65536) -> bytes:
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = f"POST {path} HTTP/1.1\r\nHost: large.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + framed + b"0\r\n\r\n"


def conversion_process(plane: DataPlaneProcess) -> int:
    [pid] = [pid for pid in children(plane.process.pid) if "conversion_process" in arguments_of(pid)]
    return pid


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (chunked("/digest", b"\xff" * _LARGE), b"200"),
        (chunked("/digest", b"abc\n" * (_LARGE // 4)), b"200"),
        (chunked("/digest", b"\xff" * (_LARGE // 16), 1), b"200"),
        (chunked("/keys", b""), b"200"),
        (chunked("/headers", b""), b"502"),
        (chunked("/base64", b""), b"200"),
        (chunked("/error", b""), b"500"),
    ],
    ids=["invalid UTF-8", "short lines", "chunks of a byte", "keys", "headers", "base64 in lines", "error"],
)
def test_other_functions_answer_while_a_large_body_is_converted(
    plane: DataPlaneProcess, request_bytes: bytes, status: bytes
) -> None:
    plane.call("large", "/digest", method="POST", body=b"x" * 100_000)
    process = conversion_process(plane)
    responses: list[bytes] = []
    sender = threading.Thread(target=lambda: responses.append(plane.send_raw(request_bytes)))
    os.kill(process, signal.SIGSTOP)
    try:
        sender.start()
        for _ in range(_ROUND_TRIPS):
            assert plane.call("small").body == b"fine"
        assert sender.is_alive()
    finally:
        os.kill(process, signal.SIGCONT)
    sender.join()
    assert responses[0].split(b" ", 2)[1] == status


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xe2\x82" * 50_000 + b"?" * 50_000, ("\ufffd\ufffd" * 50_000 + "?" * 50_000, False)),
        ("é\n€".encode() * 50_000, ("é\n€" * 50_000, False)),
        (b"abcd" * 50_000, ("abcd" * 50_000, True)),
        (b"abcd\r\n" * 50_000, ("abcd\r\n" * 50_000, True)),
        (b"abcd" * 50_000 + b"=", ("abcd" * 50_000 + "=", False)),
    ],
    ids=["invalid UTF-8", "UTF-8", "base64", "base64 in lines", "no base64"],
)
def test_event_of_a_large_body_is_that_of_a_small_one(
    plane: DataPlaneProcess, body: bytes, expected: tuple[str, bool]
) -> None:
    text, is_base64 = expected
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert plane.call("large", "/digest", method="POST", body=body).body.decode() == (
        f"{len(text)} {digest} {is_base64}"
    )


@pytest.mark.parametrize("size", [65_536, 65_537, 1_000_000])
def test_large_response_is_mapped(plane: DataPlaneProcess, size: int) -> None:
    body = b"\0\n?\x7f" * (size // 4)
    answer = plane.call("large", "/body", method="POST", body=body)
    assert (answer.status, answer.headers["X-A"], answer.body) == (201, "1", body)


def test_large_error_is_mapped(plane: DataPlaneProcess) -> None:
    answer = plane.call("large", "/error")
    assert answer.status == 500
    assert answer.body == b"An error occured during handler execution: " + b"x" * 1_000_000 + b"\n"


def test_requests_go_on_after_the_process_of_conversions_was_killed(plane: DataPlaneProcess) -> None:
    body = b"x" * 1_000_000
    assert plane.call("large", "/body", method="POST", body=body).body == body
    process = conversion_process(plane)
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_alive(process))
    assert plane.call("large", "/body", method="POST", body=body).body == body


def test_disconnected_client_frees_the_instance_after_its_large_request(plane: DataPlaneProcess) -> None:
    for path in ("/digest", "/body"):
        with plane.connect() as peer:
            peer.sendall(chunked(path, b"\xff" * 1_000_000))
    assert plane.call("large", "/digest", method="POST", body=b"x").status == 200
