"""Parses ``--quota`` and ``--memory-budget``.

A quota is ``functions=N,namespaces=N,memory=SIZE``, where each value is a number or ``none``, or just ``none``.
"""

from __future__ import annotations

import re
from typing import Final

import click

__all__ = ["read_quotas", "read_size"]

_NAMES: Final = ("functions", "namespaces", "memory")
_SIZE: Final = re.compile(r"(\d{1,12}) ?(?:([mgt])i?b?)?", re.IGNORECASE | re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,12}", re.ASCII)
_UNITS: Final = {"m": 1, "g": 1024, "t": 1024 * 1024}


def read_quotas(
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
        return dict.fromkeys(_NAMES)
    quotas: dict[str, int | None] = {}
    for part in text.split(","):
        name, equals, amount = part.strip().partition("=")
        if name not in _NAMES or not equals:
            raise click.BadParameter(f"{part.strip()!r} is not one of {', '.join(f'{one}=N' for one in _NAMES)}.")
        quotas[name] = None if amount == "none" else _amount(name, amount)
    return quotas


def read_size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Parse ``--memory-budget`` in MB, as a click callback; return ``None`` if the option is absent.

    Raises:
        click.BadParameter: The text is not a positive size.
    """
    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip())
    if not found or int(found[1]) == 0:
        raise click.BadParameter(f"{text!r} is not a size such as 4GiB or 4096.")
    return _megabytes(found)


def _megabytes(found: re.Match[str]) -> int:
    return int(found[1]) * _UNITS[(found[2] or "m").lower()]


def _amount(name: str, amount: str) -> int:
    if name == "memory" and (found := _SIZE.fullmatch(amount)):
        return _megabytes(found)
    if name != "memory" and _NUMBER.fullmatch(amount):
        return int(amount)
    wanted = "a size such as 600GiB" if name == "memory" else "a whole number"
    raise click.BadParameter(f"{name} is {amount!r}, not {wanted} or none.")
