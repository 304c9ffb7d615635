"""The values of a project's secrets: process environment, then ``.env.<stage>``, then ``.env`` (decision 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fnkit.contract.limits import SECRET_VALUE_MAX_BYTES
from fnkit.project.dotenv import DotenvFault, parse_dotenv
from fnkit.project.findings import Findings
from fnkit.project.model import Project, Source

__all__ = ["SecretValues", "read_secret_values"]


class SecretValues(Mapping[str, str]):
    """Values by name. Its text form shows the names alone, so that no log or traceback can show more."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        """Return a secret's value; ``KeyError`` for one that the project does not declare."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"SecretValues({', '.join(self._values)})"


def read_secret_values(project: Project, environ: Mapping[str, str]) -> SecretValues:
    """Find the value of every secret that the project declares.

    Args:
        project: its functions' secrets, and its namespace's unless that is shared, are looked for.
        environ: the process environment.

    Raises:
        ProjectInvalid: with every missing or oversized secret and every ``.env`` file that cannot be read. No
            message holds a value.
    """
    findings = Findings()
    wanted = _declared(project)
    if not wanted:
        return SecretValues({})
    names = [f".env.{project.stage}"] if project.stage else []
    layers = [environ, *(_file(project.root, name, findings) for name in (*names, ".env"))]
    found: dict[str, str] = {}
    for name, source in wanted.items():
        value = next((layer[name] for layer in layers if name in layer), None)
        if value is None:
            where = " or ".join(("the environment", *names, ".env"))
            findings.add("missing-secret", f"The secret {name} has no value.", f"Set it in {where}.", source)
        elif len(value.encode("utf-8", "surrogateescape")) > SECRET_VALUE_MAX_BYTES:
            message = f"The secret {name} has more than {SECRET_VALUE_MAX_BYTES} bytes."
            findings.add("secret-too-long", message, None, source)
        else:
            found[name] = value
    findings.raise_if_any()
    return SecretValues(found)


def _declared(project: Project) -> dict[str, Source]:
    """Every secret's name, and where it is asked for first."""
    wanted: dict[str, Source] = {}
    for function in project.functions:
        for name in function.secrets:
            wanted.setdefault(name, function.source)
    if not project.namespace.shared:
        for name in project.namespace.secrets:
            wanted.setdefault(name, project.namespace.source)
    return wanted


def _file(root: Path, name: str, findings: Findings) -> Mapping[str, str]:
    try:
        return parse_dotenv((root / name).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except DotenvFault as fault:
        hint = "Lines are NAME=value; quote what holds spaces around #, quotes or line ends."
        findings.add("bad-dotenv", f"{name} cannot be read: {fault.what}.", hint, Source(name, fault.line))
    except UnicodeDecodeError:
        findings.add("bad-dotenv", f"{name} is not UTF-8 text.", None, Source(name, 1))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        findings.add("bad-dotenv", f"{name} cannot be read: {reason}.", None, Source(name, 1))
    return {}
