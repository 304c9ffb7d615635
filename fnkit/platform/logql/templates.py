"""Templates such as ``{{.level}}: {{.message}}``. Functions and conditions of Go templates are not supported."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

__all__ = ["check_template", "compile_template"]

_ACTION: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_SUPPORTED_ACTION: Final = re.compile(r"\.[A-Za-z_][A-Za-z0-9_]*|__line__|__timestamp__")


def check_template(template: str) -> str:
    """Return the error of a template, or an empty string if it is valid."""
    for action in _ACTION.findall(template):
        if action == "__timestamp__" or not _SUPPORTED_ACTION.fullmatch(action):
            return f"the template action {{{{ {action[:64]} }}}} is not supported here, only {{{{.label}}}} is"
    if "{{" in _ACTION.sub("", template):
        return "unclosed action in a template"
    return ""


def compile_template(template: str) -> Callable[[Callable[[str], str], str], str]:
    """Return a function that renders a template, given a lookup of labels and the line.

    >>> compile_template("{{.a}}-{{ .b }}")({"a": "1", "b": "2"}.__getitem__, "")
    '1-2'
    """
    # "{{-" and "-}}" remove the white space beside them.
    trimmed = re.sub(r"\s*\{\{-", "{{", re.sub(r"-\}\}\s*", "}}", template))
    parts = _ACTION.split(trimmed)  # literals at even indexes, actions at odd ones

    def render(label: Callable[[str], str], line: str) -> str:
        rendered = list(parts)
        for index in range(1, len(rendered), 2):
            rendered[index] = line if rendered[index] == "__line__" else label(rendered[index][1:])
        return "".join(rendered)

    return render
