"""boto3's client of one SQS service; triggers with the same keys share it. Its calls block: see ``sqs_workers``.

boto3 is imported, and the client made, at the first call: that costs 0.2 s, in a thread. Nothing of this machine's
AWS configuration is read. Retries are left to those who call, who know what may wait and for how long.
"""

from __future__ import annotations

import os
import threading
from importlib.util import find_spec
from typing import Any, Final

from fnkit.platform.schedulers.sqs_faults import SqsAway, refusal
from fnkit.platform.schedulers.sqs_places import SqsAccess

__all__ = ["LONGEST_POLL_SECONDS", "SqsClient", "SqsClients", "has_boto3"]

LONGEST_POLL_SECONDS: Final = 20
"""The longest that SQS lets a request for messages wait."""

_CONNECT_SECONDS: Final = 5
_GRACE_SECONDS: Final = 10
_CONNECTIONS: Final = 256  # kept at most; those of idle triggers wait in long polls


def has_boto3() -> bool:
    """Whether boto3 is installed (``fnkit[queues]``)."""
    return find_spec("boto3") is not None


class SqsClient:
    """See the module. Any thread may call."""

    def __init__(self, access: SqsAccess) -> None:
        self.access = access
        self._lock = threading.Lock()
        self._client: Any = None

    def call(self, operation: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to one operation, by boto3's names.

        Raises:
            SqsAway: no answer, or one that says: later.
            SqsRefusal: the service refuses.
            HandleGone: its receipt handle is of no use any more.
        """
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            answer: dict[str, Any] = getattr(self._made(), operation)(**parameters)
        except ClientError as error:
            said, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
            code, words = str(said.get("Code", "")), str(said.get("Message") or "")
            raise refusal(code, words, int(meta.get("HTTPStatusCode", 0)), self.access) from None
        except HTTPClientError as error:
            raise SqsAway(f"SQS at {self.access.host} does not answer: {_reason(error)}") from None
        except (BotoCoreError, ValueError) as error:  # an answer that is none of SQS'
            raise SqsAway(f"what answers at {self.access.host} is no SQS: {type(error).__name__}") from None
        return answer

    def close(self) -> None:
        """Close the connections that are idle."""
        with self._lock:
            if self._client is not None:
                self._client.close()

    def _made(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = _make(self.access)
            return self._client


def _make(access: SqsAccess) -> Any:
    import boto3
    import botocore.session
    from botocore.config import Config

    core = botocore.session.Session()
    for name in ("config_file", "credentials_file"):
        core.set_config_variable(name, os.devnull)
    return boto3.session.Session(botocore_session=core).client(
        "sqs",
        endpoint_url=access.endpoint,
        region_name=access.region_name,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=LONGEST_POLL_SECONDS + _GRACE_SECONDS,
            max_pool_connections=_CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": 1},
            parameter_validation=False,
            tcp_keepalive=True,
            user_agent="fnkit",
        ),
    )


def _reason(error: Exception) -> str:
    """Return what botocore wraps: its own words repeat the whole address."""
    inner: object = getattr(error, "kwargs", {}).get("error")
    while isinstance(reason := getattr(inner, "reason", None), Exception):
        inner = reason
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    words = type(inner).__name__ if isinstance(inner, Exception) else type(error).__name__
    return {"NewConnectionError": "no connection", "ReadTimeoutError": "no answer in time"}.get(words, words)


class SqsClients:
    """The clients of this process, one for each service and keys, as long as somebody uses it."""

    def __init__(self) -> None:
        self._clients: dict[SqsAccess, tuple[SqsClient, int]] = {}

    def take(self, access: SqsAccess) -> SqsClient:
        """Return the client; every ``take`` needs one ``give``."""
        client, users = self._clients.get(access) or (SqsClient(access), 0)
        self._clients[access] = (client, users + 1)
        return client

    def give(self, access: SqsAccess) -> None:
        """It is not used any more by whoever took it."""
        client, users = self._clients.pop(access)
        if users > 1:
            self._clients[access] = (client, users - 1)
        else:
            client.close()
