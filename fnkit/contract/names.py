"""Validation of names."""

from __future__ import annotations

import re
from typing import Final

from fnkit.contract.limits import (
    FUNCTION_NAME_MAX,
    NATS_SUBJECT_MAX,
    QUEUE_NAME_MAX,
    TRIGGER_NAME_MAX,
    VARIABLE_NAME_MAX_CHARS,
)

FUNCTION_NAME_RULE: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""Source: the text of the API's 400 response (https://github.com/pulumiverse/pulumi-scaleway/issues/254)."""

TRIGGER_NAME_RULE: Final = re.compile(rf"[a-zA-Z0-9-]{{1,{TRIGGER_NAME_MAX}}}")
"""The rule of the kit: the API limits the length alone, Scaleway's plugin for the Serverless Framework the rest."""

NATS_ACCOUNT_RULE: Final = re.compile(r"[A-Z0-9]{56}")
"""Source: ``validate.js`` of Scaleway's plugin for the Serverless Framework; recorded IDs match it."""

STAGE_RULE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")

UUID_RULE: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_HOSTNAME_MAX: Final = 253
_HOSTNAME_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_QUEUE_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+(\.fifo)?")
_SUBJECT_TOKEN: Final = re.compile(r"[^\s.*>\x00-\x1f\x7f]+")


def function_name_error(name: str) -> str | None:
    """Return the API's error text for an invalid function name, or ``None`` if the name is valid.

    >>> function_name_error("hello-world") is None
    True
    """
    if not FUNCTION_NAME_RULE.fullmatch(name):
        return (
            "function name must consist of lower case alphanumeric characters or '-', "
            "starts and ends with an alphanumeric character"
        )
    if len(name) > FUNCTION_NAME_MAX:
        return "Key: 'Function.Name' Error:Field validation for 'Name' failed on the 'max' tag"
    return None


def variable_name_error(name: str) -> str | None:
    """Return the error text for a name that no variable of a process can have, or ``None`` if one can.

    >>> variable_name_error("A=B")
    "'A=B' is not a valid name of a variable"
    """
    if not name or "=" in name or "\0" in name or len(name) > VARIABLE_NAME_MAX_CHARS:
        return f"{name[:64]!r} is not a valid name of a variable"
    return None


def is_hostname(name: str) -> bool:
    """Return whether this is a lower-case hostname (RFC 1123) of at least two labels, the last one not numeric.

    >>> is_hostname("shop.example.com"), is_hostname("example"), is_hostname("10.0.0.1")
    (True, False, False)
    """
    labels = name.split(".")
    if len(labels) < 2 or len(name) > _HOSTNAME_MAX or labels[-1].isdigit():  # noqa: PLR2004  a host and its domain
        return False
    return all(map(_HOSTNAME_LABEL.fullmatch, labels))


def is_queue_name(name: str) -> bool:
    """Return whether this is a valid SQS queue name.

    A name consists of at most 100 letters, digits, ``-`` and ``_``. The name of a FIFO queue ends in ``.fifo``. The
    API limits the length alone; SQS allows no other characters.
    """
    return len(name) <= QUEUE_NAME_MAX and _QUEUE_NAME.fullmatch(name) is not None


def is_nats_subject(subject: str) -> bool:
    """Return whether this is a valid NATS subject for a subscription.

    A subject has at most 100 characters: tokens joined with dots. ``*`` matches one token, a final ``>`` all
    remaining tokens.

    >>> is_nats_subject("orders.*.created"), is_nats_subject("orders.>"), is_nats_subject("orders..x")
    (True, True, False)
    """
    if len(subject) > NATS_SUBJECT_MAX:
        return False
    *inner, last = subject.split(".")
    return all(part == "*" or _SUBJECT_TOKEN.fullmatch(part) for part in inner) and (
        last in ("*", ">") or _SUBJECT_TOKEN.fullmatch(last) is not None
    )
