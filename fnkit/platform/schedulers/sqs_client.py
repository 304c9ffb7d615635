"""One SQS service in its JSON protocol; triggers with the same keys share it. botocore signs, and that is all.

boto3's own client blocks, so it needs threads, and these wait for each other and for the event loop at every turn:
a fifth of the messages a second (docs/decisions/sqs-without-boto3.md). Retries are left to those who call, who know
what may wait and for how long.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from fnkit.platform.schedulers.sqs_faults import SqsAway, SqsRefusal, is_passing, refusal
from fnkit.platform.schedulers.sqs_places import SqsAccess
from fnkit.platform.schedulers.sqs_wire import Answer, Wires

__all__ = ["LONGEST_POLL_SECONDS", "SqsClient", "SqsClients", "has_botocore"]

LONGEST_POLL_SECONDS: Final = 20
"""The longest that SQS lets a request for messages wait."""

_GRACE_SECONDS: Final = 10.0
_FINE: Final = 200


def has_botocore() -> bool:
    """Whether botocore is installed (``fnkit[queues]``)."""
    return find_spec("botocore") is not None


class SqsClient:
    """See the module. Lives on one event loop."""

    def __init__(self, access: SqsAccess) -> None:
        self.access = access
        self._path = urlsplit(access.endpoint).path or "/"
        self._wires: Wires | None = None
        self._sign: Callable[[str, bytes], dict[str, str]] = lambda _target, _body: {}
        self._lock = asyncio.Lock()

    async def call(self, operation: str, **parameters: object) -> dict[str, Any]:
        """Return the answer to one operation of SQS (``ReceiveMessage`` …).

        Raises:
            SqsAway: no answer, or one that says: later.
            SqsRefusal: the service refuses.
            HandleGone: its receipt handle is of no use any more.
        """
        if self._wires is None:
            async with self._lock:
                if self._wires is None:
                    self._sign, trust = await asyncio.to_thread(_prepared, self.access)
                    self._wires = Wires(self.access.endpoint, trust)
        body = msgspec.json.encode(parameters)
        headers = self._sign(f"AmazonSQS.{operation}", body)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST {self._path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        wait = parameters.get("WaitTimeSeconds", 0)
        try:
            answer = await self._wires.exchange(request, _GRACE_SECONDS + (wait if isinstance(wait, int) else 0))
        except TimeoutError:
            raise SqsAway(f"SQS at {self.access.host} does not answer in time") from None
        except ssl.SSLError as error:
            raise SqsAway(f"SQS at {self.access.host} cannot be trusted: {error.reason or error}") from None
        except OSError as error:
            raise SqsAway(f"SQS at {self.access.host} does not answer: {error.strerror or error}") from None
        return self._read(answer)

    def close(self) -> None:
        """Close the connections that are idle."""
        if self._wires is not None:
            self._wires.close()

    def _read(self, answer: Answer) -> dict[str, Any]:
        try:
            document = msgspec.json.decode(answer.body or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            words = f"what answers at {self.access.host} is no SQS, or not in JSON: status {answer.status}"
            if is_passing("", answer.status):
                raise SqsAway(words) from None
            raise SqsRefusal(words, "") from None
        if answer.status == _FINE:
            return document
        code = answer.query_error or str(document.get("__type", "")).rpartition("#")[2] or str(answer.status)
        words = str(document.get("message") or document.get("Message") or "")
        raise refusal(code, words, answer.status, self.access)


def _prepared(access: SqsAccess) -> tuple[Callable[[str, bytes], dict[str, str]], ssl.SSLContext | None]:
    """In a thread, since importing botocore takes a while: return what signs, and whom to trust."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signer = SigV4Auth(Credentials(access.access_key, access.secret_key), "sqs", access.region_name)
    fixed = {"Host": access.host, "Content-Type": "application/x-amz-json-1.0", "User-Agent": "fnkit"}

    def sign(target: str, body: bytes) -> dict[str, str]:
        request = AWSRequest("POST", access.endpoint, {**fixed, "X-Amz-Target": target}, body)
        signer.add_auth(request)
        return dict(request.headers.items())

    if urlsplit(access.endpoint).scheme != "https":
        return sign, None
    from botocore.httpsession import get_cert_path

    trust = ssl.create_default_context()
    trust.load_verify_locations(get_cert_path(True))  # noqa: FBT003  its only parameter
    return sign, trust


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
