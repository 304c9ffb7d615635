"""Gives parsers mutated inputs, which they accept or refuse with their own error, in linear time."""

from __future__ import annotations

import time
from functools import partial

from tests.attack.campaign import Attack, Findings
from tests.attack.mutation import mutate
from tests.attack.parsers import PARSERS, check

__all__ = ["PARSER_ATTACKS"]

_CPU_SECONDS_MAX = 2.0
"""For an input of at most a few MiB: what is not linear takes longer."""


def _attack(name: str, findings: Findings) -> None:
    corpus = list(PARSERS[name].seeds)
    seeds = len(corpus)
    for _ in findings.rounds():
        content = mutate(findings.random.choice(corpus), corpus, findings.random)
        began = time.thread_time()
        try:
            outcome = check(name, content)
        except AssertionError as error:
            outcome = "fault"
            findings.faults.append(str(error))
        findings.outcomes[outcome] += 1
        findings.check(
            time.thread_time() - began < _CPU_SECONDS_MAX, f"{name}: took too long for {content[:500]!r}"
        )
        if outcome == "accepted" and len(content) < 10_000:
            # What was accepted leads deeper. A bounded number of such inputs replaces each other.
            if len(corpus) < seeds + 200:
                corpus.append(content)
            else:
                corpus[seeds + findings.random.randrange(200)] = content


PARSER_ATTACKS = tuple(Attack(f"parse {name}", partial(_attack, name), share=0.3) for name in PARSERS)
