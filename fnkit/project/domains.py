"""A function's custom hostnames."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from fnkit.project.findings import Findings
from fnkit.project.model import Source

__all__ = ["check_domains"]

_DOMAINS_MAX: Final = 50  # DOC: custom domains per function
_HOST_MAX: Final = 253
_HOST_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_domains(domains: Sequence[str], subject: str, source: Source, findings: Findings) -> None:
    """Check custom hostnames: syntax only; whether they point here is the platform's to see."""
    if len(domains) > _DOMAINS_MAX:
        message = f"{subject} has {len(domains)} domains; {_DOMAINS_MAX} are allowed."
        findings.add("too-many-domains", message, None, source)
    for domain, count in Counter(domains).items():
        labels = domain.split(".")
        fine = len(labels) > 1 and len(domain) <= _HOST_MAX and all(map(_HOST_LABEL.fullmatch, labels))
        if not fine or labels[-1].isdigit():
            hint = "A hostname such as shop.example.com, in lower case, without scheme, port, path or wildcard."
            if not domain.isascii():
                hint = "Write an international name in its xn-- form."
            findings.add("bad-domain", f"{subject}: {domain[:80]!r} is not a hostname.", hint, source)
        elif count > 1:
            findings.add("duplicate-domain", f"{subject} names {domain} twice.", None, source)
