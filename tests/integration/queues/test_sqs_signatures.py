"""Signature Version 4 of requests to SQS, verified by an independent implementation without botocore."""

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
    """Return the signature over the headers that the request lists as signed."""
    authorization = headers["authorization"]
    names = re.findall(r"SignedHeaders=([^,]+)", authorization)[0].split(";")
    scope = re.findall(r"Credential=[^/]+/([^,]+)", authorization)[0]
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


def sent_request(path: str) -> tuple[str, dict[str, str], bytes]:
    """Send a request to a service at that path; returns its request line, headers by lower-case name, and body."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        received.extend((head, await reader.readexactly(length)))
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
    request_line, *lines = received[0].decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return request_line, headers, received[1]


@pytest.mark.parametrize("path", ["", "/", "/elastic/mq", "/elastic/mq/"])
def test_request_is_signed_for_its_path_service_and_region(path: str) -> None:
    request_line, headers, body = sent_request(path)

    assert request_line == f"POST {path or '/'} HTTP/1.1"
    assert "/nl-ams/sqs/aws4_request" in headers["authorization"]
    assert headers["x-amz-target"] == "AmazonSQS.SendMessage"
    actual = re.findall(r"Signature=([0-9a-f]+)", headers["authorization"])[0]
    assert actual == signature("POST", path or "/", headers, body)
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
    config = endpoint_of_source(source, _SECRET, "nl-ams").config

    assert (config.region_name, config.host, urlsplit(config.endpoint).netloc) == (region, host, host)
