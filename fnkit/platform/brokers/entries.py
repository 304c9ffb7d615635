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
from fnkit.platform.brokers.places import ConfigLineIndex

__all__ = ["Problems", "parse_nats_broker", "parse_sqs_broker"]

_SELECTOR_KEYS: Final = ("account", "project", "region")
_NATS_FILE_KEYS: Final = ("credentials", "certificate", "client_certificate", "client_key")
_NATS_KEYS: Final = (*_SELECTOR_KEYS, "url", "user", "password", "token", "nkey", *_NATS_FILE_KEYS)
_SQS_KEYS: Final = ("project", "region", "endpoint", "region_name", "access_key", "secret_key", "queue_url")
_NATS_SCHEMES: Final = ("nats", "tls", "ws", "wss")
_UUID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNKNOWN_PLACEHOLDER: Final = re.compile(r"\{(?!queue\}|project\}|region\})")


@dataclass(slots=True)
class Problems:
    """Collects the problems of one file.

    Attributes:
        file: Path of the file, for display.
        lines: Line numbers of the entries and keys.
        problems: The problems found so far.
    """

    file: str
    lines: ConfigLineIndex
    items: list[Problem] = field(default_factory=list)

    def add(self, code: str, message: str, path: tuple[str | int, ...], *, hint: str | None = None) -> None:
        """Add a problem at the line of a key.

        Args:
            code: Code of the problem, as listed in ``docs/errors.md``.
            message: One sentence.
            path: The table's name, its index and the key; shorter for problems of an entry or of a table.
            hint: How to fix it.
        """
        self.items.append(Problem(code, message, hint, self.file, self.lines.line(path)))


class _EntryReader:
    """Gives typed access to the keys of one entry and collects its problems."""

    def __init__(self, kind: str, raw: Mapping[str, object], number: int, problems: Problems) -> None:
        self._raw = raw
        self._path = (kind, number)
        self._problems = problems
        self._problem_count = len(problems.items)

    @property
    def is_valid(self) -> bool:
        # A value of None stands for a missing environment variable, which was reported already.
        return len(self._problems.items) == self._problem_count and None not in self._raw.values()

    def check_keys(self, known: tuple[str, ...]) -> None:
        for key, value in self._raw.items():
            if key not in known:
                self.add_problem(
                    "broker-unknown-key",
                    f"{key} is not a known setting.",
                    key,
                    hint=f"Known settings: {', '.join(known)}.",
                )
            elif value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
                self.add_problem("broker-type", f"{key} is not a string of printable characters.", key)

    def get_text(self, key: str) -> str:
        value = self._raw.get(key)
        return value if isinstance(value, str) else ""

    def require_text(self, key: str) -> str:
        if key not in self._raw:
            self.add_problem("broker-missing", f"{key} is missing.", key)
        return self.get_text(key)

    def add_problem(self, code: str, message: str, key: str, hint: str | None = None) -> None:
        self._problems.add(code, message, (*self._path, key), hint=hint)

    def parse_selector(self) -> Selector:
        account, project, region = (self.get_text(key) or None for key in _SELECTOR_KEYS)
        if account is not None and not NATS_ACCOUNT_RULE.fullmatch(account):
            self.add_problem(
                "broker-invalid", "account is not a string of 56 uppercase letters and digits.", "account"
            )
        if project is not None and not _UUID_PATTERN.fullmatch(project):
            self.add_problem("broker-invalid", "project is not a UUID.", "project")
        if region is not None and region not in REGIONS:
            self.add_problem(
                "broker-invalid",
                "region is not a Scaleway region.",
                "region",
                f"Known regions: {', '.join(REGIONS)}.",
            )
        return Selector(account=account, project=project, region=region)

    def check_file(self, key: str) -> None:
        path = self.get_text(key)
        if path and not Path(path).expanduser().is_file():
            self.add_problem("broker-invalid", f"{key} is not the path of a file.", key)

    def check_credentials(self) -> None:
        for key, read in (("credentials", _check_credentials_file), ("nkey", read_seed)):
            value = self.get_text(key)
            if value and (key == "nkey" or Path(value).expanduser().is_file()):
                try:
                    read(value)
                except CredentialsUnreadable as error:
                    self.add_problem("broker-invalid", f"{error}.", key)


def parse_nats_broker(raw: Mapping[str, object], number: int, problems: Problems) -> NatsBroker | None:
    """Return the NATS broker that an entry describes, or ``None`` if the entry has problems.

    Args:
        raw: The entry, with its environment variables substituted; ``None`` for a value whose variable is not set.
        number: Index of the entry among the ``[[nats]]`` entries.
        problems: Collects the problems.
    """
    entry = _EntryReader("nats", raw, number, problems)
    entry.check_keys(_NATS_KEYS)
    url = entry.require_text("url")
    if url and not all(_is_url(one.strip(), _NATS_SCHEMES) for one in url.split(",")):
        entry.add_problem(
            "broker-invalid", "url is not the URL of a NATS server.", "url", "Example: nats://127.0.0.1:4222"
        )
    for key, other in (("user", "password"), ("password", "user"), ("client_key", "client_certificate")):
        if key in raw and other not in raw:
            entry.add_problem("broker-missing", f"{key} requires {other}.", key)
    # nats-py uses one transport for all servers of a client, so it cannot mix the two.
    if len({_is_websocket(one) for one in url.split(",")}) > 1:
        entry.add_problem("broker-invalid", "url mixes WebSocket URLs with others.", "url")
    kinds = [key for key in ("user", "token", "credentials", "nkey") if key in raw]
    if kinds and "@" in url:
        entry.add_problem("broker-invalid", f"url contains credentials in addition to {kinds[0]}.", "url")
    if len(kinds) > 1:
        entry.add_problem("broker-invalid", f"{' and '.join(kinds)} are mutually exclusive.", kinds[1])
    else:
        entry.check_credentials()
    for key in _NATS_FILE_KEYS:
        entry.check_file(key)
    selector = entry.parse_selector()
    if not entry.is_valid:
        return None
    values = {key: entry.get_text(key) for key in _NATS_KEYS if key not in _SELECTOR_KEYS}
    return NatsBroker(selector=selector, **values)


def parse_sqs_broker(raw: Mapping[str, object], number: int, problems: Problems) -> SqsBroker | None:
    """Return the SQS service that an entry describes, or ``None`` if the entry has problems.

    Args:
        raw: The entry, with its environment variables substituted; ``None`` for a value whose variable is not set.
        number: Index of the entry among the ``[[sqs]]`` entries.
        problems: Collects the problems.
    """
    entry = _EntryReader("sqs", raw, number, problems)
    entry.check_keys(_SQS_KEYS)
    endpoint = entry.require_text("endpoint")
    if endpoint and not _is_url(endpoint, ("http", "https")):
        entry.add_problem("broker-invalid", "endpoint is not an http or https URL.", "endpoint")
    access_key, secret_key = entry.require_text("access_key"), entry.require_text("secret_key")
    queue_url = entry.get_text("queue_url")
    if queue_url and (_UNKNOWN_PLACEHOLDER.search(queue_url) or not _is_url(queue_url, ("http", "https"))):
        entry.add_problem(
            "broker-invalid",
            "queue_url is not an http or https URL.",
            "queue_url",
            "The placeholders {queue}, {project} and {region} are replaced.",
        )
    selector = entry.parse_selector()
    if not entry.is_valid:
        return None
    return SqsBroker(
        selector=selector,
        endpoint=endpoint,
        region_name=entry.get_text("region_name") or entry.get_text("region") or REGIONS[0],
        access_key=access_key,
        secret_key=secret_key,
        queue_url=queue_url,
    )


def _check_credentials_file(value: str) -> None:
    read_credentials(Path(value).expanduser())


def _is_websocket(url: str) -> bool:
    return url.strip().startswith("ws")


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
