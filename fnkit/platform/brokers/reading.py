"""``brokers.toml`` → ``Brokers``, or everything that is wrong with it at once, by line.

::

    [[nats]]                                  # account, project, region: what it is for; none of them: everything
    url = "nats://nats.mnq.fr-par.scaleway.com:4222"
    credentials = "/home/me/nats.creds"       # or user and password, or token, or nkey

    [[sqs]]
    region = "fr-par"
    endpoint = "https://sqs.mnq.fr-par.scaleway.com"
    access_key = "${SQS_ACCESS_KEY}"          # from the environment of `platform start`
    secret_key = "${SQS_SECRET_KEY}"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError, Problem
from fnkit.platform.brokers.entries import Findings, nats_broker, sqs_broker
from fnkit.platform.brokers.model import Brokers, NatsBroker, SqsBroker
from fnkit.platform.brokers.places import Places

__all__ = ["BrokersInvalid", "named_variables", "read_brokers", "read_brokers_file"]

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_AT_LINE: Final = re.compile(r"\(at line (\d+)")


class BrokersInvalid(PlatformError):
    """All of a file's problems at once. None of them shows a value that may be secret."""

    default_code = "brokers-invalid"

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(f"The brokers in {file} cannot be used.", file=file)
        self.problems = tuple(problems)


def named_variables(text: str) -> set[str]:
    """Return the variables of the environment that a text names as ``${NAME}``."""
    return set(_VARIABLE.findall(text))


def read_brokers_file(file: Path, variables: Mapping[str, str]) -> Brokers:
    """Read a file.

    Raises:
        BrokersInvalid: it has problems.
        PlatformError: ``brokers-unreadable``.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PlatformError(f"{file} cannot be read: {reason}.", code="brokers-unreadable") from None
    return read_brokers(text, str(file), variables)


def read_brokers(text: str, file: str, variables: Mapping[str, str]) -> Brokers:
    """Return what the text says. variables: the values of what it names as ``${NAME}``.

    Raises:
        BrokersInvalid: it has problems.
    """
    document = _parsed(text, file)
    findings = Findings(file, Places.of(text))
    for key in document:
        if key not in ("nats", "sqs"):
            findings.add(
                "broker-unknown-key", f"{key} is no kind of broker.", (key,), hint="There are nats and sqs."
            )
    nats: list[NatsBroker] = []
    sqs: list[SqsBroker] = []
    for kind in ("nats", "sqs"):
        for number, raw in enumerate(_tables(document, kind, findings)):
            entry = _filled_in(raw, (kind, number), variables, findings)
            if kind == "nats" and (broker := nats_broker(entry, number, findings)) is not None:
                nats.append(broker)
            elif kind == "sqs" and (service := sqs_broker(entry, number, findings)) is not None:
                sqs.append(service)
    _find_twins("nats", [one.selector for one in nats], findings)
    _find_twins("sqs", [one.selector for one in sqs], findings)
    if findings.problems:
        raise BrokersInvalid(file, findings.problems)
    return Brokers(nats=tuple(nats), sqs=tuple(sqs))


def _parsed(text: str, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        found = _AT_LINE.search(str(error))
        line = int(found.group(1)) if found else max(1, text.count("\n"))
        reason = re.sub(r" *[(]at .*[)]$", "", str(error))
        problem = Problem("brokers-syntax", f"It is not valid TOML: {reason}.", None, file, line)
        raise BrokersInvalid(file, (problem,)) from None


def _tables(document: Mapping[str, object], kind: str, findings: Findings) -> list[dict[str, object]]:
    found = document.get(kind, [])
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    findings.add("broker-type", f"{kind} is not a list of tables.", (kind,), hint=f"Write [[{kind}]].")
    return []


def _filled_in(
    raw: Mapping[str, object], path: tuple[str, int], variables: Mapping[str, str], findings: Findings
) -> dict[str, object]:
    """Put variables in; one that is not there is a problem, and its key is left out."""
    entry: dict[str, object] = {}
    for key, value in raw.items():
        if not isinstance(value, str):
            entry[key] = value
            continue
        missing = sorted(name for name in named_variables(value) if not variables.get(name))
        for name in missing:
            findings.add(
                "broker-variable",
                f"{key} takes its value from ${{{name}}}, which is not set.",
                (*path, key),
                hint="Set it where `fnkit platform start` is run, and start the platform again.",
            )
        entry[key] = None if missing else _VARIABLE.sub(lambda match: variables[match.group(1)], value)
    return entry


def _find_twins(kind: str, selectors: Sequence[object], findings: Findings) -> None:
    for number, selector in enumerate(selectors):
        if selector in selectors[:number]:
            findings.add(
                "broker-twice", f"Two [[{kind}]] are for the same.", (kind, number), hint="Remove one of them."
            )
