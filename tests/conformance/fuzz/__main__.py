"""``make fuzz``: many cases of every operation against a platform of its own; a line each, or what failed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.conformance.fuzz.generated import name_of
from tests.conformance.fuzz.ground import Ground
from tests.conformance.fuzz.run import fuzz, operations
from tests.support.platform import running_platform

_MANY = 500


def main() -> int:
    """Fuzz; returns 1 where any operation failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="of each operation")
    parser.add_argument("--only", nargs="+", metavar="OPERATION", help="the document's ids, such as CreateCron")
    options = parser.parse_args()
    chosen = [one for one in operations() if not options.only or name_of(one) in options.only]
    failed = 0
    with (
        tempfile.TemporaryDirectory(prefix="fnkit-fuzz-") as home,
        running_platform(Path(home)) as platform,
        Ground(platform) as ground,
    ):
        for operation in chosen:
            started = time.monotonic()
            try:
                statuses = fuzz(operation, ground, options.cases)
                _far_enough(statuses, options.cases)
            except Exception as error:  # noqa: BLE001 - a failure of one operation must not hide the others'
                failed += 1
                _say(f"{name_of(operation)}: FAILED\n{error}")
            else:
                _say(_line(name_of(operation), statuses, time.monotonic() - started))
    _say(f"{len(chosen)} operations, at least {options.cases} cases each, {failed} failed")
    return 1 if failed else 0


def _far_enough(statuses: Counter[int], cases: int) -> None:
    """Many cases of which none succeeds, or none lacks the key, say little."""
    if cases >= _MANY and not (statuses[200] and statuses[401]):
        raise AssertionError(f"the cases did not get far: {dict(statuses)}")


def _line(name: str, statuses: Counter[int], seconds: float) -> str:
    counts = "  ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    return f"{name:<24} {statuses.total():>6} cases {seconds:>6.0f} s   {counts}"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's output


if __name__ == "__main__":
    sys.exit(main())
