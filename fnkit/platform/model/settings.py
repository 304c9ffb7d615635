"""Paths of the platform's files and the settings of its processes. Pure values; nothing here does I/O.

::

    $FNKIT_HOME/                 0700; the default is in the user's data folder
      platform.json              credentials: secret key, access key, project and organization id (0600)
      api-keys.json              additional API keys: hashes and permissions (0600)
      run.json                   pids and ports of the running platform (0600)
      platform.db                the SQLite store
      blobs/<sha256>             uploaded archives
      restore/                   a restored backup whose files are being moved to their places
      deployments/<id>-<gen>/    built code, one directory per deployment
      caches/<function id>/      what compilers and package managers keep for the next build
      dependencies/              built dependencies, for later deployments of the same function
      layers/<sha256>            layers of images
      logs/<function id>/        JSONL segments;   logs/platform/{supervisor,control,data-plane}.log
      tls/                       the certificate authority of the gateway: key (0600), certificate
      disks/                     disks of running instances, if they are not in memory
      log-push.json              position of the push to Loki (0600)
      brokers.toml               brokers of queue triggers, unless --brokers names another file (0600)
      nats.json, nats/           credentials (0600) and streams of the platform's own NATS broker
      keys/                      keys that encrypt secrets at rest and sign tokens (0600)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, get_type_hints

import msgspec

from fnkit.contract.limits import (
    BUILD_MAX_SECONDS,
    FUNCTIONS_MAX,
    MEMORY_MAX_MB,
    NAMESPACES_MAX,
    SCALE_TO_ONE_AFTER_SECONDS,
    SCALE_TO_ZERO_AFTER_SECONDS,
)
from fnkit.platform.model.debugger import Debugger
from fnkit.platform.model.start_error import START_ERROR_FILE

BUILD_PREFIX: Final = "FNKIT_BUILD_"
"""Before the names of variables of the user's environment that only builds get."""


class DataLayout:
    """The paths in one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir: Final = data_dir
        self.credentials_file: Final = data_dir / "platform.json"
        """The platform's credentials, created at the first start."""
        self.api_keys_file: Final = data_dir / "api-keys.json"
        """Additional API keys."""
        self.run_file: Final = data_dir / "run.json"
        """The run file."""
        self.start_error_file: Final = data_dir / START_ERROR_FILE
        """Why a start in the background failed, until the command that asked for it has read it."""
        self.database: Final = data_dir / "platform.db"
        """The SQLite store."""
        self.blobs_dir: Final = data_dir / "blobs"
        """Uploaded archives, named by SHA-256."""
        self.deployments_dir: Final = data_dir / "deployments"
        """Built code, one directory per deployment."""
        self.dependencies_dir: Final = data_dir / "dependencies"
        """Built dependencies, one directory for each function and content."""
        self.caches_dir: Final = data_dir / "caches"
        """What build tools keep for the next build, one directory for each function."""
        self.layers_dir: Final = data_dir / "layers"
        """Layers of images, named by SHA-256."""
        self.logs_dir: Final = data_dir / "logs"
        """Logs of functions, and of the platform's processes."""
        self.tls_dir: Final = data_dir / "tls"
        """Directory of the certificate authority."""
        self.ca_file: Final = self.tls_dir / "authority.pem"
        """Private key and certificate of the certificate authority, PEM."""
        self.ca_certificate_file: Final = self.tls_dir / "authority.crt"
        """The CA certificate alone, for clients that should trust it."""
        self.restore_dir: Final = data_dir / "restore"
        """The files of a restored backup, until all of them are in their places."""
        self.disks_dir: Final = data_dir / "disks"
        """Disks of running instances that are not in memory (``sandbox: v1``); emptied at each start."""
        self.loki_push_file: Final = data_dir / "log-push.json"
        """Position of the push of function logs to Loki (``--loki-url``)."""
        self.brokers_file: Final = data_dir / "brokers.toml"
        """The file that configures the brokers of queue triggers."""
        self.nats_credentials_file: Final = data_dir / "nats.json"
        """The credentials of the platform's own NATS broker."""
        self.sqs_keys_file: Final = data_dir / "sqs.json"
        """The keys of the platform's own SQS endpoint."""
        self.nats_dir: Final = data_dir / "nats"
        """Configuration and streams of the platform's own NATS broker."""
        self.keys_dir: Final = data_dir / "keys"
        """Encryption and signing keys."""
        self.key_file: Final = self.keys_dir / "platform.key"
        """The key that encrypts secrets at rest."""


def _format_quotas(quotas: msgspec.Struct) -> str:
    limits = msgspec.structs.asdict(quotas)
    return ",".join(f"{name}={'none' if limit is None else limit}" for name, limit in limits.items())


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """Limits per account; ``None`` is unlimited. The defaults are Scaleway's published quotas.

    Attributes:
        namespaces: Per project.
        functions: Per organization.
        memory: MB per organization: the sum of memory × max_scale of its functions.
    """

    namespaces: int | None = NAMESPACES_MAX
    functions: int | None = FUNCTIONS_MAX
    memory: int | None = MEMORY_MAX_MB

    def __str__(self) -> str:
        """Return the quotas as ``--quota`` takes them."""
        return _format_quotas(self)


class ProjectQuotas(msgspec.Struct, frozen=True, kw_only=True):
    """The largest share of an organization's quotas that one project can use; ``None`` is all of it.

    Attributes:
        functions: Number of functions.
        memory: MB, the sum of memory × max_scale of its functions.
    """

    functions: int | None = None
    memory: int | None = None

    def __str__(self) -> str:
        """Return the quotas as ``--project-quota`` takes them."""
        return _format_quotas(self)


class OtlpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Export of traces over OTLP/HTTP.

    Attributes:
        traces_url: The complete URL, including the path.
        environment: The user's ``OTEL_*`` variables, which OpenTelemetry's SDK reads. Some values are secrets.
    """

    traces_url: str
    environment: dict[str, str] = {}

    def __repr__(self) -> str:
        """Omit all fields: both the URL and the variables may contain keys."""
        return "OtlpSettings()"


class LokiPushSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Push of function logs to Loki.

    Attributes:
        url: The complete URL, without credentials.
        headers: Sent with every push. Their values are secrets.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Omit the headers, which hold credentials."""
        return f"LokiPushSettings(url={self.url!r})"


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What control needs for the brokers of queue triggers, apart from the brokers file.

    Attributes:
        nats_url: URL of the platform's own NATS broker with credentials; empty if it does not run.
        nats_unavailable_reason: The reason why it does not run, for the status of triggers.
        sqs_endpoint: URL of the platform's own SQS endpoint; empty if there is none.
        sqs_access_key: Access key that the endpoint requires.
        sqs_secret_key: Its secret key.
        sqs_unavailable_reason: The reason why there is no endpoint, for the status of triggers.
        environment: The environment variables that the brokers file refers to.
    """

    nats_url: str = ""
    nats_unavailable_reason: str = "no NATS broker is configured"
    sqs_endpoint: str = ""
    sqs_access_key: str = ""
    sqs_secret_key: str = ""
    sqs_unavailable_reason: str = "no SQS service is configured"
    environment: dict[str, str] = {}

    def __repr__(self) -> str:
        """Omit the URL, the keys and the variables, which hold credentials."""
        return "QueueSettings()"

    def variables(self) -> dict[str, str]:
        """Return addresses and keys of the platform's own brokers, by the names of environment variables."""
        nats = {"NATS_URL": self.nats_url} if self.nats_url else {}
        if not self.sqs_endpoint:
            return nats
        return nats | {
            "SQS_ENDPOINT": self.sqs_endpoint,
            "SQS_ACCESS_KEY": self.sqs_access_key,
            "SQS_SECRET_KEY": self.sqs_secret_key,
        }


@dataclass(frozen=True, slots=True)
class StartOption:
    """The option of ``fnkit platform start`` that chooses a setting.

    Attributes:
        name: The option, as ``--api-port``.
        unset: What an empty setting means, for messages; empty if the setting has no empty value.
    """

    name: str
    unset: str = ""


class PlatformSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a platform runs: chosen at its start, kept in the run file, handed to its processes.

    No secret is among them: those go from process to process over standard input (``ProcessSettings``). A setting
    is added here, with its option; ``fnkit platform start`` passes on what it is given by the field's name.

    Attributes:
        api_port: Like all ports here the reserved one; 0 if the listener is off.
        nats_port: Port of the platform's own NATS broker.
        sqs_port: Port of the platform's own SQS endpoint.
        domain_suffix: The end of host names of functions, after ``functions.fnc.<region>.``.
        speed: Platform seconds per real second; 0 for the manual clock.
        isolation: The requested isolation level, or ``auto``.
        strict_runtimes: Whether to reject runtimes without an exact match on this machine.
        build_timeout: Seconds of real time that a build may take.
        verify_domains: Whether a custom domain must resolve to this machine before it becomes ready.
        public_metrics: Whether ``GET /metrics`` needs no API key.
        temporary: Whether what is stored need not survive a power cut, because it is thrown away anyway.
        log_responses: Whether to log a line about each response of a function, in the stream ``responses``.
        runtime_table: Date of the runtime table in force (a key of ``fnkit.contract.runtimes.RUNTIME_TABLES``).
        memory_budget_mb: MB for all instances; 0 for half of the machine's memory.
        cpu_limits: ``weights`` shares CPU time in proportion to mVCPU; ``hard`` also caps each instance at its own.
        scale_to_one_after: Idle seconds of platform time after which a function keeps one instance.
        scale_to_zero_after: Idle seconds of platform time after which the last instance is stopped.
        brokers_file: Absolute path of the brokers file; empty for the one in the data directory, if it exists.
        otlp_url: URL of the trace export; empty if it is off.
        loki_url: URL of the push of logs, without credentials; empty if it is off.
        engine: Where instances run: as processes of this machine, or as Pods of a Kubernetes cluster.
        kubeconfig: Absolute path of the file that describes the cluster; empty for the account of the Pod that the
            platform runs in.
        kube_context: Context in that file; empty for its current one.
        kube_namespace: Namespace of the Pods; empty for that of the context.
        kube_labels: Labels of everything that is created in the cluster, in addition to the platform's own.
        registry_host: Host, and port, by which nodes of the cluster reach the platform's registry.
        base_images: Runtime → the image below those of its functions, for example ``python:3.13-slim``; for other
            runtimes it is made of this machine's interpreter.
    """

    host: Annotated[str, StartOption("--host")] = "127.0.0.1"
    api_port: Annotated[int, StartOption("--api-port")] = 0
    gateway_port: Annotated[int, StartOption("--gateway-port")] = 0
    tls_port: Annotated[int, StartOption("--tls-port", "none")] = 0
    nats_port: Annotated[int, StartOption("--nats-port", "none")] = 0
    sqs_port: Annotated[int, StartOption("--sqs-port", "none")] = 0
    brokers_file: Annotated[str, StartOption("--brokers", "those of the data directory")] = ""
    domain_suffix: Annotated[str, StartOption("--domain-suffix")] = "localhost"
    speed: Annotated[float, StartOption("--clock-speed")] = 1.0
    isolation: Annotated[str, StartOption("--isolation")] = "auto"
    strict_runtimes: Annotated[bool, StartOption("--strict-runtimes")] = False
    runtime_table: Annotated[str, StartOption("--runtime-table")] = "2026-07-03"
    build_timeout: Annotated[float, StartOption("--build-timeout")] = BUILD_MAX_SECONDS
    verify_domains: Annotated[bool, StartOption("--verify-domains")] = False
    public_metrics: Annotated[bool, StartOption("--public-metrics")] = False
    temporary: Annotated[bool, StartOption("--temporary")] = False
    log_responses: Annotated[bool, StartOption("--log-responses")] = False
    quotas: Annotated[Quotas, StartOption("--quota")] = Quotas()
    project_quotas: Annotated[ProjectQuotas, StartOption("--project-quota")] = ProjectQuotas()
    otlp_url: Annotated[str, StartOption("--otlp", "none")] = ""
    loki_url: Annotated[str, StartOption("--loki-url", "none")] = ""
    base_images: Annotated[dict[str, str], StartOption("--base-image", "none")] = {}
    engine: Annotated[Literal["local", "kubernetes"], StartOption("--engine")] = "local"
    kubeconfig: Annotated[str, StartOption("--kubeconfig", "the default")] = ""
    kube_context: Annotated[str, StartOption("--kube-context", "the current one")] = ""
    kube_namespace: Annotated[str, StartOption("--kube-namespace", "that of the context")] = ""
    kube_labels: Annotated[dict[str, str], StartOption("--kube-label", "none")] = {}
    registry_host: Annotated[str, StartOption("--registry-host", "none")] = ""
    memory_budget_mb: Annotated[int, StartOption("--memory-budget", "half of this machine's memory")] = 0
    cpu_limits: Annotated[Literal["weights", "hard"], StartOption("--cpu-limits")] = "weights"
    scale_to_one_after: Annotated[float, StartOption("--scale-to-one-after")] = SCALE_TO_ONE_AFTER_SECONDS
    scale_to_zero_after: Annotated[float, StartOption("--scale-to-zero-after")] = SCALE_TO_ZERO_AFTER_SECONDS


class ListeningDescriptors(msgspec.Struct, frozen=True, kw_only=True):
    """Descriptors of listening sockets that a process inherits; without any it listens itself."""

    api: tuple[int, ...] = ()
    gateway: tuple[int, ...] = ()
    tls: tuple[int, ...] = ()
    sqs: tuple[int, ...] = ()


class ProcessSettings(PlatformSettings, frozen=True, kw_only=True):
    """What control and the data plane read as JSON from standard input: the settings, their files, their secrets.

    Since secrets are among it, it is passed neither as arguments nor in the environment.

    Attributes:
        control_socket: Unix socket on which control accepts the data plane.
        gateway_socket: Unix socket of the gateway for health, metrics and trusted requests, which need no token.
        delivery_socket: Unix socket of the gateway for deliveries, in the binary protocol.
        link_secret: What the data plane says first to control, new at every start of the platform.
        listening: The sockets of the ports above, which the supervisor opened.
        otlp: Export of traces, if enabled.
        loki_push: Push of logs to Loki, if enabled.
        queues: Brokers of queue triggers; empty for the data plane, which does not need their credentials.
        debugger: The debugger under which one function runs, if any.
    """

    data_dir: str
    control_socket: str
    gateway_socket: str
    delivery_socket: str
    secret_key: str
    access_key: str
    project_id: str
    organization_id: str
    link_secret: str = ""
    listening: ListeningDescriptors = ListeningDescriptors()
    otlp: OtlpSettings | None = None
    loki_push: LokiPushSettings | None = None
    queues: QueueSettings = QueueSettings()
    debugger: Debugger | None = None


@dataclass(frozen=True, slots=True)
class SettingDifference:
    """A setting in which a running platform differs from a requested one."""

    option: StartOption
    running: object
    requested: object

    def __str__(self) -> str:
        """Return the difference as the end of "The platform is already running, …"."""
        if self.requested is True:
            return f"without {self.option.name}"
        return f"with {self.option.name} {self._format(self.running)} instead of {self._format(self.requested)}"

    def _format(self, value: object) -> str:
        if not value and self.option.unset:
            return self.option.unset
        if isinstance(value, dict):
            return ",".join(f"{key}={value[key]}" for key in sorted(value))
        return f"{value:g}" if isinstance(value, float) else str(value)


def find_difference(
    running: PlatformSettings, requested: PlatformSettings, names: Collection[str]
) -> SettingDifference | None:
    """Return the first of the named settings in which a running platform differs from the requested one."""
    for name in PlatformSettings.__struct_fields__:
        values = getattr(running, name), getattr(requested, name)
        if name in names and values[0] != values[1]:
            return SettingDifference(start_option(name), *values)
    return None


def start_option(name: str) -> StartOption:
    """Return the option that chooses a setting.

    >>> start_option("tls_port").name
    '--tls-port'
    """
    hint = get_type_hints(PlatformSettings, include_extras=True)[name]
    option: StartOption = hint.__metadata__[0]
    return option
