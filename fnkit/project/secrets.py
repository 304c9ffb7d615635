"""Reads the values of a project's secrets from the environment, ``.env.<stage>`` and ``.env``, in this order."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.contract.limits import SECRET_VALUE_MAX_BYTES
from fnkit.project.dotenv import DotenvError, parse_dotenv
from fnkit.project.files import OutsideProject, read_project_text
from fnkit.project.model import Project, SourceLocation
from fnkit.project.problems import ProblemList

ENVIRONMENT: Final = "environment"
"""Origin of a secret that is set in the process environment."""


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


def read_secret_values(
    project: Project, environ: Mapping[str, str], defaults: Mapping[str, str] | None = None
) -> SecretValues:
    """Read the value of every secret that the project declares.

    The secrets are those of its functions and, unless it is shared, of its namespace.

    Args:
        project: The project.
        environ: The process environment.
        defaults: Values that the platform provides, for secrets that have none elsewhere.

    Raises:
        ProjectInvalid: A secret is missing or too large, or a ``.env`` file cannot be read. All problems are
            included, and no message contains a value.
    """
    problems = ProblemList()
    declared = declared_secrets(project)
    if not declared:
        return SecretValues({})
    layers = [environ, *_read_dotenv_files(project, problems).values(), defaults or {}]
    found: dict[str, str] = {}
    for name, source in declared.items():
        value = next((layer[name] for layer in layers if name in layer), None)
        if value is None:
            places = " or ".join(("the environment", *dotenv_files(project.stage)))
            problems.add("missing-secret", f"The secret {name} has no value.", f"Set it in {places}.", source)
        elif len(value.encode("utf-8", "surrogateescape")) > SECRET_VALUE_MAX_BYTES:
            message = f"The secret {name} has more than {SECRET_VALUE_MAX_BYTES} bytes."
            problems.add("secret-too-long", message, None, source)
        else:
            found[name] = value
    problems.raise_if_any()
    return SecretValues(found)


def find_values(project: Project, names: Iterable[str], environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the values of variables that the environment or a ``.env`` file has; those of others are left out.

    Raises:
        ProjectInvalid: A ``.env`` file cannot be read.
    """
    problems = ProblemList()
    files = _read_dotenv_files(project, problems)
    problems.raise_if_any()
    values = ChainMap(*(dict(layer) for layer in (environ, *files.values())))
    return {name: values[name] for name in names if name in values}


@dataclass(frozen=True, slots=True)
class SecretOrigin:
    """Where the value of a secret comes from. The value itself is not part of it.

    Attributes:
        name: Name of the secret.
        origin: ``environment``, or the name of a ``.env`` file; ``None`` if it has no value.
        functions: Names of the functions that declare it; all functions if the namespace does.
        is_declared: Whether anything declares it. Names in ``.env`` files that nothing declares are listed too.
    """

    name: str
    origin: str | None
    functions: tuple[str, ...]
    is_declared: bool

    @property
    def shown_origin(self) -> str:
        """The origin in words; empty if there is no value."""
        return "the environment" if self.origin == ENVIRONMENT else self.origin or ""


def locate_secrets(project: Project, environ: Mapping[str, str]) -> tuple[SecretOrigin, ...]:
    """Return where each secret's value comes from: declared ones, then other names in the ``.env`` files.

    Raises:
        ProjectInvalid: A ``.env`` file cannot be read.
    """
    problems = ProblemList()
    files = _read_dotenv_files(project, problems)
    problems.raise_if_any()
    layers = {ENVIRONMENT: environ, **files}
    declared = declared_secrets(project)
    others = dict.fromkeys(name for layer in files.values() for name in layer if name not in declared)
    of_namespace = () if project.namespace.shared else project.namespace.secrets
    return tuple(
        SecretOrigin(
            name,
            next((origin for origin, layer in layers.items() if name in layer), None),
            tuple(one.name for one in project.functions if name in one.secrets or name in of_namespace),
            name in declared,
        )
        for name in (*declared, *others)
    )


def dotenv_files(stage: str) -> tuple[str, ...]:
    """Return the names of the files that values are read from, the one with precedence first."""
    return (f".env.{stage}", ".env") if stage else (".env",)


def _read_dotenv_files(project: Project, problems: ProblemList) -> dict[str, Mapping[str, str]]:
    return {name: _read_dotenv_file(project.root, name, problems) for name in dotenv_files(project.stage)}


def declared_secrets(project: Project) -> dict[str, SourceLocation]:
    """Return the names of all declared secrets, with the location of their first declaration."""
    declared: dict[str, SourceLocation] = {}
    namespaces = () if project.namespace.shared else (project.namespace,)
    for owner in (*project.functions, *namespaces):
        for name in owner.secrets:
            declared.setdefault(name, owner.secrets_source or owner.source)
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
