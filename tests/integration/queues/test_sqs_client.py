"""The HTTP client for SQS: certificates, closed connections and invalid responses."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fnkit.platform.control.events.queues.sqs.client import SqsClient
from fnkit.platform.control.events.queues.sqs.endpoint import SqsClientConfig
from fnkit.platform.control.events.queues.sqs.errors import SqsUnavailable
from tests.support.waiting import DEADLINE

_RESPONSE = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"QueueUrl":"q"}\r\n0\r\n\r\n'

ConnectionHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for localhost and its key to one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "l")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = folder / "certificate.pem"
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return file


async def read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    await reader.readexactly(length)


def get_queue_url(
    handler: ConnectionHandler, *, tls: Path | None = None, times: int = 1, response_timeout: float = DEADLINE
) -> list[dict[str, object]]:
    """Run a server with this handler and call GetQueueUrl that many times; returns the responses."""

    async def scenario() -> list[dict[str, object]]:
        context = None
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        config = SqsClientConfig(f"http{'s' if tls else ''}://localhost:{port}", "fr-par", "A", "S")
        client = SqsClient(config, response_timeout)
        try:
            return [await client.call("GetQueueUrl", QueueName="q") for _ in range(times)]
        finally:
            client.close()
            server.close()

    return asyncio.run(scenario())


async def respond_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(_RESPONSE)
    await writer.drain()
    writer.close()


def test_certificate_in_ssl_cert_file_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    assert get_queue_url(respond_once, tls=file) == [{"QueueUrl": "q"}]


def test_unknown_certificate_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SqsUnavailable, match="failed: CERTIFICATE_VERIFY_FAILED"):
        get_queue_url(respond_once, tls=certificate(tmp_path))


def test_idle_connection_closed_by_server_is_reopened() -> None:
    assert get_queue_url(respond_once, times=3) == [{"QueueUrl": "q"}] * 3


def test_truncated_response_raises_sqs_unavailable() -> None:
    async def truncate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(_RESPONSE[:-10])
        writer.close()

    with pytest.raises(SqsUnavailable, match="the connection was closed"):
        get_queue_url(truncate)


def test_missing_response_raises_sqs_unavailable_after_timeout() -> None:
    async def read_without_responding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await read_request(reader)
            await reader.read()  # until the client closes the connection
        finally:
            writer.close()

    with pytest.raises(SqsUnavailable, match="did not respond in time"):
        get_queue_url(read_without_responding, response_timeout=0.1)


def test_non_http_response_raises_sqs_unavailable() -> None:
    async def respond_without_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    with pytest.raises(SqsUnavailable, match="not HTTP"):
        get_queue_url(respond_without_http)
