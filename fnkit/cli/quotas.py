"""Parses ``--quota`` and ``--memory-budget``.

A quota is ``functions=N,namespaces=N,memory=SIZE``, where each value is a number or ``none``, or just ``none``.
"""

from __future__ import annotations

import re
from typing import Final

import click

__all__ = ["parse_quotas", "parse_size"]

_QUOTA_NAMES: Final = ("functions", "namespaces", "memory")
_SIZE_PATTERN: Final = re.compile(r"(\d{1,12}) ?(?:([mgt])i?b?)?", re.IGNORECASE | re.ASCII)
_COUNT_PATTERN: Final = re.compile(r"\d{1,12}", re.ASCII)
_UNIT_IN_MEGABYTES: Final = {"m": 1, "g": 1024, "t": 1024 * 1024}


def parse_quotas(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> dict[str, int | None] | None:
    """Parse ``--quota``, as a click callback.

    Returns:
        The limit of each quota named, memory in MB, ``None`` for no limit. Quotas not named keep their published
        default. ``None`` if the option is absent.

    Raises:
        click.BadParameter: The text is not a list of quotas.
    """
    if text is None:
        return None
    if text == "none":
        return dict.fromkeys(_QUOTA_NAMES)
    quotas: dict[str, int | None] = {}
    for part in text.split(","):
        name, equals, amount = part.strip().partition("=")
        if name not in _QUOTA_NAMES or not equals:
            raise click.BadParameter(
                f"{part.strip()!r} is not one of {', '.join(f'{one}=N' for one in _QUOTA_NAMES)}."
            )
        quotas[name] = None if amount == "none" else _parse_quota(name, amount)
    return quotas


def parse_size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Parse ``--memory-budget`` in MB, as a click callback; return ``None`` if the option is absent.

    Raises:
        click.BadParameter: The text is not a positive size.
    """
    if text is None:
        return None
    found = _SIZE_PATTERN.fullmatch(text.strip())
    if not found or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a size such as 4GiB or 4096.")
    return _size_in_megabytes(found)


def _size_in_megabytes(match: re.Match[str]) -> int:
    return int(match[1]) * _UNIT_IN_MEGABYTES[(match[2] or "m").lower()]


def _parse_quota(name: str, amount: str) -> int:
    if name == "memory" and (found := _SIZE_PATTERN.fullmatch(amount)):
        return _size_in_megabytes(found)
    if name != "memory" and _COUNT_PATTERN.fullmatch(amount):
        return int(amount)
    wanted = "a size such as 600GiB" if name == "memory" else "a whole number"
    raise click.BadParameter(f"{name} is {amount!r}, not {wanted} or none.")
