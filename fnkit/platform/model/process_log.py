"""The log of a process of the platform: its standard error, which the supervisor collects."""

from __future__ import annotations

import logging

from fnkit.contract.text import escape_control_characters


def log_to_standard_error() -> None:
    """Log from level ``INFO`` on, one line per message."""
    handler = logging.StreamHandler()  # standard error
    handler.addFilter(_escape_message)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=[handler]
    )


def _escape_message(record: logging.LogRecord) -> bool:
    """Keep a message on one line, whatever it quotes. A traceback follows on lines of its own."""
    record.msg, record.args = escape_control_characters(record.getMessage()), ()
    return True
