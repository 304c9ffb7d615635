"""The log of a process of the platform: its standard error, which the supervisor collects."""

from __future__ import annotations

import logging

from fnkit.contract.text import escape_control_characters


def standard_error_handler() -> logging.Handler:
    """Return a handler that writes each message on one line."""
    handler = logging.StreamHandler()
    handler.addFilter(_escape_message)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _escape_message(record: logging.LogRecord) -> bool:
    """Keep a message on one line, whatever it quotes. A traceback follows on lines of its own."""
    record.msg, record.args = escape_control_characters(record.getMessage()), ()
    return True
