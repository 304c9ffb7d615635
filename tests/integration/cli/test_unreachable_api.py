"""An API that cannot be reached, is none, or does not answer: one error, the documented exit code, nothing changed.

One row of each table runs in ``make test``, all others in ``make test-long``.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server
from tests.support.verb_tables import (
    CALLS_API,
    CREDENTIALS,
    LOCAL_ONLY,
    call,
    check_error,
    empty_api,
    rows,
    unchanged,
)


@pytest.mark.parametrize("verb", rows(CALLS_API))
def test_unreachable_api(verb: str, shop: Path) -> None:
    with unchanged(shop):
        result = call(verb, SCW_API_URL=f"http://127.0.0.1:{closed_port()}")
    check_error(result, 1, "api-unreachable")


@pytest.mark.parametrize("verb", rows(tuple(verb for verb in CALLS_API if verb not in LOCAL_ONLY)))
def test_unreachable_proxy(verb: str, shop: Path) -> None:
    proxy = f"http://127.0.0.1:{closed_port()}"
    with unchanged(shop):
        result = call(verb, https_proxy=proxy, HTTPS_PROXY=proxy, no_proxy="", NO_PROXY="")
    check_error(result, 1, "proxy")


@pytest.mark.long  # reads are repeated for some seconds
@pytest.mark.parametrize(
    "verb", [verb for verb in CALLS_API if verb != "destroy --yes"]
)  # one answer is enough for it
def test_platform_that_goes_down_in_the_middle(verb: str, shop: Path) -> None:
    """The first request is answered; from then on each connection is cut."""

    def answer(request: ReceivedRequest, number: int) -> ScriptedResponse:
        return empty_api(request, number) if number == 0 else ScriptedResponse(drop=True)

    with scripted_server(answer) as server, unchanged(shop):
        result = call(verb, SCW_API_URL=server.url)
    assert result.code == 1, result
    assert "Traceback (most recent call last)" not in result.stderr
    # With one empty list, some commands know already that nothing is deployed.
    assert re.match(r"error\[(api-unreachable|not-deployed|no-[a-z-]+)\]: ", result.stderr), result.stderr
    assert "\n  hint: " in result.stderr


@pytest.mark.parametrize("verb", rows(CALLS_API))
def test_server_that_is_not_the_api(verb: str, shop: Path) -> None:
    page = ScriptedResponse(body=b"<html>Welcome</html>", headers={"Content-Type": "text/html"})
    with scripted_server(lambda _request, _number: page) as server, unchanged(shop):
        result = call(verb, SCW_API_URL=server.url)
    check_error(result, 1, "not-the-api")


@pytest.mark.parametrize("verb", rows(CALLS_API))
def test_interruption_while_the_api_does_not_answer(verb: str, shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, unchanged(shop):
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = Command({**CREDENTIALS, "SCW_API_URL": url}).start(*verb.split(), cwd=shop)
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(60)
            connection.recv(1)  # it waits for the response now
            os.killpg(process.pid, signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.splitlines()[-1].startswith("Interrupted."), stderr
    assert "Traceback" not in stderr


def closed_port() -> int:
    """Return a port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
