"""A plan as plain data: the changes, their resources and their reasons. Encodes to JSON and back unchanged.

A plan contains digests instead of bytes and names of secrets instead of values. The changes of a function's crons,
domains and triggers follow the function's own change; applying processes them together.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec


class Action(StrEnum):
    """What a change does. ``replace`` deletes and creates, for what the API cannot update in place."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    KEEP = "keep"


class SecretDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Names of secrets to write and to remove."""

    write: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether anything changes."""
        return bool(self.write or self.remove)


class NamespaceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a namespace that a project controls."""

    description: str
    environment: dict[str, str]
    tags: tuple[str, ...]


class FunctionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of a function that a project controls.

    Attributes:
        memory: MB.
        timeout: An API duration, for example ``"300s"``.
        private_network_id: ``""`` for none; the API then detaches the function.
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


class _OwnedChange(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    action: Action
    name: str
    id: str | None = None
    reasons: tuple[str, ...] = ()


class NamespaceChange(_OwnedChange, frozen=True, kw_only=True, tag="namespace"):
    """The change of the namespace.

    Attributes:
        settings: ``None`` where the namespace is deleted, or shared and therefore not modified.
    """

    settings: NamespaceConfig | None = None
    secrets: SecretDiff = SecretDiff()


class FunctionChange(_OwnedChange, frozen=True, kw_only=True, tag="function"):
    """The change of one function.

    Attributes:
        tags: All tags except ``fnkit.code`` and ``fnkit.links``. Those are known only after the archive is uploaded
            and the function's resources exist.
        code: Digest of the slice.
        archive: Content digest of the bundle to upload; ``None`` for no upload.
        declared: Hash of the declared crons, domains and triggers (``fnkit.plan.ownership``).
        domain: The live ``domain_name`` of a function that is deleted or replaced, else empty.
        function_urls: Variables beside those of ``settings`` that get the URL of a function which this plan creates
            or replaces, each with its name.
        live_links: The live half of ``fnkit.links`` to keep, where the function's resources were not fetched
            because they do not change.
    """

    settings: FunctionConfig | None = None
    secrets: SecretDiff = SecretDiff()
    tags: tuple[str, ...] = ()
    code: str = ""
    archive: str | None = None
    declared: str = ""
    domain: str = ""
    live_links: str | None = None
    function_urls: dict[str, str] = {}


class _AttachedChange(msgspec.Struct, frozen=True, tag_field="kind"):
    action: Action
    function: str
    name: str
    id: str | None = None
    reasons: tuple[str, ...] = ()


class CronConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a cron, with the names that they have in the API's requests and responses.

    A field added here is compared, hashed and sent without further code.
    """

    schedule: str
    args: dict[str, object]


class CronChange(_AttachedChange, frozen=True, kw_only=True, tag="cron"):
    """The change of one cron of ``function``. ``settings`` is ``None`` where it is deleted."""

    settings: CronConfig | None = None


class DomainChange(_AttachedChange, frozen=True, tag="domain"):
    """The change of one custom hostname of ``function``. ``name`` is the hostname."""


class TriggerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The message source of a trigger. Only the description can be updated in place.

    Attributes:
        source: ``nats`` or ``sqs``.
        address: NATS subject or SQS queue name.
        account: Id of the NATS account; empty for SQS.
    """

    source: str
    address: str
    description: str
    account: str
    project_id: str
    region: str


class TriggerChange(_AttachedChange, frozen=True, kw_only=True, tag="trigger"):
    """The change of one trigger of ``function``. ``settings`` is ``None`` where it is deleted."""

    settings: TriggerConfig | None = None


AttachedResourceChange: TypeAlias = CronChange | DomainChange | TriggerChange
Change: TypeAlias = NamespaceChange | FunctionChange | AttachedResourceChange


class PlanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Number of changes by action."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0
    keep: int = 0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a deploy would do, in display order.

    Attributes:
        fnkit_plan: Version of the format. It is the first field, because the bundler recognises a saved plan by it
            and leaves it out of archives.
        foreign: Resources that fnkit does not own and does not change, for example ``"cron nightly of orders"``.
        notes: Sentences for the user.
        renames: A sentence for each new function that is a deleted one under another name.
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
    renames: tuple[str, ...] = ()

    @property
    def summary(self) -> PlanSummary:
        """Count the changes by action."""
        counts = dict.fromkeys(Action, 0)
        for change in self.changes:
            counts[change.action] += 1
        return PlanSummary(**{action.value: number for action, number in counts.items()})

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return all(change.action is Action.KEEP for change in self.changes)

    @property
    def referenced_functions(self) -> frozenset[str]:
        """Names of the functions whose URLs are known after this plan has created them."""
        changes = [change for change in self.changes if isinstance(change, FunctionChange)]
        return frozenset(name for change in changes for name in change.function_urls.values())

    def attached_changes(self, function: str) -> tuple[AttachedResourceChange, ...]:
        """Return the changes of one function's crons, domains and triggers."""
        return tuple(
            change
            for change in self.changes
            if isinstance(change, CronChange | DomainChange | TriggerChange) and change.function == function
        )


def encode_plan(plan: Plan) -> bytes:
    """Return the plan as indented JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def decode_plan(document: bytes) -> Plan:
    """Decode a saved plan.

    Raises:
        msgspec.DecodeError: The document is not a plan.
    """
    return msgspec.json.decode(document, type=Plan)
