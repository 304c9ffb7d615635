"""Validates the crons of a function."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Final

from fnkit.authoring.declarations import CronDeclaration
from fnkit.contract.cron import schedule_error
from fnkit.contract.limits import PAYLOAD_MAX_BYTES
from fnkit.project.findings import ProblemList
from fnkit.project.model import CronSpec, SourceLocation

__all__ = ["build_crons"]

_CRON_NAME_MAX: Final = 100
_JSON_NODES_MAX: Final = 200_000


def build_crons(
    crons: Iterable[tuple[CronDeclaration, SourceLocation]], subject: str, problems: ProblemList
) -> tuple[CronSpec, ...]:
    """Return the crons of a function; those without a name become ``cron-1``, ``cron-2``, … in order."""
    specs: list[CronSpec] = []
    unnamed = 0
    for cron, source in crons:
        error = schedule_error(cron.schedule)
        if error is not None:
            problems.add("bad-schedule", f"{subject}: {error}", "Schedules are in UTC.", source)
        args = cron.args if cron.args is not None else {}
        json_error = _json_error(args)
        if json_error is not None:
            problems.add("bad-cron-args", f"{subject}: the cron's args {json_error}.", None, source)
        name = cron.name
        if name is None:
            unnamed += 1
            name = f"cron-{unnamed}"
        elif not 1 <= len(name) <= _CRON_NAME_MAX or not name.isprintable():
            message = f"{subject}: {name[:80]!r} is not a valid cron name."
            problems.add("bad-name", message, "Use 1 to 100 printable characters.", source)
        specs.append(CronSpec(name=name, schedule=cron.schedule, args=args, source=source))
    problems.add_duplicates("cron", subject, ((spec.name, spec.source) for spec in specs))
    return tuple(specs)


def _json_error(value: object) -> str | None:
    """Return why a value cannot be sent as a JSON body, as the end of a sentence, or ``None``."""
    pending, count = [value], 0
    while pending:
        one = pending.pop()
        count += 1
        if count > _JSON_NODES_MAX:
            return "are too large"
        if hasattr(one, "keys") and hasattr(one, "values"):
            if not all(isinstance(key, str) for key in one.keys()):  # noqa: SIM118 - any mapping
                return "have a key that is not a string"
            pending.extend(one.values())
        elif isinstance(one, list | tuple):
            pending.extend(one)
        elif isinstance(one, float) and not math.isfinite(one):
            return f"contain {one}, which JSON cannot represent"
        elif one is not None and not isinstance(one, str | int | float):
            return f"contain a {type(one).__name__}, which JSON cannot represent"
    size = len(json.dumps(value, default=dict))
    return f"have {size} bytes; at most {PAYLOAD_MAX_BYTES} are allowed" if size > PAYLOAD_MAX_BYTES else None
