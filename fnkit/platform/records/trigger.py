"""The stored form of a trigger and of its message source."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from fnkit.contract.enums import Status

__all__ = ["NatsSource", "QueueSource", "SqsSource", "TriggerRecord", "TriggerSource"]


class QueueSource(msgspec.Struct, frozen=True, kw_only=True, tag="scw_sqs"):
    """A queue of Scaleway Messaging and Queuing.

    Attributes:
        queue: Name of the queue.
        project_id: The queue's project.
        region: The queue's region.
        credential_id: UUID of the credential that reads the queue, ``None`` until the trigger was first ready.
            Only the API shows it; the broker's actual credentials come from ``brokers.toml``.
    """

    queue: str
    project_id: str
    region: str
    credential_id: str | None = None


class NatsSource(msgspec.Struct, frozen=True, kw_only=True, tag="scw_nats"):
    """A subject of a Scaleway NATS account.

    Attributes:
        subject: The subject, possibly with wildcards.
        account_id: The account's public key.
        project_id: The account's project.
        region: The account's region.
        credential_id: As in ``QueueSource``.
    """

    subject: str
    account_id: str
    project_id: str
    region: str
    credential_id: str | None = None


class SqsSource(msgspec.Struct, frozen=True, kw_only=True, tag="sqs"):
    """A queue of any SQS-compatible service.

    Attributes:
        endpoint: URL of the service.
        queue_url: URL of the queue.
        access_key: Access key that reads the queue.
        ciphertext: The secret key, encrypted by ``Vault`` for the trigger.
    """

    endpoint: str
    queue_url: str
    access_key: str
    ciphertext: bytes

    def __repr__(self) -> str:
        """Return a representation without credentials."""
        return f"SqsSource({self.queue_url!r})"


TriggerSource: TypeAlias = QueueSource | NatsSource | SqsSource


class TriggerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A message source whose messages are delivered to a function.

    Attributes:
        id: UUID.
        region: The function's region.
        function_id: The function to call.
        namespace_id: The function's namespace.
        project_id: The function's project.
        name: 2 to 100 letters, digits and dashes.
        description: Free text.
        source: Where the messages come from.
        created_at: Platform time in Unix nanoseconds.
        status: Current status.
        error_message: Why the trigger is in status ``error``: the broker's message.
    """

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
