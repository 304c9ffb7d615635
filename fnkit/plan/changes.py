"""A plan as plain data: what would be done, to what, and why. It goes to JSON and back unchanged.

A plan holds digests, never bytes; secrets appear by name, never by value. A function's crons follow it in
``changes``; applying takes a function and its crons together.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

__all__ = [
    "Action",
    "Change",
    "CronChange",
    "FunctionChange",
    "FunctionSettings",
    "NamespaceChange",
    "NamespaceSettings",
    "Plan",
    "SecretChanges",
    "Summary",
    "decode_plan",
    "encode_plan",
]


class Action(StrEnum):
    """What would be done. ``replace`` deletes and creates: the API cannot change it in place."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    KEEP = "keep"


class SecretChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Names of secrets whose values are written, and of those that go."""

    write: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.write or self.remove)


class NamespaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of a namespace that a project decides, complete."""

    description: str
    environment: dict[str, str]
    tags: tuple[str, ...]


class FunctionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of a function that a project decides, complete. Memory in MB, timeout as ``"300s"``.

    private_network_id is ``""`` for none, which detaches.
    """

    runtime: str
    handler: str
    memory: int
    min_scale: int
    max_scale: int
    timeout: str
    privacy: str
    http_option: str
    sandbox: str
    description: str
    environment: dict[str, str]
    private_network_id: str


class NamespaceChange(msgspec.Struct, frozen=True, kw_only=True, tag="namespace", tag_field="kind"):
    """The namespace. ``settings`` is ``None`` where it is only deleted, or never touched (shared)."""

    action: Action
    name: str
    id: str | None = None
    reasons: tuple[str, ...] = ()
    settings: NamespaceSettings | None = None
    secrets: SecretChanges = SecretChanges()


class FunctionChange(msgspec.Struct, frozen=True, kw_only=True, tag="function", tag_field="kind"):
    """One function.

    tags: all of them but code and links, which are known once the archive is up and the crons are made.
    code: the slice's digest; archive: the content digest of the bundle to upload, ``None`` for no upload.
    declared: 16 hex over the declared crons (see ``fnkit.plan.tags``).
    """

    action: Action
    name: str
    id: str | None = None
    reasons: tuple[str, ...] = ()
    settings: FunctionSettings | None = None
    secrets: SecretChanges = SecretChanges()
    tags: tuple[str, ...] = ()
    code: str = ""
    archive: str | None = None
    declared: str = ""


class CronChange(msgspec.Struct, frozen=True, kw_only=True, tag="cron", tag_field="kind"):
    """One cron of ``function``."""

    action: Action
    function: str
    name: str
    id: str | None = None
    reasons: tuple[str, ...] = ()
    schedule: str = ""
    args: dict[str, object] = {}


Change: TypeAlias = NamespaceChange | FunctionChange | CronChange


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How many changes of each action."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    keep: int = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a deploy would do, in the order in which a reader wants it.

    foreign: resources inside what we own that are not ours and are left alone, as ``"cron nightly of orders"``.
    notes: what a person should know, whole sentences. fnkit_plan: the format's version, first in the file: the
    bundler knows a saved plan by it and leaves it out of archives.
    """

    fnkit_plan: int = 1
    api_url: str
    region: str
    project_id: str
    project: str
    stage: str
    namespace: str
    changes: tuple[Change, ...]
    foreign: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> Summary:
        """Count the changes by action."""
        counts = dict.fromkeys(Action, 0)
        for change in self.changes:
            counts[change.action] += 1
        return Summary(**{action.value: number for action, number in counts.items()})

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(change.action is Action.KEEP for change in self.changes)

    def crons_of(self, function: str) -> tuple[CronChange, ...]:
        """Return the cron changes of one function."""
        return tuple(
            change for change in self.changes if isinstance(change, CronChange) and change.function == function
        )


def encode_plan(plan: Plan) -> bytes:
    """Return the plan as indented JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def decode_plan(document: bytes) -> Plan:
    """Read a plan back; ``msgspec.DecodeError`` when it is not one."""
    return msgspec.json.decode(document, type=Plan)
