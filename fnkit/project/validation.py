"""Validates the settings of functions, namespaces and stages.

Each check adds its problems to a ``ProblemList`` and returns a valid value, usually the documented default, so that
validation continues. ``subject`` is the start of each message, such as a function's name.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration
from fnkit.contract.cron import schedule_error
from fnkit.contract.durations import parse_duration
from fnkit.contract.enums import HttpOption, Privacy, RuntimeStatus, Sandbox
from fnkit.contract.limits import (
    CPU_BY_MEMORY,
    DEFAULT_MAX_SCALE,
    DEFAULT_MEMORY,
    DEFAULT_MIN_SCALE,
    DEFAULT_TIMEOUT_SECONDS,
    DOMAINS_MAX,
    ENVIRONMENT_MAX_ENTRIES,
    ENVIRONMENT_VALUE_MAX_CHARS,
    PAYLOAD_MAX_BYTES,
    REGIONS,
    SCALE_MAX,
    SECRETS_MAX_ENTRIES,
    TIMEOUT_MAX_SECONDS,
    TIMEOUT_MIN_SECONDS,
)
from fnkit.contract.names import (
    NATS_ACCOUNT_RULE,
    STAGE_RULE,
    TRIGGER_NAME_RULE,
    is_hostname,
    is_nats_subject,
    is_queue_name,
)
from fnkit.contract.runtimes import RUNTIMES, find_runtime, python_runtime, python_version
from fnkit.project.model import CronSpec, NamespaceSpec, SourceLocation, TriggerSpec
from fnkit.project.problems import ProblemList, did_you_mean
from fnkit.project.settings import NamespaceTable, Settings

__all__ = [
    "RESERVED_VARIABLES",
    "EnumeratedSettings",
    "build_crons",
    "build_namespace",
    "build_triggers",
    "check_domains",
    "check_environment",
    "check_runtime",
    "check_stage",
    "check_tags",
    "check_variable_counts",
    "default_runtime",
    "recorded_runtimes",
    "runtime_version",
    "validate_choices",
    "validate_memory",
    "validate_project_name",
    "validate_region",
    "validate_scale",
    "validate_timeout",
]

_CREATABLE_STATUSES: Final = (RuntimeStatus.AVAILABLE, RuntimeStatus.BETA, RuntimeStatus.DEPRECATED)

_CRON_NAME_MAX: Final = 100
_JSON_NODES_MAX: Final = 200_000

_UUID_RULE: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

RESERVED_VARIABLES: Final = frozenset(
    {"PORT"}
    | {
        f"SCW_{name}"
        for name in (
            *("UPSTREAM_PORT", "UPSTREAM_HOST", "HANDLER_PATH", "HANDLER_NAME", "HANDLER_IS_BINARY"),
            *("RUNTIME_BINARY", "RUNTIME_BRIDGE", "PAYLOAD_MAX_SIZE", "NAMESPACE_ID", "PUBLIC", "PUBLIC_KEY"),
            *("APPLICATION_NAME", "APPLICATION_VERSION", "APPLICATION_MEMORY", "APPLICATION_ID"),
        )
    }
)
"""Names that the platform sets in each instance.

Scaleway's documentation reserves all of ``SCW_*``, but its API accepts other names, such as ``SCW_SECRET_KEY``,
which handlers that call the API need, and ``SCW_ALLOW_FAVICON``, which users set.
"""
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAG_RULE: Final = re.compile(r"[a-zA-Z0-9=._-]{1,64}")

_NAMESPACE_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"""Matches all 2,012 recorded namespace names; the API does not publish its rule."""
_NAMESPACE_NAME_MAX: Final = 63
_PROJECT_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,50}")
"""The name is part of the tag ``fnkit.project=<name>``, which has at most 64 characters."""

_NANOSECONDS_PER_SECOND: Final = 10**9


def check_domains(domains: Sequence[str], subject: str, source: SourceLocation, problems: ProblemList) -> None:
    """Check the syntax of custom hostnames. The platform checks their DNS records."""
    if len(domains) > DOMAINS_MAX:
        message = f"{subject} has {len(domains)} domains; at most {DOMAINS_MAX} are allowed."
        problems.add("too-many-domains", message, None, source)
    for domain, count in Counter(domains).items():
        if not is_hostname(domain):
            hint = "Use a hostname such as shop.example.com, in lower case, without scheme, port, path or wildcard."
            if not domain.isascii():
                hint = "Write an internationalized name in its xn-- form."
            problems.add("bad-domain", f"{subject}: {domain[:80]!r} is not a hostname.", hint, source)
        elif count > 1:
            problems.add("duplicate-domain", f"{subject} lists {domain} twice.", None, source)


def recorded_runtimes() -> frozenset[str]:
    """Return the runtimes for which functions can be created, according to the recorded table."""
    return frozenset(runtime.name for runtime in RUNTIMES if runtime.status in _CREATABLE_STATUSES)


def default_runtime(available: Iterable[str], host_python: tuple[int, int]) -> str:
    """Return the runtime of the host's Python if it is available, else the newest available Python runtime."""
    names = frozenset(available)
    own = python_runtime(*host_python)
    if own in names:
        return own
    versions = [(version, name) for name in names if (version := runtime_version(name)) is not None]
    return max(versions)[1] if versions else own


def check_runtime(name: str, available: frozenset[str], source: SourceLocation, problems: ProblemList) -> bool:
    """Check that a runtime can be used; return whether it is a known runtime."""
    row = find_runtime(name)
    if name in available:
        return True
    if row is None:
        known = did_you_mean(name, available)
        hint: str | None = known or f"The platform has {', '.join(sorted(available))}."
        problems.add("unknown-runtime", f"There is no runtime {name!r}.", hint, source)
        return False
    newer = _newest_runtime(row.language, available)
    hint = f"Use {newer}." if newer else None
    match row.status:
        case RuntimeStatus.END_OF_LIFE | RuntimeStatus.END_OF_SUPPORT:
            reason = row.status_message.rstrip(".")
            problems.add("runtime-retired", f"Runtime {name} accepts no new functions: {reason}.", hint, source)
        case _:
            problems.add("runtime-unavailable", f"The platform does not have runtime {name}.", hint, source)
    return True


def _newest_runtime(language: str, available: frozenset[str]) -> str | None:
    return next((row.name for row in RUNTIMES if row.language == language and row.name in available), None)


def runtime_version(name: str) -> tuple[int, int] | None:
    """Return the version of a Python runtime, including one that the recorded table lacks, or ``None``."""
    known = python_version(name)
    if known is not None or not name.startswith("python3") or not name[7:].isascii() or not name[7:].isdigit():
        return known
    return 3, int(name[7:])


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


def build_triggers(
    triggers: Iterable[tuple[TriggerDeclaration, SourceLocation]], subject: str, problems: ProblemList
) -> tuple[TriggerSpec, ...]:
    """Return the triggers of a function."""
    specs: list[TriggerSpec] = []
    for trigger, source in triggers:
        if (trigger.nats is None) == (trigger.sqs is None):
            message = f"{subject}: a trigger must have exactly one of nats and sqs."
            hint = 'Use @trigger(nats="orders.created") or @trigger(sqs="jobs").'
            problems.add("bad-trigger", message, hint, source)
            continue
        kind = "nats" if trigger.nats is not None else "sqs"
        address = trigger.nats if trigger.nats is not None else trigger.sqs or ""
        for code, text, hint_text in _trigger_problems(kind, address, trigger):
            problems.add(code, f"{subject}: {text}", hint_text, source)
        specs.append(
            TriggerSpec(
                name=trigger.name if trigger.name is not None else _trigger_name(kind, address),
                kind=kind,
                address=address,
                description=trigger.description or "",
                account=trigger.account,
                project_id=trigger.project_id,
                region=trigger.region,
                source=source,
            )
        )
    problems.add_duplicates("trigger", subject, ((spec.name, spec.source) for spec in specs))
    return tuple(specs)


def _trigger_problems(
    kind: str, address: str, trigger: TriggerDeclaration
) -> Iterator[tuple[str, str, str | None]]:
    if kind == "sqs" and not is_queue_name(address):
        hint = "Use the queue's name, not its URL: at most 80 letters, digits, - and _; FIFO queues end in .fifo."
        yield "bad-trigger", f"{address[:80]!r} is not a valid SQS queue name.", hint
    if kind == "nats" and not is_nats_subject(address):
        hint = "Use tokens joined with dots; * matches one token, a final > all remaining ones."
        yield "bad-trigger", f"{address[:80]!r} is not a valid NATS subject.", hint
    if trigger.name is not None and not TRIGGER_NAME_RULE.fullmatch(trigger.name):
        yield (
            "bad-name",
            f"{trigger.name[:80]!r} is not a valid trigger name.",
            "Use 2 to 100 letters, digits and dashes.",
        )
    if trigger.account is not None and kind == "sqs":
        yield "bad-trigger", "an SQS trigger has no account.", "Use account only with nats."
    elif trigger.account is not None and not NATS_ACCOUNT_RULE.fullmatch(trigger.account):
        hint = "Use the account ID of the platform: 56 capital letters and digits."
        yield "bad-trigger", f"{trigger.account[:80]!r} is not the ID of a NATS account.", hint
    if trigger.project_id is not None and not _UUID_RULE.fullmatch(trigger.project_id):
        yield "bad-trigger", f"{trigger.project_id[:80]!r} is not the ID of a project (a UUID).", None
    if trigger.region is not None and trigger.region not in REGIONS:
        hint = did_you_mean(trigger.region, REGIONS) or f"The regions are {', '.join(REGIONS)}."
        yield "bad-region", f"there is no region {trigger.region[:80]!r}.", hint


def _trigger_name(kind: str, address: str) -> str:
    """Derive a trigger name from its address.

    A hash is appended if the address contains characters other than letters, digits, ``-`` and dots, or is too
    long, so that different addresses have different names.
    """
    slug = re.sub(r"[^a-zA-Z0-9-]", "-", address)
    name = f"{kind}-{slug}"
    if slug != address.replace(".", "-") or not TRIGGER_NAME_RULE.fullmatch(name):
        digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{name[:91].rstrip('-')}-{digest}"
    return name


def check_environment(
    env: Mapping[str, str], secrets: Sequence[str], subject: str, source: SourceLocation, problems: ProblemList
) -> None:
    """Check the variables and secrets of one function or namespace."""
    for name in dict.fromkeys((*env, *secrets)):
        _check_variable_name(name, subject, source, problems)
    for name, value in env.items():
        if len(value) > ENVIRONMENT_VALUE_MAX_CHARS:
            problems.add(
                "variable-too-long",
                f"{subject}: {name} has {len(value)} characters; {ENVIRONMENT_VALUE_MAX_CHARS} are allowed.",
                "Put it into a file of the project, or make it a secret, which may have 65,536 bytes.",
                source,
            )
        if "\0" in value:
            problems.add("variable-value", f"{subject}: variable {name} contains a null character.", None, source)
    for name in secrets:
        if name in env:
            hint = "Keep one of them; the value of a secret is read on the deploying machine."
            problems.add("variable-twice", f"{subject}: {name} is both a variable and a secret.", hint, source)


def check_variable_counts(
    env: Mapping[str, str],
    secrets: Sequence[str],
    namespace: tuple[Mapping[str, str], Sequence[str]],
    *,
    subject: str,
    source: SourceLocation,
    problems: ProblemList,
) -> None:
    """Check the number of variables and secrets; the limits apply to a function and its namespace together.

    Args:
        env: Variables of the function.
        secrets: Secrets of the function.
        namespace: Variables and secrets of the namespace.
        subject: Start of each message.
        source: Location for the problems.
        problems: Receives the problems.
    """
    counts = (
        ("variables", len({*env, *namespace[0]}), ENVIRONMENT_MAX_ENTRIES),
        ("secrets", len({*secrets, *namespace[1]}), SECRETS_MAX_ENTRIES),
    )
    for what, count, most in counts:
        if count > most:
            message = f"{subject} and its namespace have {count} {what} together; at most {most} are allowed."
            problems.add("too-many-variables", message, None, source)


def check_tags(tags: Sequence[str], subject: str, source: SourceLocation, problems: ProblemList) -> None:
    """Check custom tags. fnkit stores its own tags beside them, with names that start with ``fnkit``."""
    for tag in tags:
        if not _TAG_RULE.fullmatch(tag):
            hint = "Use 1 to 64 letters, digits and any of = . _ -"
            problems.add("bad-tag", f"{subject}: {tag[:80]!r} is not a valid tag.", hint, source)
        elif tag.lower().startswith("fnkit"):
            message = f"{subject}: the tag {tag!r} starts with fnkit, which is reserved."
            problems.add("reserved-tag", message, "Choose another tag.", source)


def _check_variable_name(name: str, subject: str, source: SourceLocation, problems: ProblemList) -> None:
    if not _VARIABLE_NAME.fullmatch(name):
        hint = "Use letters, digits and underscores, not starting with a digit."
        problems.add("variable-name", f"{subject}: {name[:80]!r} is not a valid variable name.", hint, source)
    elif name in RESERVED_VARIABLES:
        message = f"{subject}: {name} is reserved; the platform sets it."
        problems.add("reserved-variable", message, "Choose another name.", source)


def validate_project_name(settings: Settings, problems: ProblemList) -> str:
    """Return the project's name, which must be valid within a tag."""
    if not _PROJECT_NAME.fullmatch(settings.name):
        source = SourceLocation(settings.file, settings.lines.line("name"))
        hint = "Use 1 to 50 letters, digits and any of . _ -"
        problems.add("bad-project-name", f"{settings.name[:80]!r} is not a valid project name.", hint, source)
    return settings.name


def check_stage(stage: str, settings: Settings, problems: ProblemList) -> None:
    """Check the names of the requested stage and of the stages in the settings."""
    for name in dict.fromkeys((*settings.table.stages, *filter(None, (stage,)))):
        if not STAGE_RULE.fullmatch(name):
            source = SourceLocation(settings.file, settings.lines.line("stages", name))
            hint = "Use 1 to 16 lower-case letters, digits and dashes, starting with a letter or digit."
            problems.add("bad-stage", f"{name[:80]!r} is not a valid stage name.", hint, source)


def validate_region(settings: Settings, stage: str, problems: ProblemList) -> str | None:
    """Return the region that the settings name for a stage, or ``None``."""
    override = settings.table.stages[stage].region if stage in settings.table.stages else None
    region, path = (settings.table.region, ("region",)) if override is None else (override, ("stages", stage))
    if region is not None and region not in REGIONS:
        hint = did_you_mean(region, REGIONS) or f"The regions are {', '.join(REGIONS)}."
        source = SourceLocation(settings.file, settings.lines.line(*path))
        problems.add("bad-region", f"There is no region {region[:80]!r}.", hint, source)
    return region


def build_namespace(settings: Settings, stage: str, problems: ProblemList) -> NamespaceSpec:
    """Return the namespace of a stage.

    A shared namespace also belongs to other projects, so only its name may be set.
    """
    given = settings.table.namespace
    table = given if isinstance(given, NamespaceTable) else NamespaceTable(name=given)
    source = SourceLocation(settings.file, settings.lines.line("namespace"))
    base = table.name if table.name is not None else re.sub(r"[^a-z0-9]+", "-", settings.name.lower()).strip("-")
    name = f"{base}-{stage}" if stage else base
    if table.shared:
        _check_shared(table, name, source, problems)
    elif not _NAMESPACE_NAME.fullmatch(name) or len(name) > _NAMESPACE_NAME_MAX:
        hint = f"Use lower-case letters, digits and dashes, at most {_NAMESPACE_NAME_MAX} including the stage."
        problems.add("bad-name", f"{name[:80]!r} is not a valid namespace name.", hint, source)
    check_environment(table.env, table.secrets, f"Namespace {name}", source, problems)
    check_tags(table.tags, f"Namespace {name}", source, problems)
    return NamespaceSpec(
        name=name,
        shared=table.shared,
        description=table.description or "",
        env=table.env,
        secrets=tuple(dict.fromkeys(table.secrets)),
        tags=tuple(dict.fromkeys(table.tags)),
        source=source,
    )


def _check_shared(table: NamespaceTable, name: str, source: SourceLocation, problems: ProblemList) -> None:
    if table.name is None or not name.strip():
        problems.add("bad-name", "A shared namespace requires a name.", None, source)
    own = [what for what in ("description", "env", "secrets", "tags") if getattr(table, what)]
    if own:
        message = f"Namespace {name} is shared, so this project cannot set its {' and '.join(own)}."
        problems.add("shared-namespace", message, "Set them on the functions, under defaults.", source)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumeratedSettings:
    """The settings that take one of a fixed set of values."""

    privacy: str
    http_option: str
    sandbox: str
    change_detection: str


def validate_memory(memory: int | None, subject: str, source: SourceLocation, problems: ProblemList) -> int:
    """Return the memory in MB."""
    if memory is None or memory in CPU_BY_MEMORY:
        return DEFAULT_MEMORY if memory is None else memory
    larger = next((tier for tier in CPU_BY_MEMORY if tier > memory), None)
    closest = f"the largest is {max(CPU_BY_MEMORY)}" if larger is None else f"the next one is {larger}"
    hint = f"The tiers are {', '.join(map(str, CPU_BY_MEMORY))}; {closest}."
    problems.add(
        "bad-memory", f"{subject}: {memory} MB of memory is not one of the platform's tiers.", hint, source
    )
    return DEFAULT_MEMORY


def validate_scale(
    declaration: FunctionDeclaration, subject: str, source: SourceLocation, problems: ProblemList
) -> tuple[int, int]:
    """Return ``min_scale`` and ``max_scale``.

    An unset ``max_scale`` becomes ``min_scale`` if that is larger than the default.
    """
    low = DEFAULT_MIN_SCALE if declaration.min_scale is None else declaration.min_scale
    high = max(DEFAULT_MAX_SCALE, low) if declaration.max_scale is None else declaration.max_scale
    fine = True
    for name, value, least in (("min_scale", low, 0), ("max_scale", high, 1)):
        # An unset max_scale follows min_scale, so its range error would only repeat that of min_scale.
        if not least <= value <= SCALE_MAX and not (name == "max_scale" and declaration.max_scale is None):
            message = f"{subject}: {name} is {value}, but must be from {least} to {SCALE_MAX}."
            problems.add("bad-scale", message, None, source)
            fine = False
    if fine and low > high:
        problems.add("bad-scale", f"{subject}: min_scale {low} is more than max_scale {high}.", None, source)
        fine = False
    return (low, high) if fine else (DEFAULT_MIN_SCALE, DEFAULT_MAX_SCALE)


def validate_timeout(
    timeout: str | float | None, subject: str, source: SourceLocation, problems: ProblemList
) -> int:
    """Return the timeout in nanoseconds."""
    if timeout is None:
        return DEFAULT_TIMEOUT_SECONDS * _NANOSECONDS_PER_SECOND
    seconds = parse_duration(timeout)
    if seconds is None:
        hint = 'Use a number of seconds, or a duration such as "30s", "5m" or "1h".'
        problems.add("bad-timeout", f"{subject}: {timeout!r} is not a duration.", hint, source)
    elif not TIMEOUT_MIN_SECONDS <= seconds <= TIMEOUT_MAX_SECONDS:
        message = (
            f"{subject}: a timeout must be from {TIMEOUT_MIN_SECONDS} s to {TIMEOUT_MAX_SECONDS} s, "
            f"not {seconds:g} s."
        )
        problems.add("bad-timeout", message, None, source)
    else:
        return round(seconds * _NANOSECONDS_PER_SECOND)
    return DEFAULT_TIMEOUT_SECONDS * _NANOSECONDS_PER_SECOND


def validate_choices(
    declaration: FunctionDeclaration, subject: str, source: SourceLocation, problems: ProblemList
) -> EnumeratedSettings:
    """Return the settings that take one of a fixed set of values."""
    return EnumeratedSettings(
        privacy=_validate_choice("privacy", declaration.privacy, tuple(Privacy), subject, source, problems),
        http_option=_validate_choice(
            "http_option", declaration.http_option, tuple(HttpOption), subject, source, problems
        ),
        sandbox=_validate_choice(
            "sandbox", declaration.sandbox, (Sandbox.V2, Sandbox.V1), subject, source, problems
        ),
        change_detection=_validate_choice(
            "change_detection", declaration.change_detection, ("function", "project"), subject, source, problems
        ),
    )


def _validate_choice(
    setting: str,
    value: str | None,
    choices: Iterable[str],
    subject: str,
    source: SourceLocation,
    problems: ProblemList,
) -> str:
    """Return the value of a setting; its first choice is the default."""
    known = [str(choice) for choice in choices]
    if value is None:
        return known[0]
    if value in known:
        return value
    hint = did_you_mean(value, known) or f"Use {' or '.join(known)}."
    problems.add("bad-choice", f"{subject}: {value!r} is not a valid value of {setting}.", hint, source)
    return known[0]
