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

from fnkit.platform.schedulers.sqs_faults import (
    SqsUnavailable,
    SqsRequestRejected,
    is_transient,
    error_from_response,
)
from fnkit.platform.schedulers.sqs_places import SqsClientConfig
from fnkit.platform.schedulers.sqs_wire import SqsResponse, ConnectionPool

__all__ = ["MAX_POLL_SECONDS", "SqsClient", "SqsClients", "is_botocore_installed"]

MAX_POLL_SECONDS: Final = 20
"""The longest wait that SQS allows for ``ReceiveMessage``."""

_RESPONSE_TIMEOUT: Final = 10.0  # added to the wait of a long poll
_OK: Final = 200


def is_botocore_installed() -> bool:
    """Return whether botocore is installed (``fnkit[queues]``)."""
    return find_spec("botocore") is not None


class SqsClient:
    """A client of one service with one pair of keys. Lives on one event loop."""

    def __init__(self, config: SqsClientConfig) -> None:
        self.config = config
        self._path = urlsplit(config.endpoint).path or "/"
        self._pool: ConnectionPool | None = None
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
        if self._pool is None:
            async with self._lock:
                if self._pool is None:
                    self._sign, ssl_context = await asyncio.to_thread(_create_signer, self.config)
                    self._pool = ConnectionPool(self.config.endpoint, ssl_context)
        body = msgspec.json.encode(parameters)
        headers = self._sign(f"AmazonSQS.{operation}", body)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST {self._path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        wait = parameters.get("WaitTimeSeconds", 0)
        try:
            response = await self._pool.request(request, _RESPONSE_TIMEOUT + (wait if isinstance(wait, int) else 0))
        except TimeoutError:
            raise SqsUnavailable(f"SQS at {self.config.host} did not respond in time") from None
        except ssl.SSLError as error:
            raise SqsUnavailable(
                f"TLS connection to SQS at {self.config.host} failed: {error.reason or error}"
            ) from None
        except OSError as error:
            raise SqsUnavailable(
                f"SQS at {self.config.host} cannot be reached: {error.strerror or error}"
            ) from None
        return self._parse_response(response)

    def close(self) -> None:
        """Close the idle connections."""
        if self._pool is not None:
            self._pool.close()

    def _parse_response(self, response: SqsResponse) -> dict[str, Any]:
        try:
            document = msgspec.json.decode(response.body or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            message = f"the server at {self.config.host} does not respond with SQS JSON: status {response.status}"
            if is_transient("", response.status):
                raise SqsUnavailable(message) from None
            raise SqsRequestRejected(message, "") from None
        if response.status == _OK:
            return document
        # Services also send the code of the older query protocol, in a header. It takes precedence.
        code = response.query_error or str(document.get("__type", "")).rpartition("#")[2] or str(response.status)
        message = str(document.get("message") or document.get("Message") or "")
        raise error_from_response(code, message, response.status, self.config)


def _create_signer(config: SqsClientConfig) -> tuple[Callable[[str, bytes], dict[str, str]], ssl.SSLContext | None]:
    """Return the signer and, for HTTPS, the TLS context. Runs in a thread, since importing botocore is slow."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signer = SigV4Auth(Credentials(config.access_key, config.secret_key), "sqs", config.region_name)
    fixed = {"Host": config.host, "Content-Type": "application/x-amz-json-1.0", "User-Agent": "fnkit"}

    def sign(target: str, body: bytes) -> dict[str, str]:
        request = AWSRequest("POST", config.endpoint, {**fixed, "X-Amz-Target": target}, body)
        signer.add_auth(request)
        return dict(request.headers.items())

    if urlsplit(config.endpoint).scheme != "https":
        return sign, None
    from botocore.httpsession import get_cert_path

    ssl_context = ssl.create_default_context()
    ssl_context.load_verify_locations(get_cert_path(True))  # noqa: FBT003  its only parameter
    return sign, ssl_context


class SqsClients:
    """The clients of this process, one per service and pair of keys, with reference counts."""

    def __init__(self) -> None:
        self._clients: dict[SqsClientConfig, tuple[SqsClient, int]] = {}

    def acquire(self, config: SqsClientConfig) -> SqsClient:
        """Return the client for a service. Each call needs one ``release``."""
        client, users = self._clients.get(config) or (SqsClient(config), 0)
        self._clients[config] = (client, users + 1)
        return client

    def release(self, config: SqsClientConfig) -> None:
        """End one use of a client. The last user closes it."""
        client, users = self._clients.pop(config)
        if users > 1:
            self._clients[config] = (client, users - 1)
        else:
            client.close()
