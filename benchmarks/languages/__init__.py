"""Compares functions in Node, PHP, Go and Rust with the servers and tools that their users would use instead.

Languages, toolchains and peers that are missing here are reported as missing, in a row of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.functions_client import FunctionsClient
from benchmarks.languages.deployed import DeployedFunction, DeployFailed, deploy
from benchmarks.languages.functions_framework import prepare_functions_framework
from benchmarks.languages.go import GO
from benchmarks.languages.language import Language, prepare_server
from benchmarks.languages.ministack import compare_with_ministack
from benchmarks.languages.node import NODE
from benchmarks.languages.php import PHP
from benchmarks.languages.redeploys import compare_redeploys
from benchmarks.languages.requests import compare_cold_starts, compare_warm_requests
from benchmarks.languages.rust import RUST
from benchmarks.local_platform import local_platform
from benchmarks.measurement import BenchmarkSkipped, Missing, Result
from benchmarks.servers import Server

__all__ = ["run"]

_LANGUAGES: Final = (NODE, PHP, GO, RUST)
_POLL_SECONDS: Final = 0.005


@dataclass(frozen=True, slots=True)
class _Case:
    """A language whose function is deployed, and whose reference is ready."""

    language: Language
    function: DeployedFunction
    server: Server


def run(rounds: int, folder: Path) -> list[Result]:
    """Measure cold starts, warm requests and redeploys of each language, and Node beside its peers."""
    results: list[Result] = []
    cases: list[_Case] = []
    with local_platform(folder / "platform", "--manual-clock") as platform:
        client = FunctionsClient(platform, _POLL_SECONDS)
        namespace = client.create("namespaces", name="languages", project_id=platform.status["project_id"])
        client.wait("namespaces", namespace)
        for language in _LANGUAGES:
            try:
                server = prepare_server(language, folder / language.name)
                cases.append(_Case(language, deploy(platform, client, namespace, language), server))
            except (BenchmarkSkipped, DeployFailed) as reason:
                results.append(Missing(language.name, str(reason)))
        for compare in (compare_cold_starts, compare_warm_requests, compare_redeploys):
            results += [compare(rounds, case.language, case.function, case.server) for case in cases]
        for case in cases:
            if case.language is NODE:
                results += _compare_with_peers(rounds, case.function, folder)
    return results


def _compare_with_peers(rounds: int, function: DeployedFunction, folder: Path) -> Iterator[Result]:
    try:
        framework = prepare_functions_framework(folder / "framework")
        yield compare_warm_requests(rounds, NODE, function, framework)
    except BenchmarkSkipped as reason:
        yield Missing("functions-framework-nodejs", str(reason))
    try:
        yield from compare_with_ministack(rounds, function, folder / "ministack")
    except BenchmarkSkipped as reason:
        yield Missing("MiniStack", str(reason))
