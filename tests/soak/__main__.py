"""``python -m tests.soak [--minutes N] [--seed S]``: exits with 1 and prints the actions if a fault was found."""

from __future__ import annotations

import argparse
import secrets
import sys

from tests.soak.run import soak

parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
parser.add_argument("--minutes", type=float, default=5.0)
parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
parser.add_argument("--isolation", default="auto")
parser.add_argument("--clients", type=int, default=6)
parser.add_argument("--clock-speed", type=float, default=10.0)
parser.add_argument("--idle-functions", type=int, default=0, metavar="N")
arguments = parser.parse_args()
report = soak(
    seconds=arguments.minutes * 60,
    seed=arguments.seed,
    isolation=arguments.isolation,
    clients=arguments.clients,
    clock_speed=arguments.clock_speed,
    idle_functions=arguments.idle_functions,
)
sys.stdout.write(report.text())
sys.exit(0 if report.is_good else 1)
