"""Paths of the platform's files and the settings of its processes. Pure values; nothing here does I/O.

::

    $FNKIT_HOME/                 0700; the default is in the user's data folder
      platform.json              credentials: secret key, access key, project and organization id (0600)
      api-keys.json              additional API keys: hashes and permissions (0600)
      run.json                   pids and ports of the running platform (0600)
      platform.db                the SQLite store
      blobs/<sha256>             uploaded archives
      deployments/<id>-<gen>/    built code, one directory per deployment
      logs/<function id>/        JSONL segments;   logs/platform/{supervisor,control,data-plane}.log
      tls/                       the certificate authority of the gateway: key (0600), certificate
      disks/                     disks of running instances, if they are not in memory
      log-push.json              position of the push to Loki (0600)
      brokers.toml               brokers of queue triggers, unless --brokers names another file (0600)
      nats.json, nats/           credentials (0600) and streams of the platform's own NATS broker
      keys/                      keys that encrypt secrets at rest and sign tokens (0600)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

__all__ = [
    "DataLayout",
    "LokiPushSettings",
    "OtlpSettings",
    "ProcessSettings",
    "QueueSettings",
    "Quotas",
    "ScalingSettings",
]


@dataclass(frozen=True, slots=True)
class DataLayout:
    """The paths in one data directory."""

    data_dir: Path

    @property
    def credentials_file(self) -> Path:
        """The platform's credentials, created at the first start."""
        return self.data_dir / "platform.json"

    @property
    def api_keys_file(self) -> Path:
        """Additional API keys."""
        return self.data_dir / "api-keys.json"

    @property
    def run_file(self) -> Path:
        """The run file."""
        return self.data_dir / "run.json"

    @property
    def database(self) -> Path:
        """The SQLite store."""
        return self.data_dir / "platform.db"

    @property
    def blobs_dir(self) -> Path:
        """Uploaded archives, named by SHA-256."""
        return self.data_dir / "blobs"

    @property
    def deployments_dir(self) -> Path:
        """Built code, one directory per deployment."""
        return self.data_dir / "deployments"

    @property
    def logs_dir(self) -> Path:
        """Logs of functions, and of the platform's processes."""
        return self.data_dir / "logs"

    @property
    def tls_dir(self) -> Path:
        """Directory of the certificate authority."""
        return self.data_dir / "tls"

    @property
    def ca_file(self) -> Path:
        """Private key and certificate of the certificate authority, PEM."""
        return self.tls_dir / "authority.pem"

    @property
    def ca_certificate_file(self) -> Path:
        """The CA certificate alone, for clients that should trust it."""
        return self.tls_dir / "authority.crt"

    @property
    def disks_dir(self) -> Path:
        """Disks of running instances that are not in memory (``sandbox: v1``); emptied at each start."""
        return self.data_dir / "disks"

    @property
    def loki_push_file(self) -> Path:
        """Position of the push of function logs to Loki (``--loki-url``)."""
        return self.data_dir / "log-push.json"

    @property
    def brokers_file(self) -> Path:
        """The file that configures the brokers of queue triggers."""
        return self.data_dir / "brokers.toml"

    @property
    def nats_credentials_file(self) -> Path:
        """The credentials of the platform's own NATS broker."""
        return self.data_dir / "nats.json"

    @property
    def nats_dir(self) -> Path:
        """Configuration and streams of the platform's own NATS broker."""
        return self.data_dir / "nats"

    @property
    def keys_dir(self) -> Path:
        """Encryption and signing keys."""
        return self.data_dir / "keys"


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """Limits per account; ``None`` is unlimited. The defaults are Scaleway's published quotas.

    Attributes:
        namespaces: Per project.
        functions: Per organization.
        memory: MB per organization: the sum of memory × max_scale of its functions.
    """

    namespaces: int | None = 100
    functions: int | None = 1000
    memory: int | None = 600 * 1024


class OtlpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Export of traces over OTLP/HTTP with JSON.

    Attributes:
        traces_url: The complete URL, including the path.
        headers: Sent with every export. Their values are secrets.
        service_name: ``service.name`` of all functions; empty to use the name of each function.
        timeout: Seconds per export.
    """

    traces_url: str
    headers: tuple[tuple[str, str], ...] = ()
    service_name: str = ""
    timeout: float = 10.0

    def __repr__(self) -> str:
        """Omit all fields: both the URL and the headers may contain keys."""
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
        return f"LogPushSettings(url={self.url!r})"


class ScalingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Resources of this machine for functions, and the delays of scaling down.

    Attributes:
        memory_budget_mb: MB for all instances; 0 for half of the machine's memory.
        cpu_limits: ``weights`` shares CPU time in proportion to mVCPU; ``hard`` also caps each instance at its own.
        scale_to_one_after: Idle seconds of platform time after which a function keeps one instance.
        scale_to_zero_after: Idle seconds of platform time after which the last instance is stopped.
    """

    memory_budget_mb: int = 0
    cpu_limits: Literal["weights", "hard"] = "weights"
    scale_to_one_after: float = 30.0
    scale_to_zero_after: float = 900.0


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Brokers of queue triggers.

    Attributes:
        nats_url: URL of the platform's own NATS broker with credentials; empty if it does not run.
        nats_unavailable_reason: The reason why it does not run, for the status of triggers.
        brokers_file: Path of the file that configures other brokers; empty for the one in the data directory.
        environment: The environment variables that this file refers to.
    """

    nats_url: str = ""
    nats_unavailable_reason: str = "no NATS broker is configured"
    brokers_file: str = ""
    environment: dict[str, str] = {}

    def __repr__(self) -> str:
        """Omit the URL and the variables, which hold credentials."""
        return f"QueueSettings({self.brokers_file!r})"


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that control and the data plane read as JSON from standard input.

    They hold secrets, so they are passed neither as arguments nor in the environment. Ports are the reserved ones,
    never 0.

    Attributes:
        tls_port: 0 if TLS is off.
        control_socket: Unix socket on which control accepts the data plane.
        gateway_socket: Unix socket of the gateway for health, metrics and trusted requests, which need no token.
        delivery_socket: Unix socket of the gateway for deliveries, in the binary protocol.
        speed: Platform seconds per real second; 0 for the manual clock.
        isolation: The requested isolation level, or ``auto``.
        memory_budget_mb: Memory for all instances; 0 for half of the machine's.
        cpu_limits: ``weights`` or ``hard``.
        scale_to_one_after: Idle seconds of platform time after which a function keeps one instance.
        scale_to_zero_after: Idle seconds of platform time after which the last instance is stopped.
        verify_domains: Whether a custom domain must resolve to this machine before it becomes ready.
        runtime_table: Date of the runtime table in force (a key of ``fnkit.contract.runtimes.RUNTIME_TABLES``).
        otlp: Export of traces, if enabled.
        loki_push: Push of logs to Loki, if enabled.
        queues: Brokers of queue triggers; empty for the data plane, which does not need their credentials.
    """

    data_dir: str
    host: str
    api_port: int
    gateway_port: int
    tls_port: int = 0
    control_socket: str
    gateway_socket: str
    delivery_socket: str
    secret_key: str
    access_key: str
    project_id: str
    organization_id: str
    domain_suffix: str
    speed: float
    isolation: str
    strict_runtimes: bool = False
    memory_budget_mb: int = 0
    cpu_limits: Literal["weights", "hard"] = "weights"
    scale_to_one_after: float = 30.0
    scale_to_zero_after: float = 900.0
    verify_domains: bool = False
    runtime_table: str = "2026-07-03"
    quotas: Quotas = Quotas()
    otlp: OtlpSettings | None = None
    loki_push: LokiPushSettings | None = None
    queues: QueueSettings = QueueSettings()
