"""Parses and validates the entries of ``brokers.toml``.

Messages never contain a value, because a secret may have been entered under the wrong key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fnkit.contract.limits import REGIONS
from fnkit.contract.names import NATS_ACCOUNT_RULE
from fnkit.errors import Problem
from fnkit.platform.brokers.credentials import CredentialsUnreadable, read_credentials, read_seed
from fnkit.platform.brokers.model import NatsBroker, Selector, SqsBroker
from fnkit.platform.brokers.places import Places

__all__ = ["Findings", "nats_broker", "sqs_broker"]

_SELECTORS: Final = ("account", "project", "region")
_NATS_FILES: Final = ("credentials", "certificate", "client_certificate", "client_key")
_NATS_KEYS: Final = (*_SELECTORS, "url", "user", "password", "token", "nkey", *_NATS_FILES)
_SQS_KEYS: Final = ("project", "region", "endpoint", "region_name", "access_key", "secret_key", "queue_url")
_NATS_SCHEMES: Final = ("nats", "tls", "ws", "wss")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLACEHOLDERS: Final = re.compile(r"\{(?!queue\}|project\}|region\})")


@dataclass(slots=True)
class Findings:
    """Collects the problems of one file.

    Attributes:
        file: Path of the file, for display.
        lines: Line numbers of the entries and keys.
        problems: The problems found so far.
    """

    file: str
    places: Places
    problems: list[Problem] = field(default_factory=list)

    def add(self, code: str, message: str, path: tuple[str | int, ...], *, hint: str | None = None) -> None:
        """Add a problem at the line of a key.

        Args:
            code: Code of the problem, as listed in ``docs/errors.md``.
            message: One sentence.
            path: The table's name, its index and the key; shorter for problems of an entry or of a table.
            hint: How to fix it.
        """
        self.problems.append(Problem(code, message, hint, self.file, self.places.line(path)))


class _Entry:
    """Gives typed access to the keys of one entry and collects its problems."""

    def __init__(self, kind: str, raw: Mapping[str, object], number: int, problems: Findings) -> None:
        self._raw = raw
        self._path = (kind, number)
        self._findings = problems
        self._before = len(problems.problems)

    @property
    def is_fine(self) -> bool:
        # A value of None stands for a missing environment variable, which was reported already.
        return len(self._findings.problems) == self._before and None not in self._raw.values()

    def check_keys(self, known: tuple[str, ...]) -> None:
        for key, value in self._raw.items():
            if key not in known:
                self.add(
                    "broker-unknown-key",
                    f"{key} is not a known setting.",
                    key,
                    hint=f"Known settings: {', '.join(known)}.",
                )
            elif value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
                self.add("broker-type", f"{key} is not a string of printable characters.", key)

    def text(self, key: str) -> str:
        value = self._raw.get(key)
        return value if isinstance(value, str) else ""

    def require(self, key: str) -> str:
        if key not in self._raw:
            self.add("broker-missing", f"{key} is missing.", key)
        return self.text(key)

    def add(self, code: str, message: str, key: str, hint: str | None = None) -> None:
        self._findings.add(code, message, (*self._path, key), hint=hint)

    def selector(self) -> Selector:
        account, project, region = (self.text(key) or None for key in _SELECTORS)
        if account is not None and not NATS_ACCOUNT_RULE.fullmatch(account):
            self.add("broker-invalid", "account is not a string of 56 uppercase letters and digits.", "account")
        if project is not None and not _UUID.fullmatch(project):
            self.add("broker-invalid", "project is not a UUID.", "project")
        if region is not None and region not in REGIONS:
            self.add(
                "broker-invalid",
                "region is not a Scaleway region.",
                "region",
                f"Known regions: {', '.join(REGIONS)}.",
            )
        return Selector(account=account, project=project, region=region)

    def check_file(self, key: str) -> None:
        path = self.text(key)
        if path and not Path(path).expanduser().is_file():
            self.add("broker-invalid", f"{key} is not the path of a file.", key)

    def check_credentials(self) -> None:
        for key, read in (("credentials", _credentials), ("nkey", read_seed)):
            value = self.text(key)
            if value and (key == "nkey" or Path(value).expanduser().is_file()):
                try:
                    read(value)
                except CredentialsUnreadable as error:
                    self.add("broker-invalid", f"{error}.", key)


def nats_broker(raw: Mapping[str, object], number: int, problems: Findings) -> NatsBroker | None:
    """Return the NATS broker that an entry describes, or ``None`` if the entry has problems.

    Args:
        raw: The entry, with its environment variables substituted; ``None`` for a value whose variable is not set.
        number: Index of the entry among the ``[[nats]]`` entries.
        problems: Collects the problems.
    """
    entry = _Entry("nats", raw, number, problems)
    entry.check_keys(_NATS_KEYS)
    url = entry.require("url")
    if url and not all(_is_url(one.strip(), _NATS_SCHEMES) for one in url.split(",")):
        entry.add("broker-invalid", "url is not the URL of a NATS server.", "url", "Example: nats://127.0.0.1:4222")
    for key, other in (("user", "password"), ("password", "user"), ("client_key", "client_certificate")):
        if key in raw and other not in raw:
            entry.add("broker-missing", f"{key} requires {other}.", key)
    # nats-py uses one transport for all servers of a client, so it cannot mix the two.
    if len({_is_websocket(one) for one in url.split(",")}) > 1:
        entry.add("broker-invalid", "url mixes WebSocket URLs with others.", "url")
    kinds = [key for key in ("user", "token", "credentials", "nkey") if key in raw]
    if kinds and "@" in url:
        entry.add("broker-invalid", f"url contains credentials in addition to {kinds[0]}.", "url")
    if len(kinds) > 1:
        entry.add("broker-invalid", f"{' and '.join(kinds)} are mutually exclusive.", kinds[1])
    else:
        entry.check_credentials()
    for key in _NATS_FILES:
        entry.check_file(key)
    selector = entry.selector()
    if not entry.is_fine:
        return None
    values = {key: entry.text(key) for key in _NATS_KEYS if key not in _SELECTORS}
    return NatsBroker(selector=selector, **values)


def sqs_broker(raw: Mapping[str, object], number: int, problems: Findings) -> SqsBroker | None:
    """Return the SQS service that an entry describes, or ``None`` if the entry has problems.

    Args:
        raw: The entry, with its environment variables substituted; ``None`` for a value whose variable is not set.
        number: Index of the entry among the ``[[sqs]]`` entries.
        problems: Collects the problems.
    """
    entry = _Entry("sqs", raw, number, problems)
    entry.check_keys(_SQS_KEYS)
    endpoint = entry.require("endpoint")
    if endpoint and not _is_url(endpoint, ("http", "https")):
        entry.add("broker-invalid", "endpoint is not an http or https URL.", "endpoint")
    access_key, secret_key = entry.require("access_key"), entry.require("secret_key")
    queue_url = entry.text("queue_url")
    if queue_url and (_PLACEHOLDERS.search(queue_url) or not _is_url(queue_url, ("http", "https"))):
        entry.add(
            "broker-invalid",
            "queue_url is not an http or https URL.",
            "queue_url",
            "The placeholders {queue}, {project} and {region} are replaced.",
        )
    selector = entry.selector()
    if not entry.is_fine:
        return None
    return SqsBroker(
        selector=selector,
        endpoint=endpoint,
        region_name=entry.text("region_name") or entry.text("region") or REGIONS[0],
        access_key=access_key,
        secret_key=secret_key,
        queue_url=queue_url,
    )


def _credentials(value: str) -> None:
    read_credentials(Path(value).expanduser())


def _is_websocket(url: str) -> bool:
    return url.strip().startswith("ws")


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
