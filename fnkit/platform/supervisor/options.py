"""Options of a start, sent by the command line to the supervisor, and the result that the supervisor returns.

The functions here read the options of trace export, log push and brokers from the command line and the environment.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from fnkit.contract.distribution import extra_install_hint
from fnkit.errors import UsageError
from fnkit.platform.brokers.config_file import read_brokers_file, referenced_variables
from fnkit.platform.brokers.model import Brokers
from fnkit.platform.model.settings import (
    DataLayout,
    LokiPushSettings,
    OtlpSettings,
    QueueSettings,
    Quotas,
    ScalingSettings,
)
from fnkit.platform.supervisor.nats_server import find_nats_server, load_or_create_nats_credentials, nats_url

__all__ = [
    "StartOptions",
    "StartupResult",
    "loki_push_settings",
    "otlp_settings",
    "queue_settings",
    "runs_own_nats",
    "with_broker_environment",
]

_LOKI_PUSH_PATH: Final = "/loki/api/v1/push"
_LOKI_VARIABLE_PREFIX: Final = "FNKIT_LOGS_PUSH_"

_TRACES_PATH: Final = "/v1/traces"
_OTLP_VARIABLE_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MILLISECONDS_PER_SECOND: Final = 1000

_NATS_OFF: Final = "no NATS broker is configured, and the platform's own is off (--nats-port none)"
_NATS_NOT_INSTALLED: Final = (
    "no NATS broker is configured, and the platform's own is not installed: "
    f"{extra_install_hint('queues')}, then start the platform again"
)


def loki_push_settings(loki_url: str | None, environ: Mapping[str, str]) -> LokiPushSettings | None:
    """Return the settings of the push, ``None`` if it is off. Credentials in the URL win over the environment.

    Args:
        loki_url: The value of ``--loki-url``, if given.
        environ: The environment.

    Raises:
        UsageError: The URL or a variable is invalid. The message contains no secret.
    """
    if loki_url is None:
        return None
    try:
        parts = urlsplit(loki_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, valid = urlsplit(""), False
    if not valid or not loki_url.isascii() or any(c.isspace() for c in loki_url) or parts.fragment or parts.query:
        raise UsageError(
            "--loki-url is not a valid URL of Loki.", hint="Use its address, for example http://127.0.0.1:3100."
        )
    path = parts.path.rstrip("/")
    whole = path if path.endswith(_LOKI_PUSH_PATH) else path + _LOKI_PUSH_PATH
    url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], whole, "", ""))
    user = unquote(parts.username or "") or _loki_variable(environ, "USER")
    password = unquote(parts.password or "") or _loki_variable(environ, "PASSWORD")
    return LokiPushSettings(url=url, headers=_loki_headers(user, password, environ))


def _loki_headers(user: str, password: str, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    headers = []
    if token := _loki_variable(environ, "TOKEN"):
        headers.append(("Authorization", f"Bearer {token}"))
    elif user or password:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers.append(("Authorization", f"Basic {both}"))
    if tenant := _loki_variable(environ, "TENANT"):
        headers.append(("X-Scope-OrgID", tenant))
    return tuple(headers)


def _loki_variable(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(_LOKI_VARIABLE_PREFIX + name, "").strip()
    if not value.isascii() or not value.isprintable():
        raise UsageError(
            f"{_LOKI_VARIABLE_PREFIX}{name} contains characters that are not allowed in an HTTP header."
        )
    return value


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


class StartupResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a detached start.

    Attributes:
        pid: Pid of the supervisor, if it keeps running.
        already_running: Whether another process holds the lock of the data directory.
        code: Code of the error, else empty.
        message: Message of the error.
        hint: Hint of the error.
    """

    pid: int = 0
    already_running: bool = False
    code: str = ""
    message: str = ""
    hint: str | None = None


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a platform.

    A port is a number, 0 for any free port, or ``None`` for the port of the last start, by default the standard one
    or the next free one after it.

    Attributes:
        data_dir: The data directory, absolute.
        tls_port: ``none`` turns TLS off. ``None`` means any free port if ``gateway_port`` is 0.
        domain_suffix: The end of host names of functions, after ``functions.fnc.<region>.``.
        speed: Platform seconds per real second; 0 for the manual clock.
        isolation: ``auto`` or the name of an isolation level.
        start_timeout: Seconds until the platform must be healthy.
        verify_domains: Whether custom domains must resolve to this machine.
        runtime_table: Date of the runtime table.
        otlp: Export of traces, if enabled.
        loki_push: Push of logs to Loki, if enabled.
        nats_port: Port of the platform's own NATS broker, with the same values as ``tls_port``.
        brokers_file: Absolute path of the brokers file; empty for the one in the data directory, if it exists.
        broker_environment: The environment variables that this file refers to.
    """

    data_dir: str
    host: str = "127.0.0.1"
    api_port: int | None = None
    gateway_port: int | None = None
    tls_port: int | Literal["none"] | None = None
    domain_suffix: str = "localhost"
    speed: float = 1.0
    isolation: str = "auto"
    strict_runtimes: bool = False
    start_timeout: float = 30.0
    verify_domains: bool = False
    runtime_table: str = "2026-07-03"
    quotas: Quotas = Quotas()
    scaling: ScalingSettings = ScalingSettings()
    otlp: OtlpSettings | None = None
    loki_push: LokiPushSettings | None = None
    nats_port: int | Literal["none"] | None = None
    brokers_file: str = ""
    broker_environment: dict[str, str] = {}


def with_broker_environment(options: StartOptions, environ: Mapping[str, str]) -> StartOptions:
    """Validate the brokers file, and add the environment variables that it refers to.

    They are passed as options because the platform's processes do not inherit the user's environment.

    Raises:
        BrokersInvalid: The file has errors.
        PlatformError: ``brokers-unreadable``.
    """
    file = _brokers_file(options)
    if not options.brokers_file and not file.is_file():
        return options
    try:
        named = referenced_variables(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        named = set()
    variables = {name: environ[name] for name in named if name in environ}
    read_brokers_file(file, variables)
    return msgspec.structs.replace(options, broker_environment=variables)


def runs_own_nats(options: StartOptions) -> bool:
    """Return whether to run a NATS broker: it is not off, no other one is configured, and nats-server is installed.

    Raises:
        BrokersInvalid: The brokers file has errors.
        PlatformError: ``brokers-unreadable``.
    """
    return options.nats_port != "none" and not _configured_brokers(options).nats and find_nats_server() is not None


def queue_settings(options: StartOptions, layout: DataLayout, nats_port: int) -> QueueSettings:
    """Return the broker settings of control and of the NATS process.

    Args:
        options: The options of the start.
        layout: The data directory, which keeps the credentials of the platform's own broker.
        nats_port: Port of the platform's own broker; 0 if it does not run.

    Raises:
        PlatformError: ``identity-unreadable``.
    """
    url = nats_url(load_or_create_nats_credentials(layout.nats_credentials_file), nats_port) if nats_port else ""
    return QueueSettings(
        nats_url=url,
        nats_unavailable_reason="" if url else _NATS_OFF if options.nats_port == "none" else _NATS_NOT_INSTALLED,
        brokers_file=str(_brokers_file(options)),
        environment=options.broker_environment,
    )


def _configured_brokers(options: StartOptions) -> Brokers:
    file = _brokers_file(options)
    if not options.brokers_file and not file.is_file():
        return Brokers()
    return read_brokers_file(file, options.broker_environment)


def _brokers_file(options: StartOptions) -> Path:
    return Path(options.brokers_file) if options.brokers_file else DataLayout(Path(options.data_dir)).brokers_file
