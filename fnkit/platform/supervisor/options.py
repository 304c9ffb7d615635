"""Options of a start, sent by the command line to the supervisor, and the result that the supervisor returns.

The functions here read the options of trace export, log push and brokers from the command line and the environment.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import msgspec

from fnkit.contract.distribution import extra_install_hint
from fnkit.errors import PlatformError, UsageError
from fnkit.platform.brokers.model import Brokers
from fnkit.platform.model.debugger import Debugger
from fnkit.platform.model.settings import (
    DataLayout,
    LokiPushSettings,
    OtlpSettings,
    PlatformSettings,
    QueueSettings,
    SettingDifference,
    find_difference,
)
from fnkit.platform.supervisor.kubernetes_options import check_engine_options, find_kubeconfig
from fnkit.platform.supervisor.nats_server import find_nats_server, own_nats_url
from fnkit.platform.supervisor.sqs_server import (
    is_sqs_server_installed,
    load_or_create_sqs_keys,
    own_sqs_endpoint,
)

_LOKI_PUSH_PATH: Final = "/loki/api/v1/push"
_LOKI_VARIABLE_PREFIX: Final = "FNKIT_LOGS_PUSH_"

_TRACES_PATH: Final = "/v1/traces"
_OTLP_VARIABLE_PREFIX: Final = "OTEL_EXPORTER_OTLP_"

_NATS_OFF: Final = "no NATS broker is configured, and the platform's own is off (--nats-port none)"
_NATS_NOT_INSTALLED: Final = (
    "no NATS broker is configured, and the platform's own is not installed: "
    f"{extra_install_hint('queues')}, then start the platform again"
)
_SQS_OFF: Final = "no SQS service is configured, and the platform's own is off (--sqs-port none)"
_SQS_NOT_STARTED: Final = "no SQS service is configured; start the platform again to use its own"
_SQS_NOT_INSTALLED: Final = (
    "no SQS service is configured, and the platform's own is not installed: "
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
    parts = _parse_http_url(loki_url)
    if parts is None or parts.query:
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
    """Return the settings of the export, ``None`` if it is off. OpenTelemetry's SDK reads most of the variables.

    Args:
        endpoint: The value of ``--otlp``, which wins over the variables of the endpoint.
        environ: The environment.

    Raises:
        UsageError: The URL is invalid. The message contains no value of a variable.
        PlatformError: ``otel-missing``.
    """
    variables = {name: value for name, value in environ.items() if name.startswith("OTEL_") and value.strip()}
    if (found := _otlp_endpoint(endpoint, variables)) is None:
        return None
    source, url = found
    url = _validated_url(url, source)
    is_complete = source.endswith("TRACES_ENDPOINT") or (source == "--otlp" and url.endswith(_TRACES_PATH))
    traces_url = url if is_complete else url.rstrip("/") + _TRACES_PATH
    if not _has_opentelemetry():
        raise PlatformError(
            "Exporting traces needs OpenTelemetry's SDK, which is not installed.",
            code="otel-missing",
            hint=f"Install the extra otel: {extra_install_hint('otel')}. Or start without {source}.",
        )
    return OtlpSettings(traces_url=traces_url, environment=variables)


def _otlp_endpoint(endpoint: str | None, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """Return where the endpoint was given, and its URL; ``None`` if traces are not exported."""
    if endpoint is not None:
        return "--otlp", endpoint
    disabled = variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporters = variables.get("OTEL_TRACES_EXPORTER", "otlp").split(",")
    if disabled or "otlp" not in exporters or _otlp_variable(variables, "PROTOCOL")[1] == "grpc":
        return None
    source, url = _otlp_variable(variables, "ENDPOINT")
    return (source, url) if url else None


def _otlp_variable(variables: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return name and value of a variable: the one for traces, or the general one if that is not set."""
    special, general = f"{_OTLP_VARIABLE_PREFIX}TRACES_{name}", f"{_OTLP_VARIABLE_PREFIX}{name}"
    found = special if special in variables else general
    return found, variables.get(found, "").strip()


def _has_opentelemetry() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter") is not None
    except ModuleNotFoundError:  # of a parent package
        return False


def _validated_url(url: str, source: str) -> str:
    hint = "Use the collector's address, for example http://127.0.0.1:4318."
    parts = _parse_http_url(url)
    if parts is None:
        raise UsageError(f"{source} is not a valid URL of an OTLP/HTTP collector.", hint=hint)
    if parts.username is not None or parts.query:
        raise UsageError(
            f"{source} contains a user or a query.",
            hint=f"Put credentials into {_OTLP_VARIABLE_PREFIX}HEADERS, as name=value.",
        )
    return url


def _parse_http_url(url: str) -> SplitResult | None:
    """Return the parts of an http or https URL without a fragment; ``None`` if it is not one."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    spaced = any(character.isspace() for character in url)
    return parts if valid and url.isascii() and not spaced and not parts.fragment else None


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


class RequestedPorts(msgspec.Struct, frozen=True, kw_only=True):
    """The ports that a start asks for; the fields are named as those of ``PlatformSettings``.

    A port is a number, 0 for any free port, ``none`` for no listener, or ``None`` for the port of the last start;
    at the first start the standard one or the next free one after it. For TLS, NATS and SQS, ``None`` means any
    free port if ``gateway_port`` is 0.
    """

    api_port: int | None = None
    gateway_port: int | None = None
    tls_port: int | Literal["none"] | None = None
    nats_port: int | Literal["none"] | None = None
    sqs_port: int | Literal["none"] | None = None


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a platform.

    Attributes:
        data_dir: The data directory, absolute.
        settings: The settings of the platform. Of their ports, only those requested by number are set.
        given: The settings that were asked for by name, which a running platform must have.
        start_timeout: Seconds until the platform must be healthy.
        owner: Pid of the process that starts it in the background and with which it ends; 0 for none.
        otlp: Export of traces, if enabled. Like the three below it contains secrets, so it is not in the settings.
        loki_push: Push of logs to Loki, if enabled.
        broker_environment: The environment variables that the brokers file refers to.
        debugger: The debugger under which one function runs, if any.
    """

    data_dir: str
    settings: PlatformSettings = PlatformSettings()
    given: frozenset[str] = frozenset()
    ports: RequestedPorts = RequestedPorts()
    start_timeout: float = 30.0
    owner: int = 0
    otlp: OtlpSettings | None = None
    loki_push: LokiPushSettings | None = None
    broker_environment: dict[str, str] = {}
    debugger: Debugger | None = None


def start_options(
    data_dir: Path,
    given: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    start_timeout: float,
    owner: int = 0,
    debugger: Debugger | None = None,
) -> StartOptions:
    """Return how to start a platform, from the options of the command line and the environment.

    Args:
        data_dir: The data directory, absolute.
        given: The options given, by the name of their field in ``PlatformSettings``, ports as ``RequestedPorts``
            describes.
        environ: The environment, with the credentials of trace export and log push.
        start_timeout: Seconds until the platform must be healthy.
        owner: Pid of this process if the platform ends with it.
        debugger: The debugger under which one function runs, if any.

    Raises:
        UsageError: A URL, a variable of the environment or an option of the engine is invalid.
        PlatformError: ``kubernetes-missing`` or ``otel-missing``.
    """
    requested = {name: given[name] for name in RequestedPorts.__struct_fields__ if name in given}
    numbers = {name: 0 if port == "none" else port for name, port in requested.items() if port != 0}
    rest = {name: value for name, value in given.items() if name not in requested}
    plain = msgspec.convert({**rest, **numbers}, PlatformSettings)
    check_engine_options(plain, given)
    kubeconfig = find_kubeconfig(plain.kubeconfig, environ) if plain.engine == "kubernetes" else ""
    otlp = otlp_settings(plain.otlp_url if "otlp_url" in given else None, environ)
    loki_push = loki_push_settings(plain.loki_url if "loki_url" in given else None, environ)
    return StartOptions(
        data_dir=str(data_dir),
        settings=msgspec.structs.replace(
            plain,
            kubeconfig=kubeconfig,
            otlp_url=otlp.traces_url if otlp is not None else "",
            loki_url=loki_push.url if loki_push is not None else "",
        ),
        given=frozenset(rest) | frozenset(numbers),
        ports=msgspec.convert(requested, RequestedPorts),
        start_timeout=start_timeout,
        owner=owner,
        otlp=otlp,
        loki_push=loki_push,
        debugger=debugger,
    )


def find_conflict(options: StartOptions, running: PlatformSettings) -> SettingDifference | None:
    """Return the first setting that was asked for and that the running platform does not have.

    A setting that only the environment names does not count: its variable may concern other programs.
    """
    return find_difference(running, options.settings, options.given)


def with_broker_environment(options: StartOptions, environ: Mapping[str, str]) -> StartOptions:
    """Validate the brokers file, and add the environment variables that it refers to.

    They are passed as options because the platform's processes do not inherit the user's environment.

    Raises:
        BrokersInvalid: The file has errors.
        PlatformError: ``brokers-unreadable``.
    """
    file = _brokers_file(options)
    if file is None:
        return options
    from fnkit.platform.brokers.config_file import read_brokers_file, referenced_variables  # only if there is one

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
    if options.ports.nats_port == "none" or _configured_brokers(options).nats:
        return False
    return find_nats_server() is not None


def runs_own_sqs(options: StartOptions) -> bool:
    """Return whether to have an SQS endpoint: it is not off, no service is configured, and moto is installed.

    Raises:
        BrokersInvalid: The brokers file has errors.
        PlatformError: ``brokers-unreadable``.
    """
    if options.ports.sqs_port == "none" or _configured_brokers(options).sqs:
        return False
    return is_sqs_server_installed()


def _configured_brokers(options: StartOptions) -> Brokers:
    if (file := _brokers_file(options)) is None:
        return Brokers()
    from fnkit.platform.brokers.config_file import read_brokers_file  # only if there is a file

    return read_brokers_file(file, options.broker_environment)


def queue_settings(options: StartOptions, layout: DataLayout, nats_port: int, sqs_port: int) -> QueueSettings:
    """Return the broker settings of control and of the platform's own brokers.

    Args:
        options: The options of the start.
        layout: The data directory, which keeps the credentials of the platform's own brokers.
        nats_port: Port of the platform's own NATS broker; 0 if it does not run.
        sqs_port: Port of the platform's own SQS endpoint; 0 if there is none.

    Raises:
        PlatformError: ``identity-unreadable``.
    """
    url = own_nats_url(layout.nats_credentials_file, nats_port)
    no_nats = _NATS_OFF if options.ports.nats_port == "none" else _NATS_NOT_INSTALLED
    no_sqs = _SQS_NOT_INSTALLED
    if options.ports.sqs_port == "none":
        no_sqs = _SQS_OFF
    elif is_sqs_server_installed():
        no_sqs = _SQS_NOT_STARTED
    keys = load_or_create_sqs_keys(layout.sqs_keys_file) if sqs_port else None
    return QueueSettings(
        nats_url=url,
        nats_unavailable_reason="" if url else no_nats,
        sqs_endpoint=own_sqs_endpoint(sqs_port),
        sqs_access_key=keys.access_key if keys is not None else "",
        sqs_secret_key=keys.secret_key if keys is not None else "",
        sqs_unavailable_reason="" if sqs_port else no_sqs,
        environment=options.broker_environment,
    )


def _brokers_file(options: StartOptions) -> Path | None:
    """Return the file that was asked for, or the one in the data directory if there is one."""
    if options.settings.brokers_file:
        return Path(options.settings.brokers_file)
    file = DataLayout(Path(options.data_dir)).brokers_file
    return file if file.is_file() else None
