"""Reads the values of a project's secrets from the environment, ``.env.<stage>`` and ``.env``, in this order.

The syntax of ``.env`` files is documented at ``parse_dotenv``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fnkit.contract.limits import SECRET_VALUE_MAX_BYTES
from fnkit.project.dotenv import DotenvError, parse_dotenv
from fnkit.project.findings import ProblemList
from fnkit.project.model import Project, SourceLocation

__all__ = ["SecretValues", "read_secret_values"]


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
    declared = _declared_secrets(project)
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


def _declared_secrets(project: Project) -> dict[str, SourceLocation]:
    """Return the names of all declared secrets, with the location of their first declaration."""
    declared: dict[str, SourceLocation] = {}
    for function in project.functions:
        for name in function.secrets:
            declared.setdefault(name, function.source)
    if not project.namespace.shared:
        for name in project.namespace.secrets:
            declared.setdefault(name, project.namespace.source)
    return declared


def _read_dotenv_file(root: Path, name: str, problems: ProblemList) -> Mapping[str, str]:
    try:
        return parse_dotenv((root / name).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
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
