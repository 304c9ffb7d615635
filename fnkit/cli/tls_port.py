"""Parses ``--tls-port`` and ``--nats-port``: a port, 0 for any free port, or ``none``."""

from __future__ import annotations

from typing import Final, Literal

import click

__all__ = ["parse_optional_port"]

_MAX_PORT: Final = 65535
_MAX_PORT_DIGITS: Final = 5


def parse_optional_port(
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
    if text.isascii() and text.isdigit() and len(text) <= _MAX_PORT_DIGITS and int(text) <= _MAX_PORT:
        return int(text)
    raise click.BadParameter(f"{text!r} is not a port from 0 to {_MAX_PORT}, or none.")
