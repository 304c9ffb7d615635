"""nats-servers that take one kind of credentials each: shut at first, and opened by a changed configuration."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.platform.supervisor.nats_server import find_nats_server
from tests.support.certificates import CertificateAuthority, Certified
from tests.support.nats_keys import Key, credentials_file, signed
from tests.support.ports import free_port
from tests.support.waiting import wait_until

__all__ = ["Door", "all_doors", "is_open", "knowing", "opened_doors"]

Settings = Mapping[str, object]


@dataclass
class Door:
    """One nats-server.

    keys: of its ``[[nats]]``, besides ``url``. secrets: what nobody may read. shut, open: its configuration.
    says: what a trigger says while it is shut, with ``{url}`` where the broker is.
    """

    kind: str
    account: str
    folder: Path
    keys: Mapping[str, str]
    secrets: tuple[str, ...]
    shut: Settings
    open: Settings
    says: str
    scheme: str = "nats"
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """As ``brokers.toml`` says it."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def entry(self) -> str:
        """Its ``[[nats]]``."""
        keys = {"account": self.account, "url": self.url, **self.keys}
        return "[[nats]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())

    @property
    def log(self) -> str:
        """What the server says."""
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""

    @property
    def _file(self) -> Path:
        return self.folder / "nats.conf"

    def start(self) -> subprocess.Popen[bytes]:
        """Start it with its door shut."""
        self.folder.mkdir()
        self._write(self.shut)
        program = find_nats_server()
        assert program is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", self._file], stdout=log, stderr=log)
        wait_until(lambda: is_open("127.0.0.1", self.port), what=f"{self.kind} listens")
        return self._process

    def let_in(self) -> None:
        """Open it, while it runs."""
        self._write(self.open)
        self._process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Reloaded server configuration" in self.log or "Failed to reload" in self.log)
        assert "Failed to reload" not in self.log, self.log

    def _write(self, settings: Settings) -> None:
        listen = {"server_name": self.kind, "listen": f"127.0.0.1:{self.port}"}
        self._file.write_text(json.dumps({**listen, **settings}))


def is_open(host: str, port: int) -> bool:
    """Whether a server listens there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


@contextmanager
def opened_doors(doors: Iterable[Door]) -> Iterator[list[Door]]:
    """Start them, shut as they are; end them whatever happens."""
    processes, started = [], []
    try:
        for door in doors:
            processes.append(door.start())
            started.append(door)
        yield started
    finally:
        for process in processes:
            process.kill()
            process.wait()


def all_doors(folder: Path) -> list[Door]:
    """One of each kind."""
    ours, theirs = CertificateAuthority(folder, "ours"), CertificateAuthority(folder, "theirs")
    return [
        _password(folder),
        _token(folder),
        _nobody(folder),
        _nkey(folder),
        _nkey_file(folder),
        _credentials(folder),
        _private_authority(folder, ours, theirs),
        _client_certificate(folder, ours, theirs),
        _no_client_certificate(folder, ours, theirs),
        _in_the_clear(folder, ours),
        _no_permission(folder),
    ]


def _account(kind: str) -> str:
    return "".join(letter for letter in kind.upper() if letter.isalpha()).ljust(56, "A")


def _door(folder: Path, kind: str, **parts: object) -> Door:
    return Door(kind=kind, account=_account(kind), folder=folder / kind, **parts)  # type: ignore[arg-type]  # by name


def _authorized(**settings: object) -> Settings:
    return {"authorization": settings}


def _password(folder: Path) -> Door:
    return _door(
        folder,
        "password",
        keys={"user": "me", "password": "pass-word-secret"},
        secrets=("pass-word-secret",),
        shut=_authorized(user="me", password="another-one"),
        open=_authorized(user="me", password="pass-word-secret"),
        says="the NATS broker {url} rejects the user and password in brokers.toml: Authorization Violation",
    )


def _token(folder: Path) -> Door:
    return _door(
        folder,
        "token",
        keys={"token": "token-secret"},
        secrets=("token-secret",),
        shut=_authorized(token="another-one"),
        open=_authorized(token="token-secret"),
        says="the NATS broker {url} rejects the token in brokers.toml: Authorization Violation",
    )


def _nobody(folder: Path) -> Door:
    return _door(
        folder,
        "nobody",
        keys={},
        secrets=(),
        shut=_authorized(token="another-one"),
        open={},
        says="the NATS broker {url} requires credentials, but brokers.toml has none for it: "
        "Authorization Violation",
    )


def _nkey(folder: Path) -> Door:
    user = Key()
    return _door(
        folder,
        "nkey",
        keys={"nkey": user.seed},
        secrets=(user.seed,),
        shut=_authorized(users=[{"nkey": Key().public}]),
        open=_authorized(users=[{"nkey": user.public}]),
        says="the NATS broker {url} rejects the nkey in brokers.toml: Authorization Violation",
    )


def _nkey_file(folder: Path) -> Door:
    user, file = Key(), folder / "user.nk"
    file.write_text(f"{user.seed}\n")
    return _door(
        folder,
        "nkey-file",
        keys={"nkey": str(file)},
        secrets=(user.seed,),
        shut=_authorized(users=[{"nkey": Key().public}]),
        open=_authorized(users=[{"nkey": user.public}]),
        says="the NATS broker {url} rejects the nkey in brokers.toml: Authorization Violation",
    )


def _credentials(folder: Path) -> Door:
    operator, account, other, user = Key("operator"), Key("account"), Key("account"), Key()
    jwt, file = signed(account, user, subs=-1, data=-1, payload=-1), folder / "user.creds"
    file.write_text(credentials_file(jwt, user))

    return _door(
        folder,
        "credentials",
        keys={"credentials": str(file)},
        secrets=(user.seed, jwt),
        shut=knowing(operator, other),
        open=knowing(operator, other, account),
        says="the NATS broker {url} rejects the credentials file in brokers.toml: Authorization Violation",
    )


def knowing(operator: Key, *accounts: Key) -> Settings:
    """Return the configuration of a server that an operator runs for these accounts."""
    limits = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1}
    return {
        "operator": signed(operator, operator),
        "resolver": "MEMORY",
        "resolver_preload": {
            one.public: signed(operator, one, limits={**limits, "wildcards": True}) for one in accounts
        },
    }


def _tls(certified: Certified, **more: object) -> Settings:
    return {"tls": {"cert_file": str(certified.certificate), "key_file": str(certified.key), **more}}


def _private_authority(folder: Path, ours: CertificateAuthority, theirs: CertificateAuthority) -> Door:
    return _door(
        folder,
        "authority",
        scheme="tls",
        keys={"certificate": str(ours.file), "token": "tls-token-secret"},
        secrets=("tls-token-secret",),
        shut={**_authorized(token="tls-token-secret"), **_tls(theirs.sign("broker"))},
        open={**_authorized(token="tls-token-secret"), **_tls(ours.sign("broker"))},
        says="the NATS broker {url} presented an untrusted certificate; check url and certificate in "
        "brokers.toml: unable to get local issuer certificate",
    )


def _client_certificate(folder: Path, ours: CertificateAuthority, theirs: CertificateAuthority) -> Door:
    server, client = ours.sign("verifying"), ours.sign("client")
    return _door(
        folder,
        "client-certificate",
        keys={
            "certificate": str(ours.file),
            "client_certificate": str(client.certificate),
            "client_key": str(client.key),
        },
        secrets=(client.key.read_text().splitlines()[1],),
        shut=_tls(server, ca_file=str(theirs.file), verify=True),
        open=_tls(server, ca_file=str(ours.file), verify=True),
        says="the NATS broker {url} rejects the client certificate; check client_certificate in brokers.toml: ",
    )


def _no_client_certificate(folder: Path, ours: CertificateAuthority, theirs: CertificateAuthority) -> Door:
    server = ours.sign("asking")
    return _door(
        folder,
        "no-client-certificate",
        keys={"certificate": str(ours.file)},
        secrets=(),
        shut=_tls(server, ca_file=str(theirs.file), verify=True),
        open=_tls(server),
        says="the NATS broker {url} requires a client certificate; check client_certificate in brokers.toml: ",
    )


def _in_the_clear(folder: Path, ours: CertificateAuthority) -> Door:
    return _door(
        folder,
        "in-the-clear",
        scheme="tls",
        keys={"user": "me", "password": "clear-secret", "certificate": str(ours.file)},
        secrets=("clear-secret",),
        shut=_authorized(user="me", password="clear-secret"),
        open={**_authorized(user="me", password="clear-secret"), **_tls(ours.sign("late"))},
        says="the NATS broker {url} does not offer TLS, which brokers.toml requires; nothing was sent",
    )


def _no_permission(folder: Path) -> Door:
    login = {"user": "me", "password": "permitted-secret"}
    return _door(
        folder,
        "no-permission",
        keys=login,
        secrets=("permitted-secret",),
        shut=_authorized(users=[{**login, "permissions": {"subscribe": ["elsewhere", "_INBOX.>"]}}]),
        open=_authorized(users=[login]),
        says="the NATS broker {url} does not permit this operation with the user and password: "
        'permissions violation for subscription to "doors" using queue',
    )
