"""Reads ``brokers.toml`` into ``Brokers`` and reports all problems of the file at once, with their lines.

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError, Problem
from fnkit.platform.brokers.entries import Problems, parse_nats_broker, parse_sqs_broker
from fnkit.platform.brokers.model import Brokers, NatsBroker, SqsBroker
from fnkit.platform.brokers.places import ConfigLineIndex

__all__ = ["BrokersInvalid", "referenced_variables", "read_brokers", "read_brokers_file"]

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TOML_ERROR_LINE: Final = re.compile(r"\(at line (\d+)")


class BrokersInvalid(PlatformError):
    """The broker configuration has problems, which are all reported at once."""

    default_code = "brokers-invalid"

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(f"The broker configuration in {file} is not valid.", file=file)
        self.problems = tuple(problems)


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
    problems = Problems(file, ConfigLineIndex.from_text(text))
    for key in document:
        if key not in ("nats", "sqs"):
            problems.add(
                "broker-unknown-key", f"{key} is not a type of broker.", (key,), hint="Known types: nats and sqs."
            )
    nats: list[NatsBroker] = []
    sqs: list[SqsBroker] = []
    for kind in ("nats", "sqs"):
        for number, raw in enumerate(_get_tables(document, kind, problems)):
            entry = _substitute_variables(raw, (kind, number), environment, problems)
            if kind == "nats" and (broker := parse_nats_broker(entry, number, problems)) is not None:
                nats.append(broker)
            elif kind == "sqs" and (service := parse_sqs_broker(entry, number, problems)) is not None:
                sqs.append(service)
    _check_duplicates("nats", [one.selector for one in nats], problems)
    _check_duplicates("sqs", [one.selector for one in sqs], problems)
    if problems.items:
        raise BrokersInvalid(file, problems.items)
    return Brokers(nats=tuple(nats), sqs=tuple(sqs))


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


def _get_tables(document: Mapping[str, object], kind: str, problems: Problems) -> list[dict[str, object]]:
    tables = document.get(kind, [])
    if isinstance(tables, list) and all(isinstance(one, dict) for one in tables):
        return tables
    problems.add("broker-type", f"{kind} is not an array of tables.", (kind,), hint=f"Write [[{kind}]].")
    return []


def _substitute_variables(
    raw: Mapping[str, object], path: tuple[str, int], environment: Mapping[str, str], problems: Problems
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


def _check_duplicates(kind: str, selectors: Sequence[object], problems: Problems) -> None:
    for number, selector in enumerate(selectors):
        if selector in selectors[:number]:
            problems.add(
                "broker-twice",
                f"Two [[{kind}]] entries have the same account, project and region.",
                (kind, number),
                hint="Remove one of them.",
            )
