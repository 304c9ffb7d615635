"""A project that is deployed to the platform of the tests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fnkit.errors import FnkitError
from fnkit.testing.command import run_command
from fnkit.testing.http import HttpResponse, send_request

_WAIT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class DeployedProject:
    """A project on a platform.

    Attributes:
        directory: The project's directory.
        platform_directory: The data directory of the platform.
    """

    directory: Path
    platform_directory: Path
    _secret_key: str = field(repr=False)
    _urls: dict[str, str] = field(default_factory=dict, repr=False)

    def fnkit(self, *arguments: str, **variables: str) -> dict[str, Any]:
        """Run a command of fnkit in the project with ``--json``, and return its document.

        Raises:
            FnkitError: The command failed.
        """
        return run_command(arguments, home=self.platform_directory, directory=self.directory, variables=variables)

    def url(self, function: str) -> str:
        """Return the URL of a function, ending in ``/``.

        Raises:
            FnkitError: ``not-deployed``.
        """
        if function not in self._urls:
            listed = self.fnkit("status", "--local")["functions"]
            self._urls.update({str(one["name"]): str(one["url"]) for one in listed if one["url"]})
        if function not in self._urls:
            raise FnkitError(f"{function} is not deployed.", code="not-deployed")
        return self._urls[function]

    def request(
        self,
        function: str,
        path: str = "/",
        *,
        method: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        json_body: object = None,
    ) -> HttpResponse:
        """Send a request to a function; a private one gets the key of the platform.

        Args:
            function: The name of the function.
            path: Path with query string.
            method: HTTP method; by default ``GET``, or ``POST`` with a body.
            headers: Headers of the request.
            body: Body of the request.
            json_body: A value that becomes the body as JSON.

        Raises:
            FnkitError: ``not-deployed``.
            OSError: There is no response.
        """
        content = json.dumps(json_body).encode() if json_body is not None else body
        sent = {"X-Auth-Token": self._secret_key, **(headers or {})}
        if json_body is not None:
            sent.setdefault("Content-Type", "application/json")
        url = self.url(function).rstrip("/") + "/" + path.lstrip("/")
        return send_request(method or ("POST" if content else "GET"), url, headers=sent, body=content)

    def deliveries(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the runs of a cron, or the messages of a trigger, that have ended.

        Args:
            kind: ``cron`` or ``trigger``.
            name: Its name, or that of its function.

        Raises:
            FnkitError: There is none with this name.
        """
        command = ("cron", "history") if kind == "cron" else ("trigger", "deliveries")
        found = self.fnkit(*command, name, "--local")["deliveries"]
        return [one for one in found if one["status"] != "pending"]

    def wait_for_deliveries(
        self, kind: str, name: str, count: int = 1, *, seconds: float = _WAIT_SECONDS
    ) -> list[dict[str, Any]]:
        """Wait until a cron or trigger has this many deliveries that have ended, and return them.

        Raises:
            AssertionError: There were fewer in time.
            FnkitError: There is no cron or trigger with this name.
        """
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            found[:] = self.deliveries(kind, name)
            return len(found) >= count

        wait_until(enough, f"{count} deliveries of the {kind} {name}", seconds=seconds)
        return found


def wait_until(condition: Callable[[], bool], described: str, *, seconds: float = _WAIT_SECONDS) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: It did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{described}: not within {seconds:g} s")
        time.sleep(_POLL_SECONDS)
