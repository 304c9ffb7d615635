"""Measures how long clients that poll wait for changes, with held reads and without.

Clients built on Scaleway's Go SDK read a resource right after a change, and sleep if its status is not final:
``scw`` for 15 s (``defaultFunctionRetryInterval`` in api/function/v1beta1/function_sdk.go of v1.39.0), the
Terraform provider for 5 s. The reference reads the resource from a list, which is never held. Scaleway's Python SDK
is not measured: it sleeps for a second before its first read. The first deploy after a start takes longer, and is
not part of the results.
"""

from __future__ import annotations

import http.client
import io
import json
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.local_platform import LocalPlatform, local_platform
from benchmarks.measurement import Comparison, elapsed_seconds, measure_alternately

__all__ = ["run"]

_API: Final = "/functions/v1beta1/regions/fr-par"
_TRANSIENT_STATUSES: Final = {"creating", "pending", "deleting"}
_CLI_INTERVAL: Final = 15.0
_TERRAFORM_INTERVAL: Final = 5.0
_TERRAFORM_PARALLELISM: Final = 10
_FUNCTIONS: Final = 3


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure a deploy of one function, and the creation of ten resources as Terraform orders them."""
    with local_platform(folder / "platform") as platform:
        numbers = count()

        def measure(work: Callable[[_Client, str], None], *, held: bool, interval: float) -> float:
            client = _Client(platform, interval, held=held)
            namespace = client.create(
                "namespaces", name=f"n{next(numbers)}", project_id=platform.status["project_id"]
            )
            return elapsed_seconds(lambda: work(client, namespace))

        measure(_deploy, held=True, interval=0.1)
        comparisons = []
        for name, work, interval, goal in (
            ("deploy of a function by a client like scw", _deploy, _CLI_INTERVAL, 0.1),
            ("10 resources by a client like Terraform", _apply, _TERRAFORM_INTERVAL, 0.3),
        ):
            ours, reference = (partial(measure, work, held=held, interval=interval) for held in (True, False))
            seconds = measure_alternately(rounds, ours, reference)
            comparisons.append(Comparison(name, "the same without held reads", *seconds, goal=goal))
    return comparisons


def _deploy(client: _Client, namespace: str) -> None:
    """Create a function, upload its archive, deploy it and wait until it is ready."""
    client.wait("namespaces", namespace)
    function = client.create("functions", name="f", namespace_id=namespace, runtime="python313")
    client.upload_and_deploy(function)
    client.wait("functions", function)


def _apply(client: _Client, namespace: str) -> None:
    """Create ten resources in Terraform's order: namespace, three functions, three crons, two domains, a token."""
    client.wait("namespaces", namespace)

    def function(number: int) -> str:
        function_id = client.create("functions", name=f"f{number}", namespace_id=namespace, runtime="python313")
        client.upload_and_deploy(function_id)
        client.wait("functions", function_id)
        return function_id

    def attached(kind: str, function_id: str) -> None:
        fields = {
            "crons": {"schedule": "0 0 1 1 *", "name": "c"},
            "domains": {"hostname": f"{function_id}.example.com"},
        }
        client.wait(kind, client.create(kind, function_id=function_id, **fields.get(kind, {})))

    with ThreadPoolExecutor(_TERRAFORM_PARALLELISM) as executor:
        ids = list(executor.map(function, range(_FUNCTIONS)))
        kinds = ("crons", "crons", "crons", "domains", "domains", "tokens")
        list(executor.map(attached, kinds, (*ids, *ids)))


@dataclass(frozen=True, slots=True)
class _Client:
    """A client of the API that waits as the Go SDK does.

    Attributes:
        platform: The platform.
        interval: Seconds between two reads of a resource whose status is not final.
        held: Whether it reads the resource itself, or finds it in a list.
    """

    platform: LocalPlatform
    interval: float
    held: bool

    def create(self, kind: str, **fields: object) -> str:
        """Create a resource and return its id."""
        return str(self._request("POST", kind, fields)["id"])

    def wait(self, kind: str, record_id: str) -> None:
        """Return when the status is final. Raise ``RuntimeError`` if that is not ``ready``."""
        while (status := self._status(kind, record_id)) in _TRANSIENT_STATUSES:
            time.sleep(self.interval)
        if status != "ready":
            raise RuntimeError(f"{kind} {record_id} is {status}")

    def upload_and_deploy(self, function_id: str) -> None:
        """Upload an archive and deploy it."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as target:
            target.writestr("handler.py", "def handle(event, context):\n    return 'hello'\n")
        archive = content.getvalue()
        upload = self._request("GET", f"functions/{function_id}/upload-url?content_length={len(archive)}")
        parts = urlsplit(str(upload["url"]))
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request("PUT", f"{parts.path}?{parts.query}", archive)
        if connection.getresponse().status != http.HTTPStatus.OK:
            raise RuntimeError("the upload was refused")
        connection.close()
        self._request("POST", f"functions/{function_id}/deploy", {})

    def _status(self, kind: str, record_id: str) -> str:
        if self.held:
            return str(self._request("GET", f"{kind}/{record_id}")["status"])
        listed = self._request("GET", f"{kind}?page_size=100&order_by=created_at_desc")[kind]
        return str(next(one["status"] for one in listed if one["id"] == record_id))

    def _request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(urlsplit(self.platform.status["api_url"]).netloc, timeout=60)
        content = None if body is None else json.dumps(body)
        connection.request(method, f"{_API}/{path}", content, {"X-Auth-Token": self.platform.status["secret_key"]})
        answer = connection.getresponse()
        document: dict[str, Any] = json.loads(answer.read())
        connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{method} {path} returned {answer.status}: {document}")
        return document
