"""What a decorator says about a handler: frozen values, as the author wrote them, nothing checked yet.

A declaration holds what was *given*; ``None`` means "not given", so that project-wide settings can fill it in.
Checking and defaults are ``fnkit.project``'s work, where all problems can be told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, FrozenInstanceError, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar, dataclass_transform

__all__ = ["ATTRIBUTE", "CronDeclaration", "Declaration", "FunctionDeclaration", "TriggerDeclaration"]

ATTRIBUTE = "__fnkit__"
"""The attribute of a handler under which its declarations stand, as one tuple in the order of writing."""


_Kind = TypeVar("_Kind")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def _declaration(kind: type[_Kind]) -> type[_Kind]:
    """Make a frozen dataclass of keywords.

    ``dataclass`` writes and compiles the methods of each class anew, 1.6 ms in all at every cold start of every
    function that imports fnkit. Here they stand once, in ``_Frozen``, and it only collects the fields.
    """
    return dataclass(init=False, repr=False, eq=False, kw_only=True)(kind)


class _Frozen:
    """What ``dataclass(frozen=True, kw_only=True)`` would write."""

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:

        def __init__(self, **given: object) -> None:
            kind = type(self)
            for field in fields(kind):
                if field.name in given:
                    self.__dict__[field.name] = given.pop(field.name)
                elif not hasattr(kind, field.name):
                    raise TypeError(f"{kind.__name__} needs {field.name}")
            if given:
                raise TypeError(f"{kind.__name__} has no {', '.join(given)}")

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        given = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))
        return f"{type(self).__qualname__}({given})"

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


@_declaration
class FunctionDeclaration(_Frozen):
    """``@function``: every field of the API's CreateFunction and CreateDomain, under its plain name.

    memory: MB. timeout: seconds, or ``"30s"``, ``"5m"``. secrets: names of environment variables on the
    deploying machine. domains: custom hostnames. slice: False deploys on any change of the project.
    preload: False keeps third-party imports out of warm-up.
    """

    name: str | None = None
    runtime: str | None = None
    memory: int | None = None
    min_scale: int | None = None
    max_scale: int | None = None
    timeout: str | int | float | None = None
    privacy: str | None = None
    http_option: str | None = None
    sandbox: str | None = None
    description: str | None = None
    env: Mapping[str, str] | None = None
    secrets: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    domains: tuple[str, ...] | None = None
    private_network_id: str | None = None
    slice: bool | None = None
    preload: bool | None = None


@_declaration
class CronDeclaration(_Frozen):
    """``@cron``: a UNIX schedule in UTC, the JSON object to POST, and an optional name."""

    schedule: str
    args: Mapping[str, object] | None = None
    name: str | None = None


@_declaration
class TriggerDeclaration(_Frozen):
    """``@trigger``: exactly one of a NATS subject and an SQS queue.

    account: the NATS account's id. project_id, region: where the queue or the account lives.
    """

    nats: str | None = None
    sqs: str | None = None
    name: str | None = None
    description: str | None = None
    account: str | None = None
    project_id: str | None = None
    region: str | None = None


Declaration: TypeAlias = FunctionDeclaration | CronDeclaration | TriggerDeclaration
"""What one decorator says. A handler's tuple holds any of them, in any number and order."""
