"""Reads ``brokers.toml`` and the credential files that it names, and reports all problems at once.

::

    [[nats]]                                  # account, project, region: what it applies to; default: everything
    url = "nats://nats.mnq.fr-par.scaleway.com:4222"
    credentials = "/home/me/nats.creds"       # or user and password, or token, or nkey

    [[sqs]]
    region = "fr-par"
    endpoint = "https://sqs.mnq.fr-par.scaleway.com"
    access_key = "${SQS_ACCESS_KEY}"          # from the environment of `platform start`
    secret_key = "${SQS_SECRET_KEY}"

Messages never contain a value, because a secret may have been entered under the wrong key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fnkit.contract.limits import REGIONS
from fnkit.contract.names import NATS_ACCOUNT_RULE
from fnkit.contract.toml_lines import TomlLines
from fnkit.errors import PlatformError, Problem
from fnkit.platform.brokers.model import Brokers, NatsBroker, Selector, SqsBroker, split_urls

_SELECTOR_KEYS: Final = ("account", "project", "region")
_NATS_FILE_KEYS: Final = ("credentials", "certificate", "client_certificate", "client_key")
_NATS_KEYS: Final = (*_SELECTOR_KEYS, "url", "user", "password", "token", "nkey", *_NATS_FILE_KEYS)
_NATS_SCHEMES: Final = ("nats", "tls", "ws", "wss")
_SQS_KEYS: Final = ("project", "region", "endpoint", "region_name", "access_key", "secret_key", "queue_url")

_UUID_PATTERN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNKNOWN_PLACEHOLDER: Final = re.compile(r"\{(?!queue\}|project\}|region\})")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_TOML_ERROR_LINE: Final = re.compile(r"\(at line (\d+)")

# Credential files
_MAX_FILE_BYTES: Final = 1024 * 1024
_SEED_PATTERN: Final = re.compile(r"SU[A-Z2-7]{56}")
_SECTION_PATTERN: Final = r"-{{3,}} *BEGIN {0} *-{{3,}}\s+([A-Za-z0-9_.\-=]+?)\s+-{{3,}} *END {0} *-{{3,}}"
_JWT_PATTERN: Final = re.compile(_SECTION_PATTERN.format("NATS USER JWT"))
_USER_SEED_PATTERN: Final = re.compile(_SECTION_PATTERN.format("USER NKEY SEED"))


class BrokersInvalid(PlatformError):
    """The broker configuration has problems, which are all reported at once."""

    default_code = "brokers-invalid"

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(f"The broker configuration in {file} is not valid.", file=file)
        self.problems = tuple(problems)


class CredentialsUnreadable(Exception):
    """The credentials cannot be read. The message contains nothing of the content of the file."""


def referenced_variables(text: str) -> set[str]:
    """Return the environment variables that a text refers to as ``${NAME}``."""
    return set(_VARIABLE.findall(text))


def read_brokers_file(file: Path, environment: Mapping[str, str]) -> Brokers:
    """Read a file.

    Args:
        file: The file.
        environment: Values of the environment variables that the file refers to.

    Raises:
        BrokersInvalid: The file has problems.
        PlatformError: The file cannot be read (``brokers-unreadable``).
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PlatformError(f"{file} cannot be read: {reason}.", code="brokers-unreadable") from None
    return read_brokers(text, str(file), environment)


def read_brokers(text: str, file: str, environment: Mapping[str, str]) -> Brokers:
    """Parse the text of a file.

    Args:
        text: The content.
        file: Path of the file, for display.
        environment: Values of the environment variables that the text refers to as ``${NAME}``.

    Raises:
        BrokersInvalid: The text has problems.
    """
    document = _parse_toml(text, file)
    problems = _Problems(file, TomlLines.from_text(text))
    for key in document:
        if key not in ("nats", "sqs"):
            problems.add(
                "broker-unknown-key", f"{key} is not a type of broker.", (key,), hint="Known types: nats and sqs."
            )
    nats = [_parse_nats_broker(entry) for entry in _read_entries(document, "nats", environment, problems)]
    sqs = [_parse_sqs_broker(entry) for entry in _read_entries(document, "sqs", environment, problems)]
    brokers = Brokers(
        nats=tuple(broker for broker in nats if broker is not None),
        sqs=tuple(broker for broker in sqs if broker is not None),
    )
    _check_duplicates("nats", [one.selector for one in brokers.nats], problems)
    _check_duplicates("sqs", [one.selector for one in brokers.sqs], problems)
    if problems.items:
        raise BrokersInvalid(file, problems.items)
    return brokers


def _parse_toml(text: str, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # tomllib reports the line only in the text of the error, and none at the end of the document.
        found = _TOML_ERROR_LINE.search(str(error))
        line = int(found.group(1)) if found else max(1, text.count("\n"))
        reason = re.sub(r" *[(]at .*[)]$", "", str(error))
        problem = Problem("brokers-syntax", f"It is not valid TOML: {reason}.", None, file, line)
        raise BrokersInvalid(file, (problem,)) from None


def _read_entries(
    document: Mapping[str, object], kind: str, environment: Mapping[str, str], problems: _Problems
) -> Iterator[_EntryReader]:
    """Yield the entries of a kind, with their environment variables substituted."""
    tables = document.get(kind, [])
    if isinstance(tables, list) and all(isinstance(one, dict) for one in tables):
        for number, raw in enumerate(tables):
            entry = _substitute_variables(raw, (kind, number), environment, problems)
            yield _EntryReader(kind, entry, number, problems)
    else:
        problems.add("broker-type", f"{kind} is not an array of tables.", (kind,), hint=f"Write [[{kind}]].")


def _substitute_variables(
    raw: Mapping[str, object], path: tuple[str, int], environment: Mapping[str, str], problems: _Problems
) -> dict[str, object]:
    """Substitute environment variables. A value whose variable is not set becomes ``None``, and is reported."""
    entry: dict[str, object] = {}
    for key, value in raw.items():
        if not isinstance(value, str):
            entry[key] = value
            continue
        missing = sorted(name for name in referenced_variables(value) if not environment.get(name))
        for name in missing:
            problems.add(
                "broker-variable",
                f"{key} refers to ${{{name}}}, which is not set.",
                (*path, key),
                hint="Set it in the environment of `fnkit platform start` and start the platform again.",
            )
        entry[key] = None if missing else _VARIABLE.sub(lambda match: environment[match.group(1)], value)
    return entry


def _check_duplicates(kind: str, selectors: Sequence[object], problems: _Problems) -> None:
    for number, selector in enumerate(selectors):
        if selector in selectors[:number]:
            problems.add(
                "broker-twice",
                f"Two [[{kind}]] entries have the same account, project and region.",
                (kind, number),
                hint="Remove one of them.",
            )


def _parse_nats_broker(entry: _EntryReader) -> NatsBroker | None:
    """Return the NATS broker that an entry describes, or ``None`` if the entry has problems."""
    entry.check_keys(_NATS_KEYS)
    url = entry.require_text("url")
    if url and not all(_is_url(one, _NATS_SCHEMES) for one in split_urls(url)):
        entry.reject("url", "is not the URL of a NATS server", "Example: nats://127.0.0.1:4222")
    for key, other in (("user", "password"), ("password", "user"), ("client_key", "client_certificate")):
        if key in entry and other not in entry:
            entry.add_problem("broker-missing", f"{key} requires {other}.", key)
    # nats-py uses one transport for all servers of a client, so it cannot mix the two.
    if len({one.startswith("ws") for one in split_urls(url)}) > 1:
        entry.reject("url", "mixes WebSocket URLs with others")
    kinds = [key for key in ("user", "token", "credentials", "nkey") if key in entry]
    if kinds and "@" in url:
        entry.reject("url", f"contains credentials in addition to {kinds[0]}")
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


def _parse_sqs_broker(entry: _EntryReader) -> SqsBroker | None:
    """Return the SQS service that an entry describes, or ``None`` if the entry has problems."""
    entry.check_keys(_SQS_KEYS)
    endpoint = entry.require_text("endpoint")
    if endpoint and not _is_url(endpoint, ("http", "https")):
        entry.reject("endpoint", "is not an http or https URL")
    access_key, secret_key = entry.require_text("access_key"), entry.require_text("secret_key")
    queue_url = entry.get_text("queue_url")
    if queue_url and (_UNKNOWN_PLACEHOLDER.search(queue_url) or not _is_url(queue_url, ("http", "https"))):
        hint = "The placeholders {queue}, {project} and {region} are replaced."
        entry.reject("queue_url", "is not an http or https URL", hint)
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


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class _EntryReader:
    """Gives typed access to the keys of one entry and collects its problems.

    Args:
        kind: ``nats`` or ``sqs``.
        raw: The entry, with its environment variables substituted; ``None`` for a value whose variable is not set.
        number: Index of the entry among those of its kind.
        problems: Collects the problems.
    """

    def __init__(self, kind: str, raw: Mapping[str, object], number: int, problems: _Problems) -> None:
        self._raw = raw
        self._path = (kind, number)
        self._problems = problems
        self._problem_count = len(problems.items)

    def __contains__(self, key: str) -> bool:
        return key in self._raw

    @property
    def is_valid(self) -> bool:
        # A value of None stands for a missing environment variable, which was reported already.
        return len(self._problems.items) == self._problem_count and None not in self._raw.values()

    def check_keys(self, known: tuple[str, ...]) -> None:
        for key, value in self._raw.items():
            if key not in known:
                hint = f"Known settings: {', '.join(known)}."
                self.add_problem("broker-unknown-key", f"{key} is not a known setting.", key, hint)
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

    def reject(self, key: str, reason: str, hint: str | None = None) -> None:
        """Add a problem of the value of a key; the message is "<key> <reason>."."""
        self.add_problem("broker-invalid", f"{key} {reason}.", key, hint)

    def parse_selector(self) -> Selector:
        account, project, region = (self.get_text(key) or None for key in _SELECTOR_KEYS)
        if account is not None and not NATS_ACCOUNT_RULE.fullmatch(account):
            self.reject("account", "is not a string of 56 uppercase letters and digits")
        if project is not None and not _UUID_PATTERN.fullmatch(project):
            self.reject("project", "is not a UUID")
        if region is not None and region not in REGIONS:
            self.reject("region", "is not a Scaleway region", f"Known regions: {', '.join(REGIONS)}.")
        return Selector(account=account, project=project, region=region)

    def check_file(self, key: str) -> None:
        path = self.get_text(key)
        if path and not Path(path).expanduser().is_file():
            self.reject(key, "is not the path of a file")

    def check_credentials(self) -> None:
        for key, read in (("credentials", _check_credentials_file), ("nkey", read_seed)):
            value = self.get_text(key)
            if value and (key == "nkey" or Path(value).expanduser().is_file()):
                try:
                    read(value)
                except CredentialsUnreadable as error:
                    self.add_problem("broker-invalid", f"{error}.", key)


@dataclass(slots=True)
class _Problems:
    """Collects the problems of one file.

    Attributes:
        file: Path of the file, for display.
        lines: Line numbers of the entries and keys.
        items: The problems found so far.
    """

    file: str
    lines: TomlLines
    items: list[Problem] = field(default_factory=list)

    def add(self, code: str, message: str, path: tuple[str | int, ...], *, hint: str | None = None) -> None:
        """Add a problem at the line of a key.

        Args:
            code: Code of the problem, as listed in ``docs/errors.md``.
            message: One sentence.
            path: The table's name, its index and the key; shorter for problems of an entry or of a table.
            hint: How to fix it.
        """
        self.items.append(Problem(code, message, hint, self.file, self.lines.line(*path)))


def read_credentials(file: Path) -> tuple[str, str]:
    """Return the user JWT and the seed of a ``.creds`` file.

    Raises:
        CredentialsUnreadable: The file cannot be read or has another format.
    """
    text = _read_text("credentials", file)
    jwt, seed = _JWT_PATTERN.search(text), _USER_SEED_PATTERN.search(text)
    if jwt is None or seed is None or not _SEED_PATTERN.fullmatch(seed.group(1)):
        raise CredentialsUnreadable(f"credentials: {file} contains no user JWT with its seed in the format of nsc")
    return jwt.group(1), seed.group(1)


def read_seed(value: str) -> str:
    """Return a user's seed.

    Args:
        value: The seed itself, or the path of a file that contains it.

    Raises:
        CredentialsUnreadable: The value is neither.
    """
    if _SEED_PATTERN.fullmatch(value):
        return value
    # The value may be a mistyped seed, so it must not appear in a message unless it is the path of a file.
    file = Path(value).expanduser()
    try:
        is_file = file.is_file()
    except OSError:
        is_file = False
    if not is_file:
        raise CredentialsUnreadable("nkey is neither a user seed (SU…) nor the path of a file that contains one")
    lines = [line.strip() for line in _read_text("nkey", file).splitlines()]
    seed = next((line for line in lines if _SEED_PATTERN.fullmatch(line)), None)
    if seed is None:
        raise CredentialsUnreadable(f"nkey: {file} contains no user seed (SU…)")
    return seed


def _read_text(key: str, file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX_FILE_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        raise CredentialsUnreadable(f"{key}: {file} cannot be read: {error.strerror}") from None
