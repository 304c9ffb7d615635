"""A small part of ``make attack``, the same in every run, and inputs that once got through."""

from __future__ import annotations

import pytest

from tests.attack.authorization_attack import AUTHORIZATION_ATTACK
from tests.attack.campaign import Attack, Findings, run_campaign
from tests.attack.gateway_attack import ANSWER_ATTACK, GATEWAY_ATTACK
from tests.attack.kill_attack import KILL_ATTACK
from tests.attack.parser_attack import PARSER_ATTACKS
from tests.attack.parsers import PARSERS, check

SEED = 7
DIGITS = b"1" * 5000
KNOWN_INPUTS = [
    ("locks", b"key = " + DIGITS),
    ("locks", b"key = " + b"[" * 2000),
    ("brokers.toml", b"key = " + DIGITS),
    ("settings", b"[project]\nversion = " + DIGITS),
    ("settings", b"[project]\nversion = " + b"[" * 2000),
    ("ignore files", b"[[a]"),
    ("ignore files", b"[k-1]"),
    ("LogQL", b'{a="b"} |' + DIGITS * 20),
    ("LogQL", b'{a="b"} | x > ' + DIGITS * 20 + b"1."),
    ("LogQL", b'rate({a="b"}[' + DIGITS * 20 + b"s])"),
]
"""Each raised something else than the parser's own error, or took seconds to be rejected."""


def attack(one: Attack, attempts: int) -> Findings:
    (findings,) = run_campaign([one], seconds=600, seed=SEED, attempts_max=attempts, report=lambda _findings: None)
    return findings


@pytest.mark.parametrize("one", PARSER_ATTACKS, ids=lambda one: one.name)
def test_mutated_input_is_accepted_or_refused_by_parser(one: Attack) -> None:
    findings = attack(one, 60)
    assert findings.faults == []
    assert findings.attempts == 60


@pytest.mark.parametrize("name", PARSERS)
def test_parser_accepts_its_seeds(name: str) -> None:
    assert [check(name, seed) for seed in PARSERS[name].seeds] == ["accepted"] * len(PARSERS[name].seeds)


@pytest.mark.parametrize(("name", "content"), KNOWN_INPUTS, ids=lambda value: str(value)[:20])
def test_input_that_once_got_through_is_refused(name: str, content: bytes) -> None:
    check(name, content)


@pytest.mark.long
def test_mutated_requests_and_answers_disturb_no_other_function() -> None:
    for one, attempts in ((GATEWAY_ATTACK, 200), (ANSWER_ATTACK, 100)):
        assert attack(one, attempts).faults == []


def test_keys_do_not_reach_resources_of_another_project() -> None:
    findings = attack(AUTHORIZATION_ATTACK, 600)
    assert findings.faults == []
    assert findings.outcomes["2xx"] > 0  # not everything was refused for another reason


@pytest.mark.long
def test_acknowledged_writes_survive_kills() -> None:
    findings = attack(KILL_ATTACK, 6)
    assert findings.faults == []
    assert findings.outcomes["writes checked"] > 0


def test_campaign_reports_what_got_through_and_an_attack_that_fails() -> None:
    def gets_through(findings: Findings) -> None:
        for number in findings.rounds():
            findings.outcomes["tried"] += 1
            findings.check(number != 2, "2 got through")

    def fails(_findings: Findings) -> None:
        raise OSError("no such platform")

    first, second = run_campaign(
        [Attack("one", gets_through), Attack("two", fails)],
        seconds=600,
        seed=SEED,
        attempts_max=5,
        report=lambda _findings: None,
    )
    assert (first.attempts, first.faults) == (5, ["2 got through"])
    assert "no such platform" in second.faults[0]
    assert "FOUND: 2 got through" in first.text()
