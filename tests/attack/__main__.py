"""``python -m tests.attack [--minutes N] [--seed S] [--only NAME]``: exits with 1 if an attack got through."""

from __future__ import annotations

import argparse
import platform
import secrets
import sys

from tests.attack.authorization_attack import AUTHORIZATION_ATTACK
from tests.attack.campaign import Findings, run_campaign
from tests.attack.gateway_attack import ANSWER_ATTACK, GATEWAY_ATTACK
from tests.attack.kill_attack import KILL_ATTACK
from tests.attack.parser_attack import PARSER_ATTACKS
from tests.attack.table_attack import TABLE_ATTACKS

ATTACKS = (*PARSER_ATTACKS, GATEWAY_ATTACK, ANSWER_ATTACK, AUTHORIZATION_ATTACK, KILL_ATTACK, *TABLE_ATTACKS)


def _report(findings: Findings) -> None:
    print(findings.text(), flush=True)  # noqa: T201  (the output of the command)


parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
parser.add_argument("--minutes", type=float, default=4.0, help="for the attacks that can go on for ever")
parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
parser.add_argument("--only", default="", help="attacks whose name contains this text")
arguments = parser.parse_args()
sys.stdout.write(
    f"attack: seed {arguments.seed}, {arguments.minutes:g} minutes and the tables; "
    f"{platform.system()} {platform.machine()}, Python {platform.python_version()}\n"
)
found = run_campaign(
    [attack for attack in ATTACKS if arguments.only in attack.name],
    seconds=arguments.minutes * 60,
    seed=arguments.seed,
    report=_report,
)
through = sum(len(findings.faults) for findings in found)
sys.stdout.write(f"{sum(findings.attempts for findings in found):,} attempts, {through} got through\n")
sys.exit(1 if through else 0)
