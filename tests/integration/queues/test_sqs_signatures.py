"""Requests to SQS are signed as the published rule says, read here a second time and without botocore."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from urllib.parse import urlsplit

import pytest

from fnkit.platform.control.events.queues.sqs.client import SqsClient
from fnkit.platform.control.events.queues.sqs.endpoint import SqsClientConfig, endpoint_of_source
from fnkit.platform.model.records import SqsSource

_SECRET = "wJalr/XUtnFEMI+bPxRfiCY="


def signature(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """Signature Version 4 over the headers that the request itself says it signed."""
    said = headers["authorization"]
    names = re.findall(r"SignedHeaders=([^,]+)", said)[0].split(";")
    scope = re.findall(r"Credential=[^/]+/([^,]+)", said)[0]
    canonical = "\n".join(
        [
            method,
            path,
            "",
            *(f"{name}:{headers[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{_SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def sent(path: str) -> tuple[str, dict[str, str], bytes]:
    """Ask a service under that path; returns the request's first line, its headers in small letters, its body."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        seen.extend((head, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = SqsClient(SqsClientConfig(f"http://127.0.0.1:{port}{path}", "nl-ams", "AKID", _SECRET))
        await client.call("SendMessage", QueueUrl="http://x/1/jobs", MessageBody="käse")
        client.close()
        server.close()

    asyncio.run(scenario())
    first, *lines = seen[0].decode().strip().split("\r\n")
    return first, {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}, seen[1]


@pytest.mark.parametrize("path", ["", "/", "/elastic/mq", "/elastic/mq/"])
def test_request_is_signed_for_its_path_service_and_region(path: str) -> None:
    first, headers, body = sent(path)

    assert first == f"POST {path or '/'} HTTP/1.1"
    assert "/nl-ams/sqs/aws4_request" in headers["authorization"]
    assert headers["x-amz-target"] == "AmazonSQS.SendMessage"
    said = re.findall(r"Signature=([0-9a-f]+)", headers["authorization"])[0]
    assert said == signature("POST", path or "/", headers, body)
    assert _SECRET not in str(headers)


@pytest.mark.parametrize(
    ("endpoint", "region", "host"),
    [
        ("https://sqs.mnq.fr-par.scaleway.com", "fr-par", "sqs.mnq.fr-par.scaleway.com"),
        ("https://sqs.eu-west-3.amazonaws.com", "eu-west-3", "sqs.eu-west-3.amazonaws.com"),
        ("http://localhost:4566", "nl-ams", "localhost:4566"),
    ],
)
def test_signing_region_comes_from_endpoint_or_else_from_trigger(endpoint: str, region: str, host: str) -> None:
    source = SqsSource(endpoint=endpoint, queue_url=f"{endpoint}/1/jobs", access_key="AKID", ciphertext=b"")
    access = endpoint_of_source(source, _SECRET, "nl-ams").config

    assert (access.region_name, access.host, urlsplit(access.endpoint).netloc) == (region, host, host)
