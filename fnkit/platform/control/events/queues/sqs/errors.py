"""Errors of SQS services: their messages for users, and whether they are transient."""

from __future__ import annotations

from typing import Final

from fnkit.platform.control.events.queues.interface import BrokerError
from fnkit.platform.control.events.queues.sqs.endpoint import SqsClientConfig

_QUEUE_NOT_FOUND_CODES: Final = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"}
)
_EXPIRED_HANDLE_CODES: Final = frozenset(
    {"ReceiptHandleIsInvalid", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"}
)
_INVALID_KEY_CODES: Final = frozenset(
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
_ACCESS_DENIED_CODES: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.AccessDenied"}
)
_TRANSIENT_CODES: Final = frozenset(
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
_SERVER_ERROR: Final = 500
_TOO_MANY_REQUESTS: Final = 429


class SqsUnavailable(BrokerError):
    """The service is not available now. The same call may succeed later."""


class SqsRequestRejected(BrokerError):
    """The service rejects a request, and will do so until its configuration or the keys change.

    Attributes:
        code: The error code of SQS.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_access_denied(self) -> bool:
        """Whether the keys lack the permission."""
        return self.code in _ACCESS_DENIED_CODES

    @property
    def is_queue_missing(self) -> bool:
        """Whether the queue does not exist."""
        return self.code in _QUEUE_NOT_FOUND_CODES


class ReceiptHandleExpired(BrokerError):
    """The message is no longer held: it is visible again, or deleted."""


def is_transient(code: str, status: int) -> bool:
    """Return whether an error with this code or HTTP status is transient."""
    return code in _TRANSIENT_CODES or status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS


def error_from_response(code: str, message: str, status: int, config: SqsClientConfig) -> BrokerError:
    """Return the exception for an error response. Its message contains no keys.

    Args:
        code: The error code.
        message: The error message.
        status: The HTTP status.
        config: The service and the keys.
    """
    if code in _EXPIRED_HANDLE_CODES:
        return ReceiptHandleExpired("the message's receipt handle has expired")
    text = message.strip()
    for secret in (config.secret_key, config.access_key):
        text = text.replace(secret, "…") if secret else text
    details = f"{code}: {text}" if text and text != code else code
    if code in _QUEUE_NOT_FOUND_CODES:
        return SqsRequestRejected(f"the queue does not exist at {config.host} ({details})", code)
    if is_transient(code, status):
        return SqsUnavailable(f"SQS at {config.host} is temporarily unavailable: {details}")
    if code in _INVALID_KEY_CODES:
        return SqsRequestRejected(f"SQS at {config.host} does not accept the keys: {details}", code)
    return SqsRequestRejected(f"SQS at {config.host} rejects the request: {details}", code)
