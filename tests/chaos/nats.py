"""The guarantees of NATS triggers, for minutes.

``python -m tests.chaos.nats [--messages N] [--seconds S] [--rounds N] [--seed N]``
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.chaos import VICTIMS, Chaos
from tests.support.queues import queue_platform

__all__ = ["main"]


def main() -> int:
    """Run; 1 where a message was lost, came twice for no reason, or is not said to have succeeded."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.nats")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rounds", type=int, default=10, help="how often each victim dies")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fnkit-chaos-") as folder, queue_platform(Path(folder)) as platform:
        chaos = Chaos(platform, options.seed)
        outcome = asyncio.run(chaos.run(options.messages, options.seconds, VICTIMS * options.rounds))
    sys.stdout.write(f"{outcome}\n")
    return (
        1
        if outcome.lost or outcome.unexplained or outcome.left != (0, 0) or set(outcome.log) != {"succeeded"}
        else 0
    )


if __name__ == "__main__":
    sys.exit(main())
