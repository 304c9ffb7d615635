"""Runs all benchmarks, or those given by name, and prints a table of their results.

Only ratios of two measurements that alternate in the same run are comparable between machines. ``--json`` prints
the result of every round; ``--rounds`` sets the number of rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

from rich.console import Console
from rich.table import Table

from benchmarks import (
    api,
    bundling,
    cold_start,
    crons,
    deploying,
    gateway_cpu,
    images,
    invoking,
    kubernetes,
    languages,
    logs,
    many_functions,
    peers,
    queues,
    redeploying,
    reload,
    scanning,
    sqs,
    start_up,
    waiting,
    worst_latency,
)
from benchmarks.charts import draw_charts
from benchmarks.measurement import BenchmarkSkipped, Comparison, Figure, Missing, Result

BENCHMARKS: dict[str, Callable[[int, Path], Sequence[Result]]] = {
    "start-up": start_up.run,
    "scan": scanning.run,
    "bundle": bundling.run,
    "deploy": deploying.run,
    "redeploy": redeploying.run,
    "invoke": invoking.run,
    "cold-start": cold_start.run,
    "gateway-cpu": gateway_cpu.run,
    "peers": peers.run,
    "waiting": waiting.run,
    "images": images.run,
    "kubernetes": kubernetes.run,
    "languages": languages.run,
    "many-functions": many_functions.run,
    "api": api.run,
    "crons": crons.run,
    "queues": queues.run,
    "sqs": sqs.run,
    "sqs-whole": sqs.run_whole,
    "logs": logs.run,
    "reload": reload.run,
    "worst-latency": worst_latency.run,
}


def main() -> int:
    """Run the selected benchmarks and print their results as a table or as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="write bar charts of the results to FOLDER")
    options = parser.parse_args()
    progress = Console(stderr=True)
    results: list[tuple[str, Result]] = []
    skipped: dict[str, str] = {}
    for name in options.names or BENCHMARKS:
        with progress.status(f"{name} …"), tempfile.TemporaryDirectory(prefix="fnkit-bench-") as folder:
            try:
                results += [(name, one) for one in BENCHMARKS[name](options.rounds, Path(folder))]
            except BenchmarkSkipped as reason:
                skipped[name] = str(reason)
    if options.pictures:
        draw_charts(results, options.pictures)
    if options.json:
        print(json.dumps(_to_json(results, skipped), indent=2))
    else:
        _print_table(results, skipped, options.rounds)
    return 0


def _to_json(results: Sequence[tuple[str, Result]], skipped: dict[str, str]) -> dict[str, object]:
    return {
        "comparisons": [_comparison_to_json(name, one) for name, one in results if isinstance(one, Comparison)],
        "figures": [
            {"benchmark": name, "what": one.what, "value": one.value, "unit": one.unit}
            for name, one in results
            if isinstance(one, Figure)
        ],
        "missing": [
            {"benchmark": name, "what": one.what, "reason": one.reason}
            for name, one in results
            if isinstance(one, Missing)
        ],
        "skipped": skipped,
        "load": _load(),
    }


def _load() -> float | None:
    """Return the load of the machine over the last five minutes, where it has one."""
    return os.getloadavg()[1] if hasattr(os, "getloadavg") else None


def _comparison_to_json(name: str, one: Comparison) -> dict[str, object]:
    return {
        "benchmark": name,
        "ours": one.ours,
        "reference": one.reference,
        "ratio": one.ratio,
        "goal": one.goal,
        "goal_seconds": one.goal_seconds,
        "our_seconds": one.our_seconds,
        "reference_seconds": one.reference_seconds,
    }


def _print_table(results: Sequence[tuple[str, Result]], skipped: dict[str, str], rounds: int) -> None:
    table = Table("", "median", "against", "median", "ratio", box=None, pad_edge=False)
    for _, one in results:
        match one:
            case Figure():
                table.add_row(one.what, f"{one.value:.3g} {one.unit}")
            case Missing():
                table.add_row(one.what, "–", one.reason)
            case Comparison():
                table.add_row(*_comparison_to_row(one))
            case _:
                assert_never(one)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for name, reason in skipped.items():
        console.print(f"{name}: skipped, {reason}")
    load = "" if (average := _load()) is None else f", load {average:.1f}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    console.print(f"\n{rounds} rounds in turns; {python}, {platform.system()} {platform.machine()}{load}")


def _comparison_to_row(one: Comparison) -> tuple[str, ...]:
    ours, ratio = _format_seconds(one.our_median), _format_ratio(one.ratio)
    if one.goal_seconds is not None:
        ours += f" (goal ≤ {_format_seconds(one.goal_seconds)})"
    if one.goal is not None:
        ratio += f" (goal ≤ {_format_ratio(one.goal)})"
    return one.ours, ours, one.reference, _format_seconds(one.reference_median), ratio


def _format_ratio(ratio: float) -> str:
    return f"1/{1 / ratio:.1f}" if ratio < 1 else f"{ratio:.2f}"


def _format_seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


if __name__ == "__main__":
    sys.exit(main())
