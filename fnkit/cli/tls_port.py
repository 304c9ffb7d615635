"""Parses ``--tls-port`` and ``--nats-port``: a port, 0 for any free port, or ``none``."""

from __future__ import annotations

from typing import Final, Literal

import click

__all__ = ["read_tls_port"]

_PORT_MAX: Final = 65535
_DIGITS_MAX: Final = 5


def read_tls_port(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> int | Literal["none"] | None:
    """Parse a port or ``none``, as a click callback; return ``None`` if the option is absent.

    Raises:
        click.BadParameter: The text is neither a port number nor ``none``.
    """
    if text is None:
        return None
    if text == "none":
        return "none"
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and int(text) <= _PORT_MAX:
        return int(text)
    raise click.BadParameter(f"{text!r} is not a port from 0 to {_PORT_MAX}, or none.")
