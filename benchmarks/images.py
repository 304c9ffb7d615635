"""Compares a version whose dependencies did not change with one that changes them, and measures what it adds."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.functions_client import HANDLER, FunctionsClient, make_archive
from benchmarks.local_platform import local_platform
from benchmarks.measurement import Comparison, Figure, elapsed_seconds, measure_alternately

__all__ = ["run"]

_MODULES: Final = 500
_FUNCTIONS_PER_MODULE: Final = 30
_GOAL: Final = 0.5


def run(rounds: int, folder: Path) -> list[Comparison | Figure]:
    """Measure the deployments of one function with 500 modules of dependencies, until it is ready."""
    lines = "".join(f"def f{number}(x):\n    return [x, {number}]\n" for number in range(_FUNCTIONS_PER_MODULE))
    package = {f"package/dep/m{number}.py": f"NUMBER = {number}\n{lines}" for number in range(_MODULES)}
    versions = count()
    with local_platform(folder / "platform") as platform:
        client = FunctionsClient(platform, interval=0.05)
        namespace = client.create("namespaces", name="images", project_id=platform.status["project_id"])
        client.wait("namespaces", namespace)
        function = client.create("functions", name="f", namespace_id=namespace, runtime="python313")
        layers = folder / "platform" / "layers"

        def deploy(changes: dict[str, str]) -> float:
            """Return the seconds from the upload of a version with a changed handler until it is ready."""
            files = {**HANDLER, "version.py": f"VERSION = {next(versions)}\n", **package, **changes}
            archive = make_archive(files)

            def work() -> None:
                client.upload_and_deploy(function, archive)
                client.wait("functions", function)

            return elapsed_seconds(work)

        deploy({})
        seconds = measure_alternately(
            rounds, lambda: deploy({}), lambda: deploy({"package/dep/new.py": f"X = {next(versions)}\n"})
        )
        sizes = sorted(layer.stat().st_size for layer in layers.iterdir())
    return [
        Comparison("new version, same dependencies", "the same with a changed dependency", *seconds, goal=_GOAL),
        Figure("layer of a version with a changed handler", sizes[0] / 1000, "kB"),
    ]
