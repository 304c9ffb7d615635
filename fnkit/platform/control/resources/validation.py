"""Validation of single fields. Each function returns the value to store, or raises ``ControlError`` (400)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection
from typing import Final, TypeVar

from fnkit.contract import limits
from fnkit.contract.durations import parse_api_duration
from fnkit.contract.enums import is_unset
from fnkit.contract.names import function_name_error, is_hostname, variable_name_error
from fnkit.platform.control.errors import ControlError, invalid, required

Given = TypeVar("Given")
Validated = TypeVar("Validated")

_NANOSECONDS_PER_SECOND: Final = 10**9
_MAX_ECHO: Final = 253
_UUID_PATTERN: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
_COMPILED_LANGUAGES: Final = ("Go", "Rust")


def optional(validate: Callable[[Given], Validated], value: Given | None) -> Validated | None:
    """Validate a field of an update, or return ``None`` if the field is not given."""
    return None if value is None else validate(value)


def given(**values: object) -> dict[str, object]:
    """Return the fields that an update gives."""
    return {name: value for name, value in values.items() if value is not None}


def required_text(field: str, value: str | None) -> str:
    """Validate that a field is given and not empty."""
    if not value:
        raise required(field)
    return value


def namespace_name(name: str | None) -> str:
    """Validate a namespace's name: any text of 1 to 100 characters.

    The real API's rule is unknown; recorded names consist of ``[a-z0-9-]``.
    """
    name = required_text("name", name)
    if len(name) > limits.NAMESPACE_NAME_MAX:
        raise ControlError(400, "Key: 'Namespace.Name' Error:Field validation for 'Name' failed on the 'max' tag")
    if _CONTROL_CHARACTER.search(name):
        raise invalid("name", "must not contain control characters")
    return name


def function_name(name: str | None) -> str:
    """Validate a function's name, with the real API's rule and messages."""
    name = required_text("name", name)
    if fault := function_name_error(name):
        raise ControlError(400, fault)
    return name


def hostname(name: str | None) -> str:
    """Validate a hostname in lower case, with the message recorded from the real API."""
    name = required_text("hostname", name)
    if not is_hostname(name):
        raise ControlError(400, f"could not validate domain [{name[:_MAX_ECHO]}]")
    return name


def trigger_name(name: str | None) -> str:
    """Validate a trigger's name: 1 to 50 characters."""
    name = text("name", required_text("name", name), limits.TRIGGER_NAME_MAX)
    if _CONTROL_CHARACTER.search(name):
        raise invalid("name", "must not contain control characters")
    return name


def uuid_text(field: str, value: str | None) -> str:
    """Validate a UUID and return it in lower case."""
    value = required_text(field, value)
    if not _UUID_PATTERN.fullmatch(value):
        raise invalid(field, "must be a UUID")
    return str(uuid.UUID(value))


def private_network(value: str) -> str | None:
    """Validate the UUID of a private network. An empty value detaches the function and becomes ``None``."""
    return uuid_text("private_network_id", value) if value else None


def text(field: str, value: str, most: int = limits.TEXT_MAX_CHARS) -> str:
    """Validate free text of at most this many characters."""
    if len(value) > most:
        raise invalid(field, f"must be at most {most} characters long")
    return value


def description(value: str) -> str:
    """Validate the description of a function, namespace, token or key."""
    return text("description", value)


def trigger_description(value: str) -> str:
    """Validate the description of a trigger."""
    return text("description", value, limits.TRIGGER_DESCRIPTION_MAX)


def tags(values: list[str]) -> tuple[str, ...]:
    """Validate at most 256 tags of at most 4096 characters."""
    if len(values) > limits.TAGS_MAX:
        raise invalid("tags", f"must be at most {limits.TAGS_MAX}")
    return tuple(text("tags", value) for value in values)


def environment(variables: dict[str, str]) -> dict[str, str]:
    """Validate at most 200 environment variables of at most 65,536 characters."""
    field = "environment_variables"
    if len(variables) > limits.ENVIRONMENT_MAX_ENTRIES:
        raise invalid(field, f"must have at most {limits.ENVIRONMENT_MAX_ENTRIES} entries")
    for key, value in variables.items():
        if fault := variable_name_error(key):
            raise invalid(field, fault)
        if "\0" in value:
            raise invalid(field, f"{key!r} must not contain a NUL character")
        if len(value) > limits.ENVIRONMENT_VALUE_MAX_CHARS:
            raise invalid(field, f"{key!r} must be at most {limits.ENVIRONMENT_VALUE_MAX_CHARS} characters long")
    return variables


def memory(value: int) -> int:
    """Validate a memory limit, one of the published tiers."""
    if value not in limits.CPU_BY_MEMORY:
        raise invalid("memory_limit", f"must be one of {', '.join(map(str, limits.CPU_BY_MEMORY))}")
    return value


def scale(minimum: int, maximum: int) -> None:
    """Validate ``0 ≤ min_scale ≤ max_scale ≤ 50`` and ``max_scale ≥ 1``."""
    if not 0 <= minimum <= limits.SCALE_MAX:
        raise invalid("min_scale", f"must be between 0 and {limits.SCALE_MAX}")
    if not 1 <= maximum <= limits.SCALE_MAX:
        raise invalid("max_scale", f"must be between 1 and {limits.SCALE_MAX}")
    if minimum > maximum:
        raise invalid("min_scale", "must not be greater than max_scale")


def timeout(value: str) -> int:
    """Validate a duration such as ``30s``, from 10 s to 60 min, and return it in nanoseconds."""
    # The length limit is that of the longest google.protobuf.Duration in JSON.
    nanoseconds = parse_api_duration(value) if len(value) <= len("-315576000000.000000000s") else None
    if nanoseconds is None:
        raise invalid("timeout", f'must be a duration such as "300s", not {value[:64]!r}')
    if not limits.TIMEOUT_MIN_SECONDS <= nanoseconds / _NANOSECONDS_PER_SECOND <= limits.TIMEOUT_MAX_SECONDS:
        raise invalid("timeout", f"must be between {limits.TIMEOUT_MIN_SECONDS}s and {limits.TIMEOUT_MAX_SECONDS}s")
    return nanoseconds


def handler(value: str, language: str) -> str:
    """Validate a handler path, with the message recorded from the real API.

    Interpreted languages need ``folder/file.function``. A path that leads out of the archive is invalid.
    """
    error = ControlError(400, "handler value is invalid")
    if (
        _CONTROL_CHARACTER.search(value)
        or value.startswith("/")
        or ".." in value.split("/")
        or len(value) > limits.TEXT_MAX_CHARS
    ):
        raise error
    if language not in _COMPILED_LANGUAGES:
        module, dot, function = value.rpartition("/")[2].rpartition(".")
        if not (module and dot and function):
            raise error
    return value


def choice(field: str, value: str | None, default: str, allowed: Collection[str]) -> str:
    """Validate one of several values; ``default`` if not given."""
    if value is None or is_unset(value):
        return default
    if value not in allowed:
        raise invalid(field, f"must be one of {', '.join(allowed)}")
    return str(value)
