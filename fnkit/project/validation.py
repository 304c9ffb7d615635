"""Validates the settings of functions, namespaces and stages.

Each check adds its problems to a ``ProblemList`` and returns a valid value, usually the documented default, so that
validation continues.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from fnkit.authoring.declarations import FunctionDeclaration
from fnkit.authoring.function_url import FunctionUrl
from fnkit.contract import limits
from fnkit.contract.durations import parse_duration
from fnkit.contract.enums import HttpOption, Privacy, Sandbox
from fnkit.contract.names import STAGE_RULE, UUID_RULE, is_hostname
from fnkit.project.declarations import DeclaredBuild
from fnkit.project.model import BuildCommand, NamespaceSpec, SourceLocation, ValidSettings
from fnkit.project.problems import ProblemList, Subject, did_you_mean
from fnkit.project.settings import NamespaceTable, Settings

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


def _check_environment(env: Mapping[str, str | FunctionUrl], secrets: Sequence[str], subject: Subject) -> None:
    """Check the variables and secrets of one function or namespace."""
    for name in dict.fromkeys((*env, *secrets)):
        _check_variable_name(name, subject, "env" if name in env else "secrets")
    for name, value in env.items():
        if isinstance(value, FunctionUrl):
            continue
        if len(value) > limits.ENVIRONMENT_VALUE_MAX_CHARS:
            subject.add(
                "variable-too-long",
                f"{subject}: {name} has {len(value)} characters; {limits.ENVIRONMENT_VALUE_MAX_CHARS} are allowed.",
                "Put it into a file of the project.",
                setting="env",
            )
        if "\0" in value:
            subject.add("variable-value", f"{subject}: variable {name} contains a null character.", setting="env")
    for name in secrets:
        if name in env:
            hint = "Keep one of them; the value of a secret is read on the deploying machine."
            subject.add(
                "variable-twice", f"{subject}: {name} is both a variable and a secret.", hint, setting="secrets"
            )


def secret_name_problem(name: str) -> str | None:
    """Return why no secret can have this name, or ``None``."""
    if not _VARIABLE_NAME.fullmatch(name):
        return f"{name!r} is not a name of letters, digits and underscores."
    return f"{name} is reserved; the platform sets it." if name in RESERVED_VARIABLES else None


def _check_variable_name(name: str, subject: Subject, setting: str) -> None:
    if not _VARIABLE_NAME.fullmatch(name):
        hint = "Use letters, digits and underscores, not starting with a digit."
        subject.add(
            "variable-name", f"{subject}: {name[:80]!r} is not a valid variable name.", hint, setting=setting
        )
    elif name in RESERVED_VARIABLES:
        message = f"{subject}: {name} is reserved; the platform sets it."
        subject.add("reserved-variable", message, "Choose another name.", setting=setting)


def check_variable_counts(
    env: Mapping[str, str | FunctionUrl],
    secrets: Sequence[str],
    namespace: tuple[Mapping[str, str], Sequence[str]],
    subject: Subject,
) -> None:
    """Check the number of variables and secrets; the limits apply to a function and its namespace together.

    Args:
        env: Variables of the function.
        secrets: Secrets of the function.
        namespace: Variables and secrets of the namespace.
        subject: The function.
    """
    counts = (
        ("variables", len({*env, *namespace[0]}), limits.ENVIRONMENT_MAX_ENTRIES),
        ("secrets", len({*secrets, *namespace[1]}), limits.SECRETS_MAX_ENTRIES),
    )
    for what, count, most in counts:
        if count > most:
            message = f"{subject} and its namespace have {count} {what} together; at most {most} are allowed."
            subject.add("too-many-variables", message)


def _check_domains(domains: Sequence[str], subject: Subject) -> None:
    """Check the syntax of custom hostnames. The platform checks their DNS records."""
    if len(domains) > limits.DOMAINS_MAX:
        message = f"{subject} has {len(domains)} domains; at most {limits.DOMAINS_MAX} are allowed."
        subject.add("too-many-domains", message, setting="domains")
    for domain, count in Counter(domains).items():
        if not is_hostname(domain):
            hint = "Use a hostname such as shop.example.com, in lower case, without scheme, port, path or wildcard."
            if not domain.isascii():
                hint = "Write an internationalized name in its xn-- form."
            subject.add("bad-domain", f"{subject}: {domain[:80]!r} is not a hostname.", hint, setting="domains")
        elif count > 1:
            subject.add("duplicate-domain", f"{subject} lists {domain} twice.", setting="domains")


def _check_tags(tags: Sequence[str], subject: Subject) -> None:
    """Check custom tags. fnkit stores its own tags beside them, with names that start with ``fnkit``."""
    for tag in tags:
        if not _TAG_RULE.fullmatch(tag):
            hint = "Use 1 to 64 letters, digits and any of = . _ -"
            subject.add("bad-tag", f"{subject}: {tag[:80]!r} is not a valid tag.", hint, setting="tags")
        elif tag.lower().startswith("fnkit"):
            message = f"{subject}: the tag {tag!r} starts with fnkit, which is reserved."
            subject.add("reserved-tag", message, "Choose another tag.", setting="tags")


def validate_project_name(settings: Settings, problems: ProblemList) -> str:
    """Return the project's name, which must be valid within a tag."""
    if not _PROJECT_NAME.fullmatch(settings.name):
        source = settings.location("name")
        hint = "Use 1 to 50 letters, digits and any of . _ -"
        problems.add("bad-project-name", f"{settings.name[:80]!r} is not a valid project name.", hint, source)
    return settings.name


def check_stage(stage: str, settings: Settings, problems: ProblemList) -> None:
    """Check the names of the requested stage and of the stages in the settings."""
    for name in dict.fromkeys((*settings.table.stages, *filter(None, (stage,)))):
        if not STAGE_RULE.fullmatch(name):
            source = settings.location("stages", name)
            hint = "Use 1 to 16 lower-case letters, digits and dashes, starting with a letter or digit."
            problems.add("bad-stage", f"{name[:80]!r} is not a valid stage name.", hint, source)


def validate_region(settings: Settings, stage: str, problems: ProblemList) -> str | None:
    """Return the region that the settings name for a stage, or ``None``."""
    override = settings.table.stages[stage].region if stage in settings.table.stages else None
    region, path = (settings.table.region, ("region",)) if override is None else (override, ("stages", stage))
    if region is not None and region not in limits.REGIONS:
        hint = did_you_mean(region, limits.REGIONS) or f"The regions are {', '.join(limits.REGIONS)}."
        source = settings.location(*path)
        problems.add("bad-region", f"There is no region {region[:80]!r}.", hint, source)
    return region


def build_namespace(settings: Settings, stage: str, problems: ProblemList) -> NamespaceSpec:
    """Return the namespace of a stage.

    A shared namespace also belongs to other projects, so only its name may be set.
    """
    given = settings.table.namespace
    table = given if isinstance(given, NamespaceTable) else NamespaceTable(name=given)
    source = settings.location("namespace")
    base = table.name if table.name is not None else re.sub(r"[^a-z0-9]+", "-", settings.name.lower()).strip("-")
    name = f"{base}-{stage}" if stage else base
    if table.shared:
        _check_shared(table, name, source, problems)
    elif not _NAMESPACE_NAME.fullmatch(name) or len(name) > _NAMESPACE_NAME_MAX:
        hint = f"Use lower-case letters, digits and dashes, at most {_NAMESPACE_NAME_MAX} including the stage."
        problems.add("bad-name", f"{name[:80]!r} is not a valid namespace name.", hint, source)
    subject = Subject(f"Namespace {name}", settings.declared("namespace"), problems)
    _check_environment(table.env, table.secrets, subject)
    _check_tags(table.tags, subject)
    return NamespaceSpec(
        name=name,
        shared=table.shared,
        description=table.description or "",
        env=table.env,
        secrets=tuple(dict.fromkeys(table.secrets)),
        tags=tuple(dict.fromkeys(table.tags)),
        source=source,
        secrets_source=settings.location("namespace", "secrets"),
    )


def _check_shared(table: NamespaceTable, name: str, source: SourceLocation, problems: ProblemList) -> None:
    if table.name is None or not name.strip():
        problems.add("bad-name", "A shared namespace requires a name.", None, source)
    own = [what for what in ("description", "env", "secrets", "tags") if getattr(table, what)]
    if own:
        message = f"Namespace {name} is shared, so this project cannot set its {' and '.join(own)}."
        problems.add("shared-namespace", message, "Set them on the functions, under defaults.", source)


def _validate_memory(memory: int | None, subject: Subject) -> int:
    """Return the memory in MB."""
    if memory is None or memory in limits.CPU_BY_MEMORY:
        return limits.DEFAULT_MEMORY if memory is None else memory
    larger = next((tier for tier in limits.CPU_BY_MEMORY if tier > memory), None)
    closest = f"the largest is {max(limits.CPU_BY_MEMORY)}" if larger is None else f"the next one is {larger}"
    hint = f"The tiers are {', '.join(map(str, limits.CPU_BY_MEMORY))}; {closest}."
    subject.add(
        "bad-memory",
        f"{subject}: {memory} MB of memory is not one of the platform's tiers.",
        hint,
        setting="memory",
    )
    return limits.DEFAULT_MEMORY


def _validate_scale(declaration: FunctionDeclaration, subject: Subject) -> tuple[int, int]:
    """Return ``min_scale`` and ``max_scale``.

    An unset ``max_scale`` becomes ``min_scale`` if that is larger than the default.
    """
    low = limits.DEFAULT_MIN_SCALE if declaration.min_scale is None else declaration.min_scale
    high = max(limits.DEFAULT_MAX_SCALE, low) if declaration.max_scale is None else declaration.max_scale
    fine = True
    for name, value, least in (("min_scale", low, 0), ("max_scale", high, 1)):
        # An unset max_scale follows min_scale, so its range error would only repeat that of min_scale.
        if not least <= value <= limits.SCALE_MAX and not (name == "max_scale" and declaration.max_scale is None):
            message = f"{subject}: {name} is {value}, but must be from {least} to {limits.SCALE_MAX}."
            subject.add("bad-scale", message, setting=name)
            fine = False
    if fine and low > high:
        message = f"{subject}: min_scale {low} is more than max_scale {high}."
        subject.add("bad-scale", message, setting="max_scale" if declaration.min_scale is None else "min_scale")
        fine = False
    return (low, high) if fine else (limits.DEFAULT_MIN_SCALE, limits.DEFAULT_MAX_SCALE)


def _validate_timeout(timeout: str | float | None, subject: Subject) -> int:
    """Return the timeout in nanoseconds."""
    if timeout is None:
        return limits.DEFAULT_TIMEOUT_SECONDS * _NANOSECONDS_PER_SECOND
    seconds = parse_duration(timeout)
    if seconds is None:
        hint = 'Use a number of seconds, or a duration such as "30s", "5m" or "1h".'
        subject.add("bad-timeout", f"{subject}: {timeout!r} is not a duration.", hint, setting="timeout")
    elif not limits.TIMEOUT_MIN_SECONDS <= seconds <= limits.TIMEOUT_MAX_SECONDS:
        message = (
            f"{subject}: a timeout must be from {limits.TIMEOUT_MIN_SECONDS} s to {limits.TIMEOUT_MAX_SECONDS} s, "
            f"not {seconds:g} s."
        )
        hint = f"Without one, it is {limits.DEFAULT_TIMEOUT_SECONDS} s."
        if seconds > limits.TIMEOUT_MAX_SECONDS:
            hint = "Split longer work into several calls, such as the messages of a queue."
        subject.add("bad-timeout", message, hint, setting="timeout")
    else:
        return round(seconds * _NANOSECONDS_PER_SECOND)
    return limits.DEFAULT_TIMEOUT_SECONDS * _NANOSECONDS_PER_SECOND


def validate_settings(declaration: FunctionDeclaration, subject: Subject) -> ValidSettings:
    """Validate the settings that can be checked without the rest of the project; ``None`` becomes the default."""
    memory = _validate_memory(declaration.memory, subject)
    low, high = _validate_scale(declaration, subject)
    valid = ValidSettings(
        memory=memory,
        min_scale=low,
        max_scale=high,
        timeout=_validate_timeout(declaration.timeout, subject),
        privacy=_validate_choice("privacy", declaration.privacy, Privacy, subject),
        http_option=_validate_choice("http_option", declaration.http_option, HttpOption, subject),
        sandbox=_validate_choice("sandbox", declaration.sandbox, (Sandbox.V2, Sandbox.V1), subject),
        change_detection=_validate_choice(
            "change_detection", declaration.change_detection, ("function", "project"), subject
        ),
    )
    _check_environment(declaration.env or {}, declaration.secrets or (), subject)
    _check_tags(declaration.tags or (), subject)
    _check_domains(declaration.domains or (), subject)
    network = declaration.private_network_id
    if network and not UUID_RULE.fullmatch(network):
        message = f"{subject}: {network[:80]!r} is not the ID of a private network (a UUID)."
        subject.add("bad-private-network", message, setting="private_network_id")
    return valid


def validate_build(build: DeclaredBuild | None, subject: Subject) -> BuildCommand | None:
    """Return the build of a function, or ``None`` if it has none or its settings are invalid."""
    if build is None or build == DeclaredBuild(None, (), None):
        return None
    if build.command is None or not build.command.strip():
        subject.add(
            "bad-build", f"{subject} has settings of a build, but no command.", "Set build.", setting="build"
        )
        return None
    output = PurePosixPath(build.output or ".")
    if output.is_absolute() or ".." in output.parts or "\\" in str(output) or "\0" in str(output):
        hint = "Use a path relative to the function's folder, with /."
        subject.add(
            "bad-path",
            f"{subject}: build_output {build.output!r} is outside of its folder.",
            hint,
            setting="build_output",
        )
        return None
    if "\0" in build.command:
        subject.add("bad-build", f"{subject}: build contains a null character.", setting="build")
        return None
    return BuildCommand(command=build.command, inputs=build.inputs, output=output.as_posix())


def _validate_choice(setting: str, value: str | None, choices: Iterable[str], subject: Subject) -> str:
    """Return the value of a setting; its first choice is the default."""
    known = [str(choice) for choice in choices]
    if value is None:
        return known[0]
    if value in known:
        return value
    hint = did_you_mean(value, known) or f"Use {' or '.join(known)}."
    subject.add("bad-choice", f"{subject}: {value!r} is not a valid value of {setting}.", hint, setting=setting)
    return known[0]
