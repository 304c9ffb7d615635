"""A trigger as the store keeps it: what it listens to, and with which credentials."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from fnkit.contract.enums import Status

__all__ = ["NatsSource", "QueueSource", "SqsSource", "TriggerRecord", "TriggerSource"]


class QueueSource(msgspec.Struct, frozen=True, kw_only=True, tag="scw_sqs"):
    """A queue of Scaleway's. credential_id: what reads it, ``None`` until the trigger was first ready."""

    queue: str
    project_id: str
    region: str
    credential_id: str | None = None


class NatsSource(msgspec.Struct, frozen=True, kw_only=True, tag="scw_nats"):
    """A subject of a NATS account of Scaleway's. credential_id: as above."""

    subject: str
    account_id: str
    project_id: str
    region: str
    credential_id: str | None = None


class SqsSource(msgspec.Struct, frozen=True, kw_only=True, tag="sqs"):
    """A queue anywhere. sealed: the encrypted secret key (``store.vault``, owner: the trigger)."""

    endpoint: str
    queue_url: str
    access_key: str
    sealed: bytes

    def __repr__(self) -> str:
        """Show the queue alone."""
        return f"SqsSource({self.queue_url!r})"


TriggerSource: TypeAlias = QueueSource | NatsSource | SqsSource


class TriggerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of ``source`` go to a function. ``created_at`` is platform time in Unix nanoseconds."""

    id: str
    region: str
    function_id: str
    namespace_id: str
    project_id: str
    name: str
    description: str
    source: TriggerSource
    created_at: int
    status: Status = Status.CREATING
    error_message: str | None = None
