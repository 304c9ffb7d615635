"""A campaign: every attack gets a share of the time, and what it found is counted."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Attack", "Findings", "run_campaign"]

_FINDINGS_MAX = 20


@dataclass
class Findings:
    """What one attack has tried, and what got through.

    Attributes:
        name: The attack.
        random: The source of everything that is chosen at random: the same seed tries the same.
        end: When to stop, in seconds of ``time.monotonic``.
        attempts_max: When to stop, in attempts.
        outcomes: The number of attempts by how they ended.
        faults: What got through, each with what repeats it.
    """

    name: str
    random: random.Random
    end: float
    attempts_max: int
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return self.outcomes.total()

    def rounds(self) -> Iterator[int]:
        """Count rounds until the time or the attempts are used up, or too much got through."""
        number = 0
        while time.monotonic() < self.end and self.attempts < self.attempts_max and not self.is_hopeless:
            yield number
            number += 1

    @property
    def is_hopeless(self) -> bool:
        """Whether more faults would tell nothing new."""
        return len(self.faults) >= _FINDINGS_MAX

    def check(self, holds: object, fault: str) -> None:
        """Record a fault unless something holds."""
        if not holds:
            self.faults.append(fault[:2000])

    def text(self) -> str:
        """Return a line, and one more for each fault."""
        outcomes = ", ".join(f"{number:,} {outcome}" for outcome, number in self.outcomes.most_common(6))
        lines = [
            f"{self.name:28} {self.attempts:>9,} tried  {self.seconds:6.0f} s  {len(self.faults)} found  {outcomes}"
        ]
        return "\n".join([*lines, *(f"  FOUND: {fault}" for fault in self.faults)])


@dataclass(frozen=True)
class Attack:
    """One kind of attack. ``run`` tries until ``Findings.rounds`` ends."""

    name: str
    run: Callable[[Findings], None]
    share: float = 1.0


def run_campaign(
    attacks: Sequence[Attack],
    *,
    seconds: float,
    seed: int,
    attempts_max: int = 1 << 62,
    report: Callable[[Findings], None],
) -> list[Findings]:
    """Run attacks one after another.

    Args:
        attacks: The attacks.
        seconds: The time for all of them, divided by their shares. An attack finishes the round it is in.
        seed: Determines what is tried.
        attempts_max: The attempts of each attack at most.
        report: Called with the findings of each attack.
    """
    all_findings = []
    shares = sum(attack.share for attack in attacks)
    for attack in attacks:
        began = time.monotonic()
        source = random.Random(f"{seed}/{attack.name}")  # noqa: S311  (to be repeated, not to be secret)
        end = began + seconds * attack.share / shares
        findings = Findings(attack.name, source, end, attempts_max)
        try:
            attack.run(findings)
        except Exception as error:  # noqa: BLE001  (whatever fails is a finding, with the others still to run)
            findings.faults.append(f"the attack itself failed: {error!r}")
        findings.seconds = time.monotonic() - began
        report(findings)
        all_findings.append(findings)
    return all_findings
