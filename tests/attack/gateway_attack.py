"""Sends mutated requests to a gateway: no wrong function answers, nothing private is reached, nothing fails."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.attack.campaign import Attack, Findings
from tests.attack.mutation import mutate
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.waiting import DEADLINE

__all__ = ["ANSWER_ATTACK", "GATEWAY_ATTACK"]

_QUIET_SECONDS = 0.03
_STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d) ")
_ECHO = "def handle(event, context):\n    return 'answer of echo'\n"
_PRIVATE = "def handle(event, context):\n    return 'answer of private'\n"
_ANSWER = "import json\ndef handle(event, context):\n    return json.loads(event['body'])\n"
_REQUESTS = (
    b"GET /a/b?c=d HTTP/1.1\r\nHost: echo.test\r\nX-A: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: echo.test\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\nHost: echo.test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: private.test\r\nX-Auth-Token: eyJhbGciOiJub25lIn0.e30.\r\n\r\n",
    b"GET http://private.test/ HTTP/1.1\r\nHost: echo.test\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: echo.test\r\nExpect: 100-continue\r\nUpgrade: h2c\r\n\r\n",
    b"CONNECT echo.test:443 HTTP/1.1\r\nHost: echo.test:443\r\n\r\n",
)
_ANSWERS = (
    b'{"statusCode": 200, "body": "answer of echo", "headers": {"X-A": "b", "Content-Type": "text/plain"}}',
    b'{"statusCode": 404, "body": "aGVsbG8=", "isBase64Encoded": true, "headers": {"a": ["b", "c"]}}',
    b'{"body": {"a": [1, 2.5, null, true]}, "statusCode": "201"}',
    b'["x", {"y": "z"}]',
    b'"text"',
)


def _attack_gateway(findings: Findings) -> None:
    with _attacked(findings, {"echo": (_ECHO, "public"), "private": (_PRIVATE, "private")}) as plane:
        for _ in findings.rounds():
            sent = mutate(findings.random.choice(_REQUESTS), _REQUESTS, findings.random)
            received = _exchange(plane, sent)
            statuses = [int(status) for status in _STATUS.findall(received)]
            findings.outcomes[f"{statuses[0] // 100}xx" if statuses else "closed"] += 1
            findings.check(b"answer of private" not in received, f"the private function answered {sent!r}")
            wrong = [status for status in statuses if status >= 500 and status not in (501, 505)]
            findings.check(not wrong, f"{wrong} for {sent!r}")


def _attack_with_answers(findings: Findings) -> None:
    with _attacked(findings, {"echo": (_ECHO, "public"), "answers": (_ANSWER, "public")}) as plane:
        for number in findings.rounds():
            sent = mutate(findings.random.choice(_ANSWERS), _ANSWERS, findings.random)
            try:
                status = plane.call("answers", method="POST", body=sent).status
            except (OSError, http.client.HTTPException) as error:
                findings.outcomes["none"] += 1
                findings.faults.append(f"{error!r} for {sent!r}"[:2000])
                continue
            findings.outcomes[f"{status // 100}xx"] += 1
            if number % 20 == 0:
                findings.check(plane.call("echo").body == b"answer of echo", f"echo was disturbed by {sent!r}")


def _exchange(plane: DataPlaneProcess, sent: bytes) -> bytes:
    """Send bytes and return what is received: until nothing comes any more, then until the end."""
    received = b""
    with plane.connect() as peer:
        try:
            peer.sendall(sent)
            # The end of the stream cancels a request, so it is sent only when the gateway waits for more.
            peer.settimeout(_QUIET_SECONDS)
            with contextlib.suppress(TimeoutError):
                while part := peer.recv(65536):
                    received += part
            peer.settimeout(DEADLINE)
            peer.shutdown(socket.SHUT_WR)
            while part := peer.recv(65536):
                received += part
        except TimeoutError:
            raise AssertionError(f"no end of the response to {sent!r}") from None
        except OSError:
            pass  # refused before it was complete
    return received


@contextmanager
def _attacked(findings: Findings, functions: dict[str, tuple[str, str]]) -> Iterator[DataPlaneProcess]:
    """Run a data plane, and check afterwards that it serves, has logged no fault of its own, and has not grown."""
    with running_data_plane() as plane:
        for name, (source, privacy) in functions.items():
            plane.deploy(name, source, privacy=privacy)
        before = plane.call("echo")
        assert before.body == b"answer of echo"
        descriptors, memory = _usage(plane)
        yield plane
        findings.check(plane.call("echo").body == b"answer of echo", "echo does not answer after the attack")
        findings.check(
            plane.call("private").status in (403, 404), "the private function is public after the attack"
        )
        after, memory_after = _usage(plane)
        findings.check(after <= descriptors + 50, f"{descriptors} descriptors became {after}")
        findings.check(memory_after <= memory + (128 << 20), f"{memory >> 20} MiB became {memory_after >> 20}")
        log = (plane.folder / "stderr.log").read_text(errors="replace")
        findings.check("Traceback" not in log, log[-2000:])


def _usage(plane: DataPlaneProcess) -> tuple[int, int]:
    """Return the number of descriptors and the resident memory in bytes."""
    proc = Path("/proc", str(plane.process.pid))
    resident = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return len(list((proc / "fd").iterdir())), resident


GATEWAY_ATTACK = Attack("requests to the gateway", _attack_gateway, share=2)
ANSWER_ATTACK = Attack("answers of handlers", _attack_with_answers)
