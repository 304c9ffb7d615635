"""Reads the values of a project's secrets from the environment, ``.env.<stage>`` and ``.env``, in this order.

The syntax of ``.env`` files is documented at ``parse_dotenv``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from fnkit.contract.limits import SECRET_VALUE_MAX_BYTES
from fnkit.project.files import OutsideProject, read_project_text
from fnkit.project.model import Project, SourceLocation
from fnkit.project.problems import ProblemList

_WHITE_SPACE_AND_COMMENTS: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_ASSIGNMENT: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_SINGLE_QUOTED: Final = re.compile(r"'([^']*)'")
_DOUBLE_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNQUOTED: Final = re.compile(r"[^\r\n]*")
_END_OF_LINE: Final = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


class DotenvError(Exception):
    """A syntax error in a ``.env`` file. The message never contains text of the file, which may be a secret."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.reason = what
        self.line = line


def parse_dotenv(text: str) -> Mapping[str, str]:
    """Parse a ``.env`` file.

    Each line is ``NAME=value``, optionally preceded by ``export``. A comment starts with ``#``, after a value only
    if white space precedes it. A value is unquoted, in single quotes (taken literally) or in double quotes (with
    the escapes of ``_ESCAPES``); quoted values may span lines. Variables are not substituted, because a secret may
    contain ``$``.

    Returns:
        The values by name. The last value of a repeated name wins.

    Raises:
        DotenvError: A line cannot be parsed.
    """
    values: dict[str, str] = {}
    position = _skip_blank(text, 0)
    while position < len(text):
        line = text.count("\n", 0, position) + 1
        name = _ASSIGNMENT.match(text, position)
        if name is None:
            raise DotenvError("expected NAME=value", line)
        value, position = _parse_value(text, name.end(), line)
        values[name.group(1)] = value
        position = _skip_blank(text, position)
    return values


def _parse_value(text: str, position: int, line: int) -> tuple[str, int]:
    opening = text[position : position + 1]
    if opening not in ("'", '"') or not opening:
        bare = _UNQUOTED.match(text, position)
        whole = bare.group() if bare else ""
        return re.split(r"(?:^|[ \t])#", whole, maxsplit=1)[0].strip(), position + len(whole)
    match = (_SINGLE_QUOTED if opening == "'" else _DOUBLE_QUOTED).match(text, position)
    if match is None:
        raise DotenvError("a quoted value is not closed", line)
    rest = _END_OF_LINE.match(text, match.end())
    if rest is None:
        raise DotenvError("unexpected text after a quoted value", line + match.group().count("\n"))
    value = match.group(1)
    if opening == '"':
        value = _ESCAPE.sub(lambda found: _ESCAPES.get(found.group(1), found.group()), value)
    return value, rest.end()


def _skip_blank(text: str, position: int) -> int:
    match = _WHITE_SPACE_AND_COMMENTS.match(text, position)
    return match.end() if match else position


class SecretValues(Mapping[str, str]):
    """Secret values by name. The ``repr`` contains only names, so that values do not reach logs or tracebacks."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        """Return the value of a secret; raises ``KeyError`` for one that the project does not declare."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"SecretValues({', '.join(self._values)})"


def read_secret_values(project: Project, environ: Mapping[str, str]) -> SecretValues:
    """Read the value of every secret that the project declares.

    The secrets are those of its functions and, unless it is shared, of its namespace.

    Args:
        project: The project.
        environ: The process environment.

    Raises:
        ProjectInvalid: A secret is missing or too large, or a ``.env`` file cannot be read. All problems are
            included, and no message contains a value.
    """
    problems = ProblemList()
    declared = declared_secrets(project)
    if not declared:
        return SecretValues({})
    names = [f".env.{project.stage}"] if project.stage else []
    layers = [environ, *(_read_dotenv_file(project.root, name, problems) for name in (*names, ".env"))]
    found: dict[str, str] = {}
    for name, source in declared.items():
        value = next((layer[name] for layer in layers if name in layer), None)
        if value is None:
            places = " or ".join(("the environment", *names, ".env"))
            problems.add("missing-secret", f"The secret {name} has no value.", f"Set it in {places}.", source)
        elif len(value.encode("utf-8", "surrogateescape")) > SECRET_VALUE_MAX_BYTES:
            message = f"The secret {name} has more than {SECRET_VALUE_MAX_BYTES} bytes."
            problems.add("secret-too-long", message, None, source)
        else:
            found[name] = value
    problems.raise_if_any()
    return SecretValues(found)


def declared_secrets(project: Project) -> dict[str, SourceLocation]:
    """Return the names of all declared secrets, with the location of their first declaration."""
    declared: dict[str, SourceLocation] = {}
    namespaces = () if project.namespace.shared else (project.namespace,)
    for owner in (*project.functions, *namespaces):
        for name in owner.secrets:
            declared.setdefault(name, owner.source)
    return declared


def _read_dotenv_file(root: Path, name: str, problems: ProblemList) -> Mapping[str, str]:
    try:
        return parse_dotenv(read_project_text(root, root / name))
    except FileNotFoundError:
        return {}
    except OutsideProject:
        hint = "Copy the file into the project, or set the variables in the environment."
        problems.add(
            "bad-dotenv", f"{name} is a symbolic link to a file outside the project.", hint, SourceLocation(name, 1)
        )
    except DotenvError as error:
        hint = "Lines are NAME=value. Quote values that contain # after a space, quotes or line ends."
        problems.add(
            "bad-dotenv", f"{name} cannot be read: {error.reason}.", hint, SourceLocation(name, error.line)
        )
    except UnicodeDecodeError:
        problems.add("bad-dotenv", f"{name} is not UTF-8 text.", None, SourceLocation(name, 1))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problems.add("bad-dotenv", f"{name} cannot be read: {reason}.", None, SourceLocation(name, 1))
    return {}
