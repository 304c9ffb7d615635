"""Validates custom hostnames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fnkit.contract.limits import DOMAINS_MAX
from fnkit.contract.names import is_hostname
from fnkit.project.findings import ProblemList
from fnkit.project.model import SourceLocation

__all__ = ["check_domains"]


def check_domains(domains: Sequence[str], subject: str, source: SourceLocation, problems: ProblemList) -> None:
    """Check the syntax of custom hostnames. The platform checks their DNS records."""
    if len(domains) > DOMAINS_MAX:
        message = f"{subject} has {len(domains)} domains; at most {DOMAINS_MAX} are allowed."
        problems.add("too-many-domains", message, None, source)
    for domain, count in Counter(domains).items():
        if not is_hostname(domain):
            hint = "Use a hostname such as shop.example.com, in lower case, without scheme, port, path or wildcard."
            if not domain.isascii():
                hint = "Write an internationalized name in its xn-- form."
            problems.add("bad-domain", f"{subject}: {domain[:80]!r} is not a hostname.", hint, source)
        elif count > 1:
            problems.add("duplicate-domain", f"{subject} lists {domain} twice.", None, source)
