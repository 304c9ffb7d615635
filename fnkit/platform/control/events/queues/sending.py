"""Test messages: sends a message to where a trigger receives from."""

from __future__ import annotations

import base64
import binascii

from fnkit.contract.deliveries import SendMessage, SentMessage
from fnkit.platform.control.errors import ControlError, invalid
from fnkit.platform.control.events.queues.interface import BrokerBackend, BrokerError
from fnkit.platform.model.records import TriggerRecord

_BAD_GATEWAY = 502


async def send_message(backend: BrokerBackend, record: TriggerRecord, request: SendMessage) -> SentMessage:
    """Send a message through the broker of a trigger, which then delivers it as any other.

    Args:
        backend: The backend of the trigger's kind.
        record: The trigger.
        request: The message.

    Raises:
        ControlError: 400 for an invalid message or subject, 409 if the trigger has no broker, 502 if the broker
            does not take the message.
    """
    endpoint = backend.endpoint(record)
    if isinstance(endpoint, str):
        raise ControlError(409, f"the trigger is idle: {endpoint}")
    try:
        return await backend.send(record, _decode(request), request.subject)
    except BrokerError as error:
        raise ControlError(_BAD_GATEWAY, f"the message was not sent: {error}") from None


def _decode(request: SendMessage) -> bytes:
    if not request.is_base64:
        return request.body.encode("utf-8", "replace")
    try:
        return base64.b64decode(request.body, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("body", "is not base64") from None
