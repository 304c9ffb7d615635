"""Validates the crons and triggers of functions, and names those that have no name."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from fnkit.authoring.declarations import CronDeclaration, TriggerDeclaration
from fnkit.contract.cron import CronSchedule, schedule_error
from fnkit.contract.limits import (
    NATS_SUBJECT_MAX,
    PAYLOAD_MAX_BYTES,
    QUEUE_NAME_MAX,
    REGIONS,
    TRIGGER_DESCRIPTION_MAX,
    TRIGGER_NAME_MAX,
)
from fnkit.contract.names import NATS_ACCOUNT_RULE, TRIGGER_NAME_RULE, UUID_RULE, is_nats_subject, is_queue_name
from fnkit.project.model import CronSpec, DeclarationSource, TriggerSpec
from fnkit.project.problems import Subject, did_you_mean

_CRON_NAME_MAX: Final = 100
_JSON_NODES_MAX: Final = 200_000


def build_crons(
    crons: Iterable[tuple[CronDeclaration, DeclarationSource]], subject: Subject
) -> tuple[CronSpec, ...]:
    """Return the crons of a function; those without a name become ``cron-1``, ``cron-2``, … in order."""
    specs: list[CronSpec] = []
    unnamed = 0
    for cron, declared in crons:
        own = replace(subject, declared=declared)
        error = schedule_error(cron.schedule)
        if error is not None:
            own.add("bad-schedule", f"{subject}: {error}", "Schedules are in UTC.", setting="schedule")
        args = cron.args if cron.args is not None else {}
        json_error = _json_error(args)
        if json_error is not None:
            own.add("bad-cron-args", f"{subject}: the cron's args {json_error}.", setting="args")
        name = cron.name
        if name is None:
            unnamed += 1
            name = f"cron-{unnamed}"
        elif not 1 <= len(name) <= _CRON_NAME_MAX or not name.isprintable():
            message = f"{subject}: {name[:80]!r} is not a valid cron name."
            own.add("bad-name", message, "Use 1 to 100 printable characters.", setting="name")
        specs.append(CronSpec(name=name, schedule=cron.schedule, args=args, source=declared.whole))
    subject.problems.add_duplicates("cron", subject.name, ((spec.name, spec.source) for spec in specs))
    return tuple(specs)


def never_running_notes(function: str, crons: Iterable[CronSpec]) -> tuple[str, ...]:
    """Return a note about each cron whose schedule is valid, but names only days that do not exist."""
    return tuple(
        f"{function}: {one.name} never runs, because no year has a day for '{one.schedule}' "
        f"({one.source.file}:{one.source.line})."
        for one in crons
        if schedule_error(one.schedule) is None and not CronSchedule.parse(one.schedule).can_fire
    )


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


def build_triggers(
    triggers: Iterable[tuple[TriggerDeclaration, DeclarationSource]], subject: Subject
) -> tuple[TriggerSpec, ...]:
    """Return the triggers of a function."""
    specs: list[TriggerSpec] = []
    for trigger, declared in triggers:
        own = replace(subject, declared=declared)
        if (trigger.nats is None) == (trigger.sqs is None):
            message = f"{subject}: a trigger must have exactly one of nats and sqs."
            hint = 'Use @trigger(nats="orders.created") or @trigger(sqs="jobs").'
            own.add("bad-trigger", message, hint)
            continue
        kind = "nats" if trigger.nats is not None else "sqs"
        address = trigger.nats if trigger.nats is not None else trigger.sqs or ""
        for setting, code, text, hint_text in _trigger_problems(kind, address, trigger):
            own.add(code, f"{subject}: {text}", hint_text, setting=setting)
        specs.append(
            TriggerSpec(
                name=trigger.name if trigger.name is not None else _trigger_name(kind, address),
                kind=kind,
                address=address,
                description=trigger.description or "",
                account=trigger.account,
                project_id=trigger.project_id,
                region=trigger.region,
                source=declared.whole,
            )
        )
    subject.problems.add_duplicates("trigger", subject.name, ((spec.name, spec.source) for spec in specs))
    return tuple(specs)


def _trigger_problems(
    kind: str, address: str, trigger: TriggerDeclaration
) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield the setting at fault, the code, the message and the hint of each problem."""
    if kind == "sqs" and not is_queue_name(address):
        hint = (
            f"Use the queue's name, not its URL: at most {QUEUE_NAME_MAX} letters, digits, - and _; "
            "FIFO queues end in .fifo."
        )
        yield "sqs", "bad-trigger", f"{address[:80]!r} is not a valid SQS queue name.", hint
    if kind == "nats" and not is_nats_subject(address):
        hint = (
            f"Use tokens joined with dots, at most {NATS_SUBJECT_MAX} characters; * matches one token, a final > "
            "all remaining ones."
        )
        yield "nats", "bad-trigger", f"{address[:80]!r} is not a valid NATS subject.", hint
    if trigger.name is not None and not TRIGGER_NAME_RULE.fullmatch(trigger.name):
        yield (
            "name",
            "bad-name",
            f"{trigger.name[:80]!r} is not a valid trigger name.",
            f"Use 1 to {TRIGGER_NAME_MAX} letters, digits and dashes.",
        )
    if len(trigger.description or "") > TRIGGER_DESCRIPTION_MAX:
        message = f"its description has more than {TRIGGER_DESCRIPTION_MAX} characters."
        yield "description", "bad-trigger", message, None
    if trigger.account is not None and kind == "sqs":
        yield "account", "bad-trigger", "an SQS trigger has no account.", "Use account only with nats."
    elif trigger.account is not None and not NATS_ACCOUNT_RULE.fullmatch(trigger.account):
        hint = "Use the account ID of the platform: 56 capital letters and digits."
        yield "account", "bad-trigger", f"{trigger.account[:80]!r} is not the ID of a NATS account.", hint
    if trigger.project_id is not None and not UUID_RULE.fullmatch(trigger.project_id):
        message = f"{trigger.project_id[:80]!r} is not the ID of a project (a UUID)."
        yield "project_id", "bad-trigger", message, None
    if trigger.region is not None and trigger.region not in REGIONS:
        hint = did_you_mean(trigger.region, REGIONS) or f"The regions are {', '.join(REGIONS)}."
        yield "region", "bad-region", f"there is no region {trigger.region[:80]!r}.", hint


def _trigger_name(kind: str, address: str) -> str:
    """Derive a trigger name from its address.

    A hash is appended if the address contains characters other than letters, digits, ``-`` and dots, or is too
    long, so that different addresses have different names.
    """
    slug = re.sub(r"[^a-zA-Z0-9-]", "-", address)
    name = f"{kind}-{slug}"
    if slug != address.replace(".", "-") or not TRIGGER_NAME_RULE.fullmatch(name):
        digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{name[: TRIGGER_NAME_MAX - len(digest) - 1].rstrip('-')}-{digest}"
    return name
