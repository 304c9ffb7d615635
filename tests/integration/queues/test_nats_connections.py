"""One connection to a NATS broker: files that are not what they should be, brokers that hang up, move or die."""

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
from tests.support.nats_doors import is_open, knowing
from tests.support.nats_keys import Key, credentials_file, signed
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.slow

_RESET = struct.pack("ii", 1, 0)  # closing sends no end, but that nothing is listened to any more
NOWHERE = "nats://127.0.0.1:1"


@contextmanager
def serving(folder: Path, settings: str, port: int, host: str = "127.0.0.1") -> Iterator[str]:
    """A nats-server; yields its address."""
    file = folder / f"nats-{time.monotonic_ns()}.conf"
    file.write_text(f'listen: "{host}:{port}"\n{settings}')
    program = find_nats_server()
    assert program is not None
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([program, "-c", file], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_open(host.strip("[]"), port))
        yield f"nats://{host}:{port}"
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def connection_to(broker: NatsBroker) -> AsyncIterator[NatsConnection]:
    connections = NatsConnections()
    try:
        yield connections.acquire(broker)
    finally:
        await connections.release(broker)


async def trouble_of(broker: NatsBroker) -> str:
    """What a trigger would say."""
    async with connection_to(broker) as connection:
        with pytest.raises(BrokerError) as caught:
            await asyncio.wait_for(connection.wait_for_client(), DEADLINE)
    return str(caught.value)


async def connected(connection: NatsConnection) -> None:
    """Return when it works; the trigger asks again and again too."""
    while True:
        try:
            await asyncio.wait_for(connection.wait_for_client(), DEADLINE)
        except BrokerError:
            await asyncio.sleep(0.01)
        else:
            return


class Files:
    """What brokers.toml may name, right and wrong."""

    def __init__(self, folder: Path) -> None:
        self.gone, self.garbage = folder / "gone", folder / "garbage"
        self.garbage.write_text("no key, no certificate, no credentials\n")
        self.half = folder / "half.creds"
        self.half.write_text(f"-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n{Key().seed}\n")
        self.slip = Key().seed[:-1] + "!"
        self.turned = Key().seed[:-2] + "AA"
        authority = CertificateAuthority(folder, "authority")
        self.one, self.other = authority.sign("one"), authority.sign("other")
        key = load_pem_private_key(self.one.key.read_bytes(), None)
        self.locked = folder / "locked.key"
        self.locked.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
        )


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (lambda at: {"credentials": str(at.gone)}, "credentials: {gone} cannot be read: No such file or directory"),
        (lambda at: {"credentials": str(at.garbage)}, "credentials: {garbage} contains no user JWT with its seed"),
        (lambda at: {"credentials": str(at.half)}, "credentials: {half} contains no user JWT with its seed"),
        (lambda at: {"nkey": str(at.garbage)}, "nkey: {garbage} contains no user seed (SU…)"),
        (
            lambda at: {"nkey": at.slip},
            "nkey is neither a user seed (SU…) nor the path of a file that contains one",
        ),
        (lambda at: {"nkey": at.turned}, "nkey in brokers.toml contains an invalid seed"),
        (
            lambda at: {"certificate": str(at.gone)},
            "certificate in brokers.toml: {gone} cannot be read: No such file",
        ),
        (
            lambda at: {"certificate": str(at.garbage)},
            "certificate in brokers.toml: {garbage} is not a PEM certificate",
        ),
        (
            lambda at: {"client_certificate": str(at.one.certificate), "client_key": str(at.other.key)},
            "client_certificate in brokers.toml: {one} does not match client_key",
        ),
        (
            lambda at: {"client_certificate": str(at.one.certificate), "client_key": str(at.locked)},
            "client_certificate in brokers.toml: {one} is not a PEM certificate with its unencrypted key",
        ),
    ],
    ids=[
        *(
            "credentials-gone",
            "credentials-garbage",
            "credentials-half",
            "nkey-garbage",
            "nkey-slip",
            "nkey-checksum",
        ),
        *("authority-gone", "authority-garbage", "certificate-of-another-key", "key-with-passphrase"),
    ],
)
def test_invalid_credential_error_names_setting_and_cause_without_secrets(
    tmp_path: Path, keys: Callable[[Files], dict[str, str]], says: str
) -> None:
    at = Files(tmp_path)
    found = asyncio.run(trouble_of(msgspec.convert({"url": NOWHERE, **keys(at)}, NatsBroker)))

    names = {name: str(path) for name, path in vars(at).items() if isinstance(path, Path)}
    assert found.removeprefix("NATS: ").startswith(says.format(**names, one=at.one.certificate))
    assert not [secret for secret in (at.slip, at.turned, "passphrase\n", "no key") if secret in found]


def test_error_omits_credentials_in_broker_url() -> None:
    broker = NatsBroker(url="nats://me:pass%2Fword@127.0.0.1:1,nats://token-secret@127.0.0.1:1")
    found = asyncio.run(trouble_of(broker))

    assert found == ("the NATS broker nats://127.0.0.1:1, nats://127.0.0.1:1 cannot be reached: Connection refused")


def test_unresolvable_host_name_is_reported() -> None:
    found = asyncio.run(trouble_of(NatsBroker(url="nats://nowhere.invalid:4222")))

    assert found.startswith(
        "the NATS broker nats://nowhere.invalid:4222 cannot be reached: cannot resolve its host name"
    )


def test_connection_closed_by_broker_is_reported() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","max_payload":1048576}\r\n')
        await reader.readline()
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return (await trouble_of(NatsBroker(url=f"nats://127.0.0.1:{port}"))).replace(str(port), "PORT")

    assert asyncio.run(scenario()).startswith("the NATS broker nats://127.0.0.1:PORT")


def test_rejection_reason_is_kept_when_later_attempts_give_none() -> None:
    lets_know = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id": "x", "max_payload": 1000, "auth_required": true}\r\n')
        await reader.readline()
        if lets_know.is_set():
            lets_know.clear()
            writer.write(b"-ERR 'Authorization Violation'\r\n")
        else:
            writer.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        writer.close()

    async def scenario() -> list[str]:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        said = list[str]()
        async with connection_to(NatsBroker(url=f"nats://127.0.0.1:{port}", token="secret")) as connection:
            while len(said) < 5:
                with pytest.raises(BrokerError) as caught:
                    await asyncio.wait_for(connection.wait_for_client(), DEADLINE)
                said.append(str(caught.value).partition(f"127.0.0.1:{port} ")[2])
                if len(said) == 2:
                    lets_know.set()
                await asyncio.wait_for(connection._state_changed.wait(), DEADLINE)
        server.close()
        return said

    hung_up, violation = "it closed the connection", "Authorization Violation"
    assert asyncio.run(scenario()) == [
        f"rejects the token in brokers.toml: {words}" for words in (hung_up,) * 2 + (violation,) * 3
    ]


def test_error_names_the_broker_when_server_is_not_nats() -> None:
    async def web(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(web, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return (await trouble_of(NatsBroker(url=f"nats://127.0.0.1:{port}"))).replace(str(port), "PORT")

    assert "the NATS broker nats://127.0.0.1:PORT" in asyncio.run(scenario())


def test_nothing_is_sent_to_broker_without_tls_when_tls_is_required() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","max_payload":1048576,"auth_required":true}\r\n')
        heard.append(await reader.read())
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await trouble_of(NatsBroker(url=f"tls://127.0.0.1:{port}", user="me", password="secret"))

    assert asyncio.run(scenario()).endswith("does not offer TLS, which brokers.toml requires; nothing was sent")
    assert heard[0] == b""


def test_unreachable_server_of_a_cluster_is_skipped(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        for order in (f"{NOWHERE}, {url}", f"{url},{NOWHERE}"):
            async with connection_to(NatsBroker(url=order)) as connection:
                await asyncio.wait_for(connection.wait_for_client(), DEADLINE)  # the first try, whichever it picks

    with serving(tmp_path, "", free_port()) as url:
        asyncio.run(scenario(url))


def test_host_name_is_resolved_again_on_reconnect(tmp_path: Path) -> None:
    port, addresses = free_port(), {"broker.test": "127.0.0.1"}

    class Naming(asyncio.SelectorEventLoop):
        """An event loop whose system knows that name."""

        async def getaddrinfo(self, host: str, port: int, **how: int) -> list[Any]:  # type: ignore[override]  # asyncio names each
            return await super().getaddrinfo(addresses.get(host, host), port, **how)

    async def scenario() -> None:
        async with connection_to(NatsBroker(url=f"nats://broker.test:{port}")) as connection:
            with serving(tmp_path, "", port):
                await connected(connection)
                first = await connection.wait_for_client()
            await asyncio.wait_for(connection.wait_until_lost(first), DEADLINE)
            addresses["broker.test"] = "127.0.0.2"
            with serving(tmp_path, "", port, "127.0.0.2"):
                await connected(connection)
                second = await connection.wait_for_client()
            await asyncio.wait_for(connection.wait_until_lost(second), DEADLINE)

    with asyncio.Runner(loop_factory=Naming) as runner:
        runner.run(scenario())


def test_credentials_file_is_read_again_after_expiry(tmp_path: Path) -> None:
    operator, account, user = Key("operator"), Key("account"), Key()
    file = tmp_path / "user.creds"

    def give(**settings: float) -> None:
        file.write_text(credentials_file(signed(account, user, subs=-1, data=-1, payload=-1, **settings), user))

    async def scenario(url: str) -> None:
        async with connection_to(NatsBroker(url=url, credentials=str(file))) as connection:
            await connected(connection)
            await asyncio.wait_for(connection.wait_until_lost(await connection.wait_for_client()), DEADLINE)
            give()
            await connected(connection)

    with serving(tmp_path, json.dumps(knowing(operator, account))[1:-1], free_port()) as url:
        give(expires=time.time() + 2)
        asyncio.run(scenario(url))


@pytest.mark.parametrize("words", ["user authentication expired", "'Account Authentication Expired'"])
def test_expired_credentials_are_reported(words: str) -> None:
    said = connection_error(NatsBroker(url="nats://token-secret@h:1"), Error(f"nats: {words}"))

    assert said == ("the NATS broker nats://h:1 no longer accepts the token in brokers.toml: " + words.strip("'"))
