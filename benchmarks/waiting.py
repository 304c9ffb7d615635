"""Measures how long clients that poll wait for changes, with held reads and without.

Clients built on Scaleway's Go SDK read a resource right after a change, and sleep if its status is not final:
``scw`` for 15 s (``defaultFunctionRetryInterval`` in api/function/v1beta1/function_sdk.go of v1.39.0), the
Terraform provider for 5 s. The reference reads the resource from a list, which is never held. Scaleway's Python SDK
is not measured: it sleeps for a second before its first read. The first deploy after a start takes longer, and is
not part of the results.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.functions_client import FunctionsClient, make_archive
from benchmarks.local_platform import local_platform
from benchmarks.measurement import Comparison, elapsed_seconds, measure_alternately

__all__ = ["run"]

_CLI_INTERVAL: Final = 15.0
_TERRAFORM_INTERVAL: Final = 5.0
_TERRAFORM_PARALLELISM: Final = 10
_FUNCTIONS: Final = 3


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure a deploy of one function, and the creation of ten resources as Terraform orders them."""
    with local_platform(folder / "platform") as platform:
        numbers = count()

        def measure(work: Callable[[FunctionsClient, str], None], *, held: bool, interval: float) -> float:
            client = FunctionsClient(platform, interval, held=held)
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


def _deploy(client: FunctionsClient, namespace: str) -> None:
    """Create a function, upload its archive, deploy it and wait until it is ready."""
    client.wait("namespaces", namespace)
    function = client.create("functions", name="f", namespace_id=namespace, runtime="python313")
    client.upload_and_deploy(function, make_archive())
    client.wait("functions", function)


def _apply(client: FunctionsClient, namespace: str) -> None:
    """Create ten resources in Terraform's order: namespace, three functions, three crons, two domains, a token."""
    client.wait("namespaces", namespace)

    def function(number: int) -> str:
        function_id = client.create("functions", name=f"f{number}", namespace_id=namespace, runtime="python313")
        client.upload_and_deploy(function_id, make_archive())
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
