"""Rules for names, and the DNS labels made from them."""

from __future__ import annotations

import re
from typing import Final

from fnkit.contract.limits import FUNCTION_NAME_MAX

__all__ = [
    "FUNCTION_NAME_RULE",
    "NATS_ACCOUNT_RULE",
    "STAGE_RULE",
    "TRIGGER_NAME_RULE",
    "domain_label",
    "function_name_fault",
    "is_hostname",
    "is_nats_subject",
    "is_queue_name",
    "namespace_slug",
]

FUNCTION_NAME_RULE: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""Source: the API's own 400 text (pulumi-scaleway#254)."""

TRIGGER_NAME_RULE: Final = re.compile(r"[a-zA-Z0-9-]{2,100}")
"""Source: the Serverless Framework plugin's validate.js."""

NATS_ACCOUNT_RULE: Final = re.compile(r"[A-Z0-9]{56}")
"""Source: the Serverless Framework plugin's validate.js; recorded ids are such."""

STAGE_RULE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")

_SLUG_LENGTH: Final = 20
_HOSTNAME_MAX: Final = 253
_HOSTNAME_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_QUEUE: Final = re.compile(r"[a-zA-Z0-9_-]{1,80}(\.fifo)?")
_QUEUE_MAX: Final = 80
_SUBJECT_WORD: Final = re.compile(r"[^\s.*>\x00-\x1f\x7f]+")


def function_name_fault(name: str) -> str | None:
    """What is wrong with a function's name, in the API's own words, or ``None``.

    >>> function_name_fault("hello-world") is None
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


def namespace_slug(name: str) -> str:
    """The readable part of a namespace's label: lower case, ``[a-z0-9]`` only, at most 20 (1755 of 1755 recorded).

    >>> namespace_slug("tf-func-objective-panini")
    'tffuncobjectivepanin'
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())[:_SLUG_LENGTH]


def domain_label(namespace_label: str, function_name: str) -> str:
    """The first DNS label of a function's host. ``namespace_label`` is the slug with its 8 random characters."""
    return f"{namespace_label}-{function_name}"


def is_hostname(name: str) -> bool:
    """Whether it is a host's name in lower case: at least two labels (RFC 1123), the last one not a number.

    >>> is_hostname("shop.example.com"), is_hostname("example"), is_hostname("10.0.0.1")
    (True, False, False)
    """
    labels = name.split(".")
    if len(labels) < 2 or len(name) > _HOSTNAME_MAX or labels[-1].isdigit():  # noqa: PLR2004  a host in a domain
        return False
    return all(map(_HOSTNAME_LABEL.fullmatch, labels))


def is_queue_name(name: str) -> bool:
    """Whether it is an SQS queue's name: up to 80 letters, digits, ``-`` and ``_``; a FIFO's ends in ``.fifo``."""
    return len(name) <= _QUEUE_MAX and _QUEUE.fullmatch(name) is not None


def is_nats_subject(subject: str) -> bool:
    """Whether it is a NATS subject to listen to: words joined with dots; ``*`` is one word, ``>`` all the rest.

    >>> is_nats_subject("orders.*.created"), is_nats_subject("orders.>"), is_nats_subject("orders..x")
    (True, True, False)
    """
    *inner, last = subject.split(".")
    return all(word == "*" or _SUBJECT_WORD.fullmatch(word) for word in inner) and (
        last in ("*", ">") or _SUBJECT_WORD.fullmatch(last) is not None
    )
