"""A platform for the tests alone: its own directory, its own ports, and a clock that only the tests move."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fnkit.errors import FnkitError
from fnkit.testing.command import run_command
from fnkit.testing.http import HttpResponse, send_request
from fnkit.testing.project import DeployedProject

_START_SECONDS: Final = 120
_FIRST_ERROR: Final = 400


class PlatformForTests:
    """A running platform. Its clock stands still until ``advance_clock``.

    Args:
        directory: Its data directory.
        description: What ``fnkit platform start --json`` prints of it.
    """

    def __init__(self, directory: Path, description: dict[str, Any]) -> None:
        self.directory = directory
        self._description = description

    @property
    def api_url(self) -> str:
        """The base URL of its API."""
        return str(self._description["api_url"])

    @property
    def gateway_url(self) -> str:
        """The base URL of functions."""
        return str(self._description["gateway_url"])

    @property
    def nats_url(self) -> str:
        """The URL of its NATS server, with credentials; empty without the extra for queues."""
        return str(self._description["nats_url"])

    @property
    def sqs_endpoint(self) -> str:
        """The URL of its SQS endpoint; empty without the extra for queues."""
        return str(self._description["sqs_endpoint"])

    @property
    def sqs_access_key(self) -> str:
        """The access key of its SQS endpoint."""
        return str(self._description["sqs_access_key"])

    @property
    def sqs_secret_key(self) -> str:
        """The secret key of its SQS endpoint."""
        return str(self._description["sqs_secret_key"])

    @property
    def secret_key(self) -> str:
        """The secret key of its API, which private functions accept too."""
        return str(self._description["secret_key"])

    def __repr__(self) -> str:
        """Return a text without the secret key."""
        return f"PlatformForTests({self.api_url!r})"

    def fnkit(self, *arguments: str, directory: Path | None = None, **variables: str) -> dict[str, Any]:
        """Run a command of fnkit with ``--json`` for this platform, and return its document.

        Args:
            arguments: The command and its arguments, such as ``"deploy", "--local"``.
            directory: The working directory.
            variables: Environment variables.

        Raises:
            FnkitError: The command failed, with its own code and message.
        """
        return run_command(arguments, home=self.directory, directory=directory, variables=variables)

    def deploy(self, directory: Path, *names: str, **variables: str) -> DeployedProject:
        """Deploy a project, and return it.

        Args:
            directory: The project's directory.
            names: Functions to deploy; all by default.
            variables: Environment variables, such as values of secrets.

        Raises:
            FnkitError: The deploy failed.
        """
        self.fnkit("deploy", *names, "--local", "--yes", directory=directory, **variables)
        return DeployedProject(directory, self.directory, self.secret_key)

    def advance_clock(self, seconds: float) -> None:
        """Move the clock; return when every cron whose time has come has started.

        Raises:
            FnkitError: ``api``: the platform did not accept it.
        """
        self.request("POST", "/fnkit/v1/clock", {"advance": seconds})

    def request(self, method: str, path: str, body: object = None) -> HttpResponse:
        """Send a request with a JSON body to the API.

        Raises:
            FnkitError: ``api``: the status is 400 or higher.
            OSError: There is no response.
        """
        headers = {"X-Auth-Token": self.secret_key, "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        response = send_request(method, self.api_url + path, headers=headers, body=content)
        if response.status >= _FIRST_ERROR:
            raise FnkitError(f"The platform answered {response.status}: {response.text}", code="api")
        return response


@contextmanager
def running_platform(directory: Path, *options: str) -> Iterator[PlatformForTests]:
    """Start a platform with a stopped clock on free ports; stop it at the end.

    Args:
        directory: Its data directory, which is created.
        options: Further options of ``fnkit platform start``.

    Raises:
        FnkitError: It could not be started.
    """
    ports = tuple(part for name in ("api", "gateway", "tls", "nats", "sqs") for part in (f"--{name}-port", "0"))
    start = ("platform", "start", "--detach", "--manual-clock", "--timeout", str(_START_SECONDS), *ports)
    description = run_command((*start, *options), home=directory)
    try:
        yield PlatformForTests(directory, description)
    finally:
        run_command(("platform", "stop"), home=directory)
