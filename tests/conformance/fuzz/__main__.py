"""``make fuzz``: sends many cases of every operation to a new platform and prints one line per operation."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.conformance.fuzz.cases import operation_id
from tests.conformance.fuzz.resources import FuzzResources
from tests.conformance.fuzz.runner import fuzz, operations
from tests.support.platform import running_platform

_MANY = 500


def main() -> int:
    """Fuzz the operations and return 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="cases per operation")
    parser.add_argument(
        "--only", nargs="+", metavar="OPERATION", help="operation ids of the document, such as CreateCron"
    )
    options = parser.parse_args()
    chosen = [one for one in operations() if not options.only or operation_id(one) in options.only]
    failed = 0
    with (
        tempfile.TemporaryDirectory(prefix="fnkit-fuzz-") as home,
        running_platform(Path(home)) as platform,
        FuzzResources(platform) as resources,
    ):
        for operation in chosen:
            started = time.monotonic()
            try:
                statuses = fuzz(operation, resources, options.cases)
                _check_coverage(statuses, options.cases)
            except Exception as error:  # noqa: BLE001 - a failing operation must not stop the others
                failed += 1
                _print(f"{operation_id(operation)}: FAILED\n{error}")
            else:
                _print(_summary(operation_id(operation), statuses, time.monotonic() - started))
    _print(f"{len(chosen)} operations, at least {options.cases} cases each, {failed} failed")
    return 1 if failed else 0


def _check_coverage(statuses: Counter[int], cases: int) -> None:
    """Require that a long run had both accepted and unauthenticated requests."""
    if cases >= _MANY and not (statuses[200] and statuses[401]):
        raise AssertionError(f"no request was accepted, or none was unauthenticated: {dict(statuses)}")


def _summary(name: str, statuses: Counter[int], seconds: float) -> str:
    counts = "  ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    return f"{name:<24} {statuses.total():>6} cases {seconds:>6.0f} s   {counts}"


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's output


if __name__ == "__main__":
    sys.exit(main())
