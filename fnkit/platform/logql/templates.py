"""``{{.level}}: {{.message}}``: lines and labels made of labels. Go's functions and conditions are left out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

__all__ = ["check_template", "template_text"]

_ACTION: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_FIELD: Final = re.compile(r"\.[A-Za-z_][A-Za-z0-9_]*|__line__|__timestamp__")


def check_template(template: str) -> str:
    """Return what is wrong with a template, or ``""``."""
    for action in _ACTION.findall(template):
        if action == "__timestamp__" or not _FIELD.fullmatch(action):
            return f"the template action {{{{ {action[:64]} }}}} is not supported here, only {{{{.label}}}} is"
    if "{{" in _ACTION.sub("", template):
        return "unclosed action in a template"
    return ""


def template_text(template: str) -> Callable[[Callable[[str], str], str], str]:
    """Return what a template makes of labels (asked by name) and a line.

    >>> template_text("{{.a}}-{{ .b }}")({"a": "1", "b": "2"}.__getitem__, "")
    '1-2'
    """
    trimmed = re.sub(r"\s*\{\{-", "{{", re.sub(r"-\}\}\s*", "}}", template))
    texts = _ACTION.split(trimmed)

    def text(label: Callable[[str], str], line: str) -> str:
        made = list(texts)
        for place in range(1, len(made), 2):
            made[place] = line if made[place] == "__line__" else label(made[place][1:])
        return "".join(made)

    return text
