"""Client of an SQS service with the JSON protocol, shared by all triggers that use the same service and keys.

botocore only signs requests. boto3's client blocks and would need threads, which reaches a fifth of the throughput
(``docs/decisions/sqs-without-boto3.md``). Retries are left to the callers, which have different limits. Connections
are HTTP/1.1 and kept alive: a long poll occupies one connection and nothing else.
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
"""The longest wait that SQS allows for ``ReceiveMessage``."""

_GRACE_SECONDS: Final = 10.0  # added to the wait of a long poll
_FINE: Final = 200


def has_botocore() -> bool:
    """Return whether botocore is installed (``fnkit[queues]``)."""
    return find_spec("botocore") is not None


class SqsClient:
    """A client of one service with one pair of keys. Lives on one event loop."""

    def __init__(self, access: SqsAccess) -> None:
        self.access = access
        self._path = urlsplit(access.endpoint).path or "/"
        self._wires: Wires | None = None
        self._sign: Callable[[str, bytes], dict[str, str]] = lambda _target, _body: {}
        self._lock = asyncio.Lock()

    async def call(self, operation: str, **parameters: object) -> dict[str, Any]:
        """Call an operation of SQS (``ReceiveMessage`` …) and return its response.

        Args:
            operation: Name of the operation.
            parameters: Its parameters, with the names of the JSON protocol.

        Raises:
            SqsUnavailable: There was no response, or a transient error.
            SqsRequestRejected: The service rejects the request.
            ReceiptHandleExpired: The receipt handle of the message is no longer valid.
        """
        if self._wires is None:
            async with self._lock:
                if self._wires is None:
                    self._sign, ssl_context = await asyncio.to_thread(_prepared, self.access)
                    self._wires = Wires(self.access.endpoint, ssl_context)
        body = msgspec.json.encode(parameters)
        headers = self._sign(f"AmazonSQS.{operation}", body)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST {self._path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        wait = parameters.get("WaitTimeSeconds", 0)
        try:
            response = await self._wires.exchange(request, _GRACE_SECONDS + (wait if isinstance(wait, int) else 0))
        except TimeoutError:
            raise SqsAway(f"SQS at {self.access.host} did not respond in time") from None
        except ssl.SSLError as error:
            raise SqsAway(f"TLS connection to SQS at {self.access.host} failed: {error.reason or error}") from None
        except OSError as error:
            raise SqsAway(f"SQS at {self.access.host} cannot be reached: {error.strerror or error}") from None
        return self._read(response)

    def close(self) -> None:
        """Close the idle connections."""
        if self._wires is not None:
            self._wires.close()

    def _read(self, response: Answer) -> dict[str, Any]:
        try:
            document = msgspec.json.decode(response.body or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            message = f"the server at {self.access.host} does not respond with SQS JSON: status {response.status}"
            if is_passing("", response.status):
                raise SqsAway(message) from None
            raise SqsRefusal(message, "") from None
        if response.status == _FINE:
            return document
        # Services also send the code of the older query protocol, in a header. It takes precedence.
        code = response.query_error or str(document.get("__type", "")).rpartition("#")[2] or str(response.status)
        message = str(document.get("message") or document.get("Message") or "")
        raise refusal(code, message, response.status, self.access)


def _prepared(access: SqsAccess) -> tuple[Callable[[str, bytes], dict[str, str]], ssl.SSLContext | None]:
    """Return the signer and, for HTTPS, the TLS context. Runs in a thread, since importing botocore is slow."""
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

    ssl_context = ssl.create_default_context()
    ssl_context.load_verify_locations(get_cert_path(True))  # noqa: FBT003  its only parameter
    return sign, ssl_context


class SqsClients:
    """The clients of this process, one per service and pair of keys, with reference counts."""

    def __init__(self) -> None:
        self._clients: dict[SqsAccess, tuple[SqsClient, int]] = {}

    def take(self, access: SqsAccess) -> SqsClient:
        """Return the client for a service. Each call needs one ``release``."""
        client, users = self._clients.get(access) or (SqsClient(access), 0)
        self._clients[access] = (client, users + 1)
        return client

    def give(self, access: SqsAccess) -> None:
        """End one use of a client. The last user closes it."""
        client, users = self._clients.pop(access)
        if users > 1:
            self._clients[access] = (client, users - 1)
        else:
            client.close()
