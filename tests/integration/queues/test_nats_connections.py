"""Connections to NATS brokers: invalid credential files, closed and refused connections, reconnection."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from nats.errors import Error

from fnkit.platform.brokers.model import NatsBroker
from fnkit.platform.control.events.queues.interface import BrokerError
from fnkit.platform.control.events.queues.nats.connection import NatsConnection, NatsConnections
from fnkit.platform.control.events.queues.nats.errors import connection_error
from fnkit.platform.supervisor.nats_server import find_nats_server
from tests.support.certificates import CertificateAuthority
from tests.support.nats_auth_servers import operator_settings
from tests.support.nats_keys import Key, credentials_file, signed
from tests.support.ports import free_port, is_listening
from tests.support.waiting import DEADLINE, wait_until, wait_until_async

pytestmark = pytest.mark.slow

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 seconds: closing sends RST instead of FIN
UNREACHABLE = "nats://127.0.0.1:1"


@contextmanager
def running_nats_server(folder: Path, settings: str, port: int, host: str = "127.0.0.1") -> Iterator[str]:
    """Run a nats-server; yields its URL."""
    file = folder / f"nats-{time.monotonic_ns()}.conf"
    file.write_text(f'listen: "{host}:{port}"\n{settings}')
    program = find_nats_server()
    assert program is not None
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([program, "-c", file], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_listening(host.strip("[]"), port))
        yield f"nats://{host}:{port}"
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def open_connection(broker: NatsBroker) -> AsyncIterator[NatsConnection]:
    connections = NatsConnections()
    try:
        yield connections.acquire(broker)
    finally:
        await connections.release(broker)


async def connection_failure(broker: NatsBroker) -> str:
    """Return the error message that a trigger of this broker shows."""
    async with open_connection(broker) as connection:
        with pytest.raises(BrokerError) as caught:
            await asyncio.wait_for(connection.wait_for_client(), DEADLINE)
    return str(caught.value)


async def wait_until_connected(connection: NatsConnection) -> None:
    """Wait until the connection is established, retrying as a trigger does."""

    async def is_connected() -> bool:
        try:
            await asyncio.wait_for(connection.wait_for_client(), DEADLINE)
        except BrokerError:
            return False
        return True

    await wait_until_async(is_connected, what="a connection to the broker")


class CredentialFiles:
    """Valid and invalid keys, certificates and credentials that ``brokers.toml`` may contain."""

    def __init__(self, folder: Path) -> None:
        self.missing, self.invalid = folder / "missing", folder / "invalid"
        self.invalid.write_text("no key, no certificate, no credentials\n")
        self.incomplete = folder / "incomplete.creds"
        self.incomplete.write_text(
            f"-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n{Key().seed}\n"
        )
        self.mistyped_seed = Key().seed[:-1] + "!"
        self.bad_checksum_seed = Key().seed[:-2] + "AA"
        authority = CertificateAuthority(folder, "authority")
        self.client, self.other_client = authority.sign("client"), authority.sign("other-client")
        key = load_pem_private_key(self.client.key.read_bytes(), None)
        self.encrypted = folder / "encrypted.key"
        self.encrypted.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
        )


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        (
            lambda files: {"credentials": str(files.missing)},
            "credentials: {missing} cannot be read: No such file or directory",
        ),
        (
            lambda files: {"credentials": str(files.invalid)},
            "credentials: {invalid} contains no user JWT with its seed",
        ),
        (
            lambda files: {"credentials": str(files.incomplete)},
            "credentials: {incomplete} contains no user JWT with its seed",
        ),
        (lambda files: {"nkey": str(files.invalid)}, "nkey: {invalid} contains no user seed (SU…)"),
        (
            lambda files: {"nkey": files.mistyped_seed},
            "nkey is neither a user seed (SU…) nor the path of a file that contains one",
        ),
        (lambda files: {"nkey": files.bad_checksum_seed}, "nkey in brokers.toml contains an invalid seed"),
        (
            lambda files: {"certificate": str(files.missing)},
            "certificate in brokers.toml: {missing} cannot be read: No such file",
        ),
        (
            lambda files: {"certificate": str(files.invalid)},
            "certificate in brokers.toml: {invalid} is not a PEM certificate",
        ),
        (
            lambda files: {
                "client_certificate": str(files.client.certificate),
                "client_key": str(files.other_client.key),
            },
            "client_certificate in brokers.toml: {client} does not match client_key",
        ),
        (
            lambda files: {"client_certificate": str(files.client.certificate), "client_key": str(files.encrypted)},
            "client_certificate in brokers.toml: {client} is not a PEM certificate with its unencrypted key",
        ),
    ],
    ids=[
        *(
            "credentials-missing",
            "credentials-invalid",
            "credentials-incomplete",
            "nkey-file-invalid",
            "nkey-mistyped",
            "nkey-bad-checksum",
        ),
        *("authority-missing", "authority-invalid", "key-of-other-certificate", "key-encrypted"),
    ],
)
def test_invalid_credential_error_names_setting_and_cause_without_secrets(
    tmp_path: Path, keys: Callable[[CredentialFiles], dict[str, str]], error: str
) -> None:
    files = CredentialFiles(tmp_path)
    found = asyncio.run(connection_failure(msgspec.convert({"url": UNREACHABLE, **keys(files)}, NatsBroker)))

    paths = {name: str(path) for name, path in vars(files).items() if isinstance(path, Path)}
    assert found.removeprefix("NATS: ").startswith(error.format(**paths, client=files.client.certificate))
    assert not [
        secret
        for secret in (files.mistyped_seed, files.bad_checksum_seed, "passphrase\n", "no key")
        if secret in found
    ]


def test_error_omits_credentials_in_broker_url() -> None:
    broker = NatsBroker(url="nats://me:pass%2Fword@127.0.0.1:1,nats://token-secret@127.0.0.1:1")
    found = asyncio.run(connection_failure(broker))

    assert found == ("the NATS broker nats://127.0.0.1:1, nats://127.0.0.1:1 cannot be reached: Connection refused")


def test_unresolvable_host_name_is_reported() -> None:
    found = asyncio.run(connection_failure(NatsBroker(url="nats://nowhere.invalid:4222")))

    assert found.startswith(
        "the NATS broker nats://nowhere.invalid:4222 cannot be reached: cannot resolve its host name"
    )


def test_connection_closed_by_broker_is_reported() -> None:
    async def close_after_info(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","max_payload":1048576}\r\n')
        await reader.readline()
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(close_after_info, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return (await connection_failure(NatsBroker(url=f"nats://127.0.0.1:{port}"))).replace(str(port), "PORT")

    assert asyncio.run(scenario()).startswith("the NATS broker nats://127.0.0.1:PORT")


@pytest.mark.long
def test_rejection_reason_is_kept_when_later_attempts_give_none() -> None:
    send_reason = asyncio.Event()

    async def reject(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id": "x", "max_payload": 1000, "auth_required": true}\r\n')
        await reader.readline()
        if send_reason.is_set():
            send_reason.clear()
            writer.write(b"-ERR 'Authorization Violation'\r\n")
        else:
            writer.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        writer.close()

    async def scenario() -> list[str]:
        server = await asyncio.start_server(reject, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        errors = list[str]()
        async with open_connection(NatsBroker(url=f"nats://127.0.0.1:{port}", token="secret")) as connection:
            while len(errors) < 5:
                with pytest.raises(BrokerError) as caught:
                    await asyncio.wait_for(connection.wait_for_client(), DEADLINE)
                errors.append(str(caught.value).partition(f"127.0.0.1:{port} ")[2])
                if len(errors) == 2:
                    send_reason.set()
                await asyncio.wait_for(connection._state_changed.wait(), DEADLINE)
        server.close()
        return errors

    closed, violation = "it closed the connection", "Authorization Violation"
    assert asyncio.run(scenario()) == [
        f"rejects the token in brokers.toml: {reason}" for reason in (closed,) * 2 + (violation,) * 3
    ]


def test_error_names_the_broker_when_server_is_not_nats() -> None:
    async def serve_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(serve_http, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return (await connection_failure(NatsBroker(url=f"nats://127.0.0.1:{port}"))).replace(str(port), "PORT")

    assert "the NATS broker nats://127.0.0.1:PORT" in asyncio.run(scenario())


def test_nothing_is_sent_to_broker_without_tls_when_tls_is_required() -> None:
    received: list[bytes] = []

    async def record_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","max_payload":1048576,"auth_required":true}\r\n')
        received.append(await reader.read())
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(record_bytes, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await connection_failure(NatsBroker(url=f"tls://127.0.0.1:{port}", user="me", password="secret"))

    assert asyncio.run(scenario()).endswith("does not offer TLS, which brokers.toml requires; nothing was sent")
    assert received[0] == b""


def test_unreachable_server_of_a_cluster_is_skipped(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        for order in (f"{UNREACHABLE}, {url}", f"{url},{UNREACHABLE}"):
            async with open_connection(NatsBroker(url=order)) as connection:
                await asyncio.wait_for(
                    connection.wait_for_client(), DEADLINE
                )  # on the first attempt, in either order

    with running_nats_server(tmp_path, "", free_port()) as url:
        asyncio.run(scenario(url))


def test_host_name_is_resolved_again_on_reconnect(tmp_path: Path) -> None:
    port, addresses = free_port(), {"broker.test": "127.0.0.1"}

    class EventLoopWithNames(asyncio.SelectorEventLoop):
        """An event loop that resolves the names in ``addresses``."""

        async def getaddrinfo(self, host: str, port: int, **how: int) -> list[Any]:  # type: ignore[override]  # asyncio names each
            return await super().getaddrinfo(addresses.get(host, host), port, **how)

    async def scenario() -> None:
        async with open_connection(NatsBroker(url=f"nats://broker.test:{port}")) as connection:
            with running_nats_server(tmp_path, "", port):
                await wait_until_connected(connection)
                first = await connection.wait_for_client()
            await asyncio.wait_for(connection.wait_until_lost(first), DEADLINE)
            addresses["broker.test"] = "127.0.0.2"
            with running_nats_server(tmp_path, "", port, "127.0.0.2"):
                await wait_until_connected(connection)
                second = await connection.wait_for_client()
            await asyncio.wait_for(connection.wait_until_lost(second), DEADLINE)

    with asyncio.Runner(loop_factory=EventLoopWithNames) as runner:
        runner.run(scenario())


@pytest.mark.long
def test_credentials_file_is_read_again_after_expiry(tmp_path: Path) -> None:
    operator, account, user = Key("operator"), Key("account"), Key()
    file = tmp_path / "user.creds"

    def write_credentials(**settings: float) -> None:
        file.write_text(credentials_file(signed(account, user, subs=-1, data=-1, payload=-1, **settings), user))

    async def scenario(url: str) -> None:
        async with open_connection(NatsBroker(url=url, credentials=str(file))) as connection:
            await wait_until_connected(connection)
            await asyncio.wait_for(connection.wait_until_lost(await connection.wait_for_client()), DEADLINE)
            write_credentials()
            await wait_until_connected(connection)

    with running_nats_server(tmp_path, json.dumps(operator_settings(operator, account))[1:-1], free_port()) as url:
        write_credentials(expires=time.time() + 2)
        asyncio.run(scenario(url))


@pytest.mark.parametrize("reason", ["user authentication expired", "'Account Authentication Expired'"])
def test_expired_credentials_are_reported(reason: str) -> None:
    error = connection_error(NatsBroker(url="nats://token-secret@h:1"), Error(f"nats: {reason}"))

    assert error == ("the NATS broker nats://h:1 no longer accepts the token in brokers.toml: " + reason.strip("'"))
