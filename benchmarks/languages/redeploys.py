"""Compares the redeploy of a changed handler with what its user waits for without a platform.

That is the compiler's own incremental build of the same change in the same project, and for Node the start of a
server. fnkit's time is from the end of the upload to the first answer of the new version: it includes unpacking the
archive, the build in its sandbox, and the start of an instance.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.languages.deployed import DeployedFunction
from benchmarks.languages.language import Compiler, Language, write_files
from benchmarks.measurement import Comparison, elapsed_seconds, measure_alternately
from benchmarks.servers import Server, measure_first_response

__all__ = ["compare_redeploys", "next_answer", "redeploy"]

_COMPILER_GOAL: Final = 1.5
_GOAL_SECONDS: Final = 0.3
_numbers = count(1)


def compare_redeploys(rounds: int, language: Language, function: DeployedFunction, server: Server) -> Comparison:
    """Measure redeploys of a language; ``server`` is its reference, in the folder of its project."""
    ours = partial(redeploy, language, function)
    what = f"redeploy, {language.name}"
    if language.compiler is None:
        figures = _measure(rounds, ours, partial(measure_first_response, server))
        return Comparison(what, f"starting {server.name}", *figures, goal_seconds=_GOAL_SECONDS)
    figures = _measure(rounds, ours, partial(_build, language, language.compiler, server.folder))
    return Comparison(what, f"{language.program} build, incremental", *figures, goal=_COMPILER_GOAL)


def redeploy(language: Language, function: DeployedFunction) -> float:
    """Redeploy a function whose handler has changed; see ``DeployedFunction.replace``."""
    answer = next_answer()
    return function.replace(language.files(answer), answer)


def next_answer() -> str:
    """Return an answer that no version has given."""
    return f"version {next(_numbers)}"


def _measure(
    rounds: int, ours: Callable[[], float], reference: Callable[[], float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    ours(), reference()  # fill caches
    return measure_alternately(rounds, ours, reference)


def _build(language: Language, compiler: Compiler, project: Path) -> float:
    write_files(project, language.files(next_answer()))
    return elapsed_seconds(partial(compiler.run, project))
