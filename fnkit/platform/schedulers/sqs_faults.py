"""Errors of SQS services, their messages for users and whether they are transient; and the endpoints of queues."""

from __future__ import annotations

from typing import Final

from fnkit.platform.schedulers.listening import BrokerTrouble
from fnkit.platform.schedulers.sqs_places import SqsAccess

__all__ = ["HandleGone", "SqsAway", "SqsRefusal", "is_passing", "refusal"]

_NO_QUEUE: Final = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"})
_GONE: Final = frozenset(
    {"ReceiptHandleIsInvalid", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"}
)
_WRONG_KEYS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.AccessDenied"})
_PASSING: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KmsThrottled",
        "OverLimit",
        "AWS.SimpleQueueService.OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_SERVER_FAULT: Final = 500
_TOO_MANY: Final = 429


class SqsAway(BrokerTrouble):
    """The service is not available now. The same call may succeed later."""


class SqsRefusal(BrokerTrouble):
    """The service rejects a request, and will do so until its configuration or the keys change.

    Attributes:
        code: The error code of SQS.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_of_rights(self) -> bool:
        """Whether the keys lack the permission."""
        return self.code in _DENIED


class HandleGone(BrokerTrouble):
    """The message is no longer held: it is visible again, or deleted."""


def is_passing(code: str, status: int) -> bool:
    """Return whether an error with this code or HTTP status is transient."""
    return code in _PASSING or status >= _SERVER_FAULT or status == _TOO_MANY


def refusal(code: str, message: str, status: int, config: SqsAccess) -> BrokerTrouble:
    """Return the exception for an error response. Its message contains no keys.

    Args:
        code: The error code.
        message: The error message.
        status: The HTTP status.
        config: The service and the keys.
    """
    if code in _GONE:
        return HandleGone("the message's receipt handle has expired")
    text = message.strip()
    for secret in (config.secret_key, config.access_key):
        text = text.replace(secret, "…") if secret else text
    details = f"{code}: {text}" if text and text != code else code
    if code in _NO_QUEUE:
        return SqsRefusal(f"the queue does not exist at {config.host} ({details})", code)
    if is_passing(code, status):
        return SqsAway(f"SQS at {config.host} is temporarily unavailable: {details}")
    if code in _WRONG_KEYS:
        return SqsRefusal(f"SQS at {config.host} does not accept the keys: {details}", code)
    return SqsRefusal(f"SQS at {config.host} rejects the request: {details}", code)
