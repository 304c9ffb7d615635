"""What goes wrong at an SQS service, in words that may be shown, and whether waiting helps (pure)."""

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
    """Not there, or not now: the same call may well succeed a little later."""


class SqsRefusal(BrokerTrouble):
    """The service says no, and will until somebody changes something. ``code`` is its own."""

    def __init__(self, words: str, code: str) -> None:
        super().__init__(words)
        self.code = code

    @property
    def is_of_rights(self) -> bool:
        """Whether the keys may not do that."""
        return self.code in _DENIED


class HandleGone(BrokerTrouble):
    """A message is not ours any more: it is visible again, or deleted."""


def is_passing(code: str, status: int) -> bool:
    """Whether an error of that code, or that HTTP status, passes by itself."""
    return code in _PASSING or status >= _SERVER_FAULT or status == _TOO_MANY


def refusal(code: str, message: str, status: int, access: SqsAccess) -> BrokerTrouble:
    """Return what an error that the service answered means. Keys never stand in it."""
    if code in _GONE:
        return HandleGone("the message's receipt handle has expired")
    words = message.strip()
    for secret in (access.secret_key, access.access_key):
        words = words.replace(secret, "…") if secret else words
    said = f"{code}: {words}" if words and words != code else code
    if code in _NO_QUEUE:
        return SqsRefusal(f"there is no such queue at {access.host} ({said})", code)
    if is_passing(code, status):
        return SqsAway(f"SQS at {access.host} cannot answer now: {said}")
    if code in _WRONG_KEYS:
        return SqsRefusal(f"SQS at {access.host} does not accept the keys: {said}", code)
    return SqsRefusal(f"SQS at {access.host} refuses: {said}", code)
