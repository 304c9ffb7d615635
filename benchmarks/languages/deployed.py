"""Functions of the benchmark on a platform."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.functions_client import FunctionsClient, make_archive
from benchmarks.languages.language import HELLO, Language
from benchmarks.local_platform import LocalPlatform

__all__ = ["CONNECTIONS", "DeployFailed", "DeployedFunction", "deploy"]

CONNECTIONS: Final = 4
"""Connections that call a function at once, and its instances."""
_MEMORY: Final = 256
_POLL_SECONDS: Final = 0.002


class DeployFailed(Exception):
    """A function could not be deployed."""


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """A function.

    Attributes:
        platform: Where it is.
        client: A client of the API.
        record_id: Its id.
        domain: The host that requests name.
    """

    platform: LocalPlatform
    client: FunctionsClient
    record_id: str
    domain: str

    def replace(self, files: Mapping[str, str], answer: str) -> float:
        """Replace its code.

        Args:
            files: The new version.
            answer: What the new version answers.

        Returns:
            The seconds from the end of the upload to the first answer of the new version.
        """
        self.client.upload(self.record_id, make_archive(files))
        started = time.perf_counter()
        self.client.deploy(self.record_id)
        self.client.wait("functions", self.record_id)
        while self._call() != answer:
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - started

    def _call(self) -> str:
        connection = http.client.HTTPConnection(*self.platform.gateway, timeout=60)
        connection.request("GET", "/", headers={"Host": self.domain})
        answer = connection.getresponse().read().decode()
        connection.close()
        return answer


def deploy(
    platform: LocalPlatform, client: FunctionsClient, namespace: str, language: Language
) -> DeployedFunction:
    """Deploy the function of a language.

    Raises:
        DeployFailed: Its deployment failed.
    """
    function = client.create(
        "functions",
        name=language.name,
        namespace_id=namespace,
        runtime=language.runtime,
        handler=language.handler,
        memory_limit=_MEMORY,
        max_scale=CONNECTIONS,
    )
    client.upload_and_deploy(function, make_archive(language.files(HELLO)))
    try:
        client.wait("functions", function)
    except RuntimeError as error:
        raise DeployFailed(f"its function cannot be deployed here: {error}") from None
    return DeployedFunction(platform, client, function, client.read("functions", function)["domain_name"])
