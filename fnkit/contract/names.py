"""Rules for names, and the DNS labels made from them."""

from __future__ import annotations

import re
from typing import Final

from fnkit.contract.limits import FUNCTION_NAME_MAX

__all__ = [
    "FUNCTION_NAME_RULE",
    "STAGE_RULE",
    "TRIGGER_NAME_RULE",
    "domain_label",
    "function_name_fault",
    "namespace_slug",
]

FUNCTION_NAME_RULE: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""Source: the API's own 400 text (pulumi-scaleway#254)."""

TRIGGER_NAME_RULE: Final = re.compile(r"[a-zA-Z0-9-]{2,100}")
"""Source: the Serverless Framework plugin's validate.js."""

STAGE_RULE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")

_SLUG_LENGTH: Final = 20


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
