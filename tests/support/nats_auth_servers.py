"""nats-servers that each require one kind of credentials, and reject a client until they are reconfigured."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.platform.supervisor.nats_server import find_nats_server
from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.nats_keys import Key, credentials_file, signed
from tests.support.ports import free_port, is_listening
from tests.support.waiting import wait_until

__all__ = ["AuthServer", "auth_servers", "operator_settings", "running_auth_servers"]

Settings = Mapping[str, object]


@dataclass
class AuthServer:
    """One nats-server.

    Attributes:
        name: The kind of credentials.
        account: The account id that triggers name.
        folder: The server's directory.
        config_entry: The keys of its ``[[nats]]`` in ``brokers.toml``, besides ``account`` and ``url``.
        secrets: Texts that must not appear in any output.
        rejecting_settings: The configuration that rejects the client.
        accepting_settings: The configuration that accepts it.
        rejection: A trigger's error message while the server rejects; ``{url}`` stands for the broker's URL.
    """

    name: str
    account: str
    folder: Path
    config_entry: Mapping[str, str]
    secrets: tuple[str, ...]
    rejecting_settings: Settings
    accepting_settings: Settings
    rejection: str
    scheme: str = "nats"
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """The URL in ``brokers.toml``."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def config_section(self) -> str:
        """Its ``[[nats]]`` section of ``brokers.toml``."""
        keys = {"account": self.account, "url": self.url, **self.config_entry}
        return "[[nats]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())

    @property
    def log(self) -> str:
        """The server's log."""
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""

    @property
    def _config_file(self) -> Path:
        return self.folder / "nats.conf"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server with the configuration that rejects the client."""
        self.folder.mkdir()
        self._write(self.rejecting_settings)
        program = find_nats_server()
        assert program is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", self._config_file], stdout=log, stderr=log)
        wait_until(lambda: is_listening("127.0.0.1", self.port), what=f"the {self.name} server listens")
        return self._process

    def accept_credentials(self) -> None:
        """Reload the running server with the configuration that accepts the client."""
        self._write(self.accepting_settings)
        self._process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Reloaded server configuration" in self.log or "Failed to reload" in self.log)
        assert "Failed to reload" not in self.log, self.log

    def _write(self, settings: Settings) -> None:
        listen = {"server_name": self.name, "listen": f"127.0.0.1:{self.port}"}
        self._config_file.write_text(json.dumps({**listen, **settings}))


@contextmanager
def running_auth_servers(servers: Iterable[AuthServer]) -> Iterator[list[AuthServer]]:
    """Run the servers, which reject their client at first."""
    processes, started = [], []
    try:
        for server in servers:
            processes.append(server.start())
            started.append(server)
        yield started
    finally:
        for process in processes:
            process.kill()
            process.wait()


def auth_servers(folder: Path) -> list[AuthServer]:
    """Return one server for each kind of credentials."""
    trusted, other = CertificateAuthority(folder, "trusted"), CertificateAuthority(folder, "other")
    return [
        _password(folder),
        _token(folder),
        _without_credentials(folder),
        _nkey(folder),
        _nkey_file(folder),
        _credentials(folder),
        _private_authority(folder, trusted, other),
        _client_certificate(folder, trusted, other),
        _no_client_certificate(folder, trusted, other),
        _plaintext(folder, trusted),
        _no_permission(folder),
    ]


def _account_id(name: str) -> str:
    return "".join(letter for letter in name.upper() if letter.isalpha()).ljust(56, "A")


def _auth_server(folder: Path, name: str, **fields: object) -> AuthServer:
    return AuthServer(name=name, account=_account_id(name), folder=folder / name, **fields)  # type: ignore[arg-type]  # by name


def _authorized(**settings: object) -> Settings:
    return {"authorization": settings}


def _password(folder: Path) -> AuthServer:
    return _auth_server(
        folder,
        "password",
        config_entry={"user": "me", "password": "pass-word-secret"},
        secrets=("pass-word-secret",),
        rejecting_settings=_authorized(user="me", password="another-one"),
        accepting_settings=_authorized(user="me", password="pass-word-secret"),
        rejection="the NATS broker {url} rejects the user and password in brokers.toml: Authorization Violation",
    )


def _token(folder: Path) -> AuthServer:
    return _auth_server(
        folder,
        "token",
        config_entry={"token": "token-secret"},
        secrets=("token-secret",),
        rejecting_settings=_authorized(token="another-one"),
        accepting_settings=_authorized(token="token-secret"),
        rejection="the NATS broker {url} rejects the token in brokers.toml: Authorization Violation",
    )


def _without_credentials(folder: Path) -> AuthServer:
    return _auth_server(
        folder,
        "without-credentials",
        config_entry={},
        secrets=(),
        rejecting_settings=_authorized(token="another-one"),
        accepting_settings={},
        rejection="the NATS broker {url} requires credentials, but brokers.toml has none for it: "
        "Authorization Violation",
    )


def _nkey(folder: Path) -> AuthServer:
    user = Key()
    return _auth_server(
        folder,
        "nkey",
        config_entry={"nkey": user.seed},
        secrets=(user.seed,),
        rejecting_settings=_authorized(users=[{"nkey": Key().public}]),
        accepting_settings=_authorized(users=[{"nkey": user.public}]),
        rejection="the NATS broker {url} rejects the nkey in brokers.toml: Authorization Violation",
    )


def _nkey_file(folder: Path) -> AuthServer:
    user, file = Key(), folder / "user.nk"
    file.write_text(f"{user.seed}\n")
    return _auth_server(
        folder,
        "nkey-file",
        config_entry={"nkey": str(file)},
        secrets=(user.seed,),
        rejecting_settings=_authorized(users=[{"nkey": Key().public}]),
        accepting_settings=_authorized(users=[{"nkey": user.public}]),
        rejection="the NATS broker {url} rejects the nkey in brokers.toml: Authorization Violation",
    )


def _credentials(folder: Path) -> AuthServer:
    operator, account, other, user = Key("operator"), Key("account"), Key("account"), Key()
    jwt, file = signed(account, user, subs=-1, data=-1, payload=-1), folder / "user.creds"
    file.write_text(credentials_file(jwt, user))

    return _auth_server(
        folder,
        "credentials",
        config_entry={"credentials": str(file)},
        secrets=(user.seed, jwt),
        rejecting_settings=operator_settings(operator, other),
        accepting_settings=operator_settings(operator, other, account),
        rejection="the NATS broker {url} rejects the credentials file in brokers.toml: Authorization Violation",
    )


def operator_settings(operator: Key, *accounts: Key) -> Settings:
    """Return the configuration of a server in operator mode with these accounts."""
    limits = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1}
    return {
        "operator": signed(operator, operator),
        "resolver": "MEMORY",
        "resolver_preload": {
            one.public: signed(operator, one, limits={**limits, "wildcards": True}) for one in accounts
        },
    }


def _tls(certified: CertificateFiles, **more: object) -> Settings:
    return {"tls": {"cert_file": str(certified.certificate), "key_file": str(certified.key), **more}}


def _private_authority(folder: Path, trusted: CertificateAuthority, other: CertificateAuthority) -> AuthServer:
    return _auth_server(
        folder,
        "authority",
        scheme="tls",
        config_entry={"certificate": str(trusted.file), "token": "tls-token-secret"},
        secrets=("tls-token-secret",),
        rejecting_settings={**_authorized(token="tls-token-secret"), **_tls(other.sign("broker"))},
        accepting_settings={**_authorized(token="tls-token-secret"), **_tls(trusted.sign("broker"))},
        rejection="the NATS broker {url} presented an untrusted certificate; check url and certificate in "
        "brokers.toml: unable to get local issuer certificate",
    )


def _client_certificate(folder: Path, trusted: CertificateAuthority, other: CertificateAuthority) -> AuthServer:
    server, client = trusted.sign("verifying"), trusted.sign("client")
    return _auth_server(
        folder,
        "client-certificate",
        config_entry={
            "certificate": str(trusted.file),
            "client_certificate": str(client.certificate),
            "client_key": str(client.key),
        },
        secrets=(client.key.read_text().splitlines()[1],),
        rejecting_settings=_tls(server, ca_file=str(other.file), verify=True),
        accepting_settings=_tls(server, ca_file=str(trusted.file), verify=True),
        rejection="the NATS broker {url} rejects the client certificate; check client_certificate in "
        "brokers.toml: ",
    )


def _no_client_certificate(folder: Path, trusted: CertificateAuthority, other: CertificateAuthority) -> AuthServer:
    server = trusted.sign("asking")
    return _auth_server(
        folder,
        "no-client-certificate",
        config_entry={"certificate": str(trusted.file)},
        secrets=(),
        rejecting_settings=_tls(server, ca_file=str(other.file), verify=True),
        accepting_settings=_tls(server),
        rejection="the NATS broker {url} requires a client certificate; check client_certificate in brokers.toml: ",
    )


def _plaintext(folder: Path, trusted: CertificateAuthority) -> AuthServer:
    return _auth_server(
        folder,
        "plaintext",
        scheme="tls",
        config_entry={"user": "me", "password": "clear-secret", "certificate": str(trusted.file)},
        secrets=("clear-secret",),
        rejecting_settings=_authorized(user="me", password="clear-secret"),
        accepting_settings={**_authorized(user="me", password="clear-secret"), **_tls(trusted.sign("late"))},
        rejection="the NATS broker {url} does not offer TLS, which brokers.toml requires; nothing was sent",
    )


def _no_permission(folder: Path) -> AuthServer:
    login = {"user": "me", "password": "permitted-secret"}
    return _auth_server(
        folder,
        "no-permission",
        config_entry=login,
        secrets=("permitted-secret",),
        rejecting_settings=_authorized(users=[{**login, "permissions": {"subscribe": ["elsewhere", "_INBOX.>"]}}]),
        accepting_settings=_authorized(users=[login]),
        rejection="the NATS broker {url} does not permit this operation with the user and password: "
        'permissions violation for subscription to "login" using queue',
    )
