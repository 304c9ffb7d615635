"""What ``--tls-port`` says: a port, 0 for any free one, or ``none``."""

from __future__ import annotations

from typing import Final, Literal

import click

__all__ = ["read_tls_port"]

_PORT_MAX: Final = 65535
_DIGITS_MAX: Final = 5


def read_tls_port(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> int | Literal["none"] | None:
    """Return the port, ``"none"``, or ``None`` where nothing was said.

    Raises:
        click.BadParameter: it says something else.
    """
    if text is None:
        return None
    if text == "none":
        return "none"
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and int(text) <= _PORT_MAX:
        return int(text)
    raise click.BadParameter(f"{text!r} is not a port from 0 to {_PORT_MAX}, or none.")
