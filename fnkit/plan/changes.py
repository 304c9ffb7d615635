"""A plan as plain data: what would be done, to what, and why. It goes to JSON and back unchanged.

A plan holds digests, never bytes; secrets appear by name, never by value. A function's crons, domains and
triggers follow it in ``changes``; applying takes a function and them together.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

__all__ = [
    "Action",
    "Change",
    "ChildChange",
    "CronChange",
    "DomainChange",
    "FunctionChange",
    "FunctionSettings",
    "NamespaceChange",
    "NamespaceSettings",
    "Plan",
    "SecretChanges",
    "Summary",
    "TriggerChange",
    "TriggerSettings",
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

    tags: all of them but code and links, which are known once the archive is up and its children are made.
    code: the slice's digest; archive: the content digest of the bundle to upload, ``None`` for no upload.
    declared: 16 hex over what is declared beneath it (see ``fnkit.plan.tags``). live_links: the other half of
    ``fnkit.links`` as it is, where the lists were not fetched and it stays so.
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
    live_links: str | None = None


class CronChange(msgspec.Struct, frozen=True, kw_only=True, tag="cron", tag_field="kind"):
    """One cron of ``function``."""

    action: Action
    function: str
    name: str
    id: str | None = None
    reasons: tuple[str, ...] = ()
    schedule: str = ""
    args: dict[str, object] = {}


class DomainChange(msgspec.Struct, frozen=True, kw_only=True, tag="domain", tag_field="kind"):
    """One custom hostname of ``function``; ``name`` is the hostname."""

    action: Action
    function: str
    name: str
    id: str | None = None
    reasons: tuple[str, ...] = ()


class TriggerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger listens to. source: ``nats`` or ``sqs``; address: the subject or the queue's name.

    account is a NATS account's id, empty for SQS. A trigger's name and description can be changed, the rest not.
    """

    source: str
    address: str
    description: str
    account: str
    project_id: str
    region: str


class TriggerChange(msgspec.Struct, frozen=True, kw_only=True, tag="trigger", tag_field="kind"):
    """One trigger of ``function``; ``settings`` is ``None`` where it is only deleted."""

    action: Action
    function: str
    name: str
    id: str | None = None
    reasons: tuple[str, ...] = ()
    settings: TriggerSettings | None = None


ChildChange: TypeAlias = CronChange | DomainChange | TriggerChange
Change: TypeAlias = NamespaceChange | FunctionChange | ChildChange


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

    def children_of(self, function: str) -> tuple[ChildChange, ...]:
        """Return the changes of what lies beneath one function."""
        return tuple(
            change
            for change in self.changes
            if isinstance(change, CronChange | DomainChange | TriggerChange) and change.function == function
        )


def encode_plan(plan: Plan) -> bytes:
    """Return the plan as indented JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def decode_plan(document: bytes) -> Plan:
    """Read a plan back; ``msgspec.DecodeError`` when it is not one."""
    return msgspec.json.decode(document, type=Plan)
