"""Export of traces: ``--otlp URL``, or the standard environment variables of OTLP exporters.

::

    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT   the complete URL;   OTEL_EXPORTER_OTLP_ENDPOINT   /v1/traces is appended
    OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_HEADERS     name=value,name=value; percent-encoded
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT     milliseconds per export
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL   with ``grpc`` the endpoint is ignored
    OTEL_SERVICE_NAME                    service name of all functions
    OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER   ``true``, or a list without ``otlp``, turns the export off
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from fnkit.errors import UsageError
from fnkit.platform.layout import OtlpSettings

__all__ = ["otlp_settings"]

_TRACES_PATH: Final = "/v1/traces"
_OTLP_VARIABLE_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MILLISECONDS_PER_SECOND: Final = 1000


def otlp_settings(endpoint: str | None, environ: Mapping[str, str]) -> OtlpSettings | None:
    """Return the settings of the export, ``None`` if it is off.

    Args:
        endpoint: The value of ``--otlp``, which wins over the variables of the endpoint.
        environ: The environment.

    Raises:
        UsageError: The URL or a variable is invalid. The message contains no value of a header.
    """
    if endpoint is not None:
        url = _validated_url(endpoint, "--otlp")
        traces_url = url if url.endswith(_TRACES_PATH) else url.rstrip("/") + _TRACES_PATH
    elif not _is_disabled(environ) and (found := _endpoint_from_environment(environ)) is not None:
        traces_url = found
    else:
        return None
    return OtlpSettings(
        traces_url=traces_url,
        headers=_otlp_headers(environ),
        service_name=environ.get("OTEL_SERVICE_NAME", "").strip(),
        timeout=_otlp_timeout(environ),
    )


def _is_disabled(environ: Mapping[str, str]) -> bool:
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return disabled or "otlp" not in exporters.split(",") or _otlp_variable(environ, "PROTOCOL")[1] == "grpc"


def _endpoint_from_environment(environ: Mapping[str, str]) -> str | None:
    name, url = _otlp_variable(environ, "ENDPOINT")
    if not url:
        return None
    url = _validated_url(url, name)
    return url if name == f"{_OTLP_VARIABLE_PREFIX}TRACES_ENDPOINT" else url.rstrip("/") + _TRACES_PATH


def _otlp_variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return name and value of a variable: the one for traces, or the general one if that is empty."""
    special, general = f"{_OTLP_VARIABLE_PREFIX}TRACES_{name}", f"{_OTLP_VARIABLE_PREFIX}{name}"
    value = environ.get(special, "").strip()
    return (special, value) if value else (general, environ.get(general, "").strip())


def _validated_url(url: str, source: str) -> str:
    hint = "Use the collector's address, for example http://127.0.0.1:4318."
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
        parts = urlsplit("")
    if not valid or not url.isascii() or any(character.isspace() for character in url) or parts.fragment:
        raise UsageError(f"{source} is not a valid URL of an OTLP/HTTP collector.", hint=hint)
    if parts.username is not None or parts.query:
        raise UsageError(
            f"{source} contains a user or a query.",
            hint=f"Put credentials into {_OTLP_VARIABLE_PREFIX}HEADERS, as name=value.",
        )
    return url


def _otlp_headers(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    source, text = _otlp_variable(environ, "HEADERS")
    headers = []
    for number, pair in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        name, equals, value = pair.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not equals or not _HEADER_NAME.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise UsageError(
                f"{source}: entry {number} is not name=value.", hint="Percent-encode special characters: %20."
            )
        headers.append((name, value))
    return tuple(headers)


def _otlp_timeout(environ: Mapping[str, str]) -> float:
    source, text = _otlp_variable(environ, "TIMEOUT")
    if not text:
        return OtlpSettings(traces_url="").timeout
    if not text.isdecimal() or int(text) == 0:
        raise UsageError(f"{source} is not a number of milliseconds.", hint="The default is 10000.")
    return int(text) / _MILLISECONDS_PER_SECOND
