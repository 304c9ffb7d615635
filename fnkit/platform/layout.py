"""Where the platform keeps its files, and the settings its processes are started with (pure).

::

    $FNKIT_HOME/                 0700; default: the user's data folder
      platform.json              identity: secret key, access key, project and organization id (0600)
      api-keys.json              further API keys: hashes and rights (0600)
      run.json                   the running platform: pids, ports (0600)
      platform.db                the store
      blobs/<sha256>             uploaded archives
      deployments/<id>-<gen>/    built code, one folder a deployment
      logs/<function id>/        JSONL segments;   logs/platform/{supervisor,control,data-plane}.log
      tls/                       the authority that signs the gateway's certificates: key (0600), certificate
      disks/                     disks of instances that run, where they are not in memory
      log-push.json              how far logs were sent to a Loki (0600)
      brokers.toml               where triggers listen, unless --brokers names another file (0600)
      nats.json, nats/           the platform's own NATS broker: its credentials (0600), its streams
      keys/                      the keys that encrypt secrets at rest and sign tokens (0600)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ["Layout", "LogPushSettings", "OtlpSettings", "ProcessSettings", "QueueSettings", "Quotas", "Scaling"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of everything under one data folder."""

    home: Path

    @property
    def identity(self) -> Path:
        """Identity of this platform, made once."""
        return self.home / "platform.json"

    @property
    def api_keys(self) -> Path:
        """Further API keys."""
        return self.home / "api-keys.json"

    @property
    def run(self) -> Path:
        """What runs now."""
        return self.home / "run.json"

    @property
    def database(self) -> Path:
        """The store."""
        return self.home / "platform.db"

    @property
    def blobs(self) -> Path:
        """Uploaded archives by sha256."""
        return self.home / "blobs"

    @property
    def deployments(self) -> Path:
        """Built code."""
        return self.home / "deployments"

    @property
    def logs(self) -> Path:
        """Log segments."""
        return self.home / "logs"

    @property
    def tls(self) -> Path:
        """The certificate authority's folder."""
        return self.home / "tls"

    @property
    def authority(self) -> Path:
        """Key and certificate of the authority."""
        return self.tls / "authority.pem"

    @property
    def authority_certificate(self) -> Path:
        """The authority's certificate, for those who are to trust it."""
        return self.tls / "authority.crt"

    @property
    def disks(self) -> Path:
        """Disks of running instances that are not in memory (``sandbox: v1``); emptied at each start."""
        return self.home / "disks"

    @property
    def log_push(self) -> Path:
        """How far functions' logs were sent (``--loki-url``)."""
        return self.home / "log-push.json"

    @property
    def brokers(self) -> Path:
        """Where triggers listen."""
        return self.home / "brokers.toml"

    @property
    def nats_identity(self) -> Path:
        """The credentials of the platform's own NATS broker."""
        return self.home / "nats.json"

    @property
    def nats(self) -> Path:
        """The configuration and the streams of that broker."""
        return self.home / "nats"

    @property
    def keys(self) -> Path:
        """Keys."""
        return self.home / "keys"


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may have; ``None`` is no limit. The defaults are the published figures (decision 37).

    namespaces: per project. functions: per organization. memory: MB, the sum of memory × max_scale of all
    functions of an organization.
    """

    namespaces: int | None = 100
    functions: int | None = 1000
    memory: int | None = 600 * 1024


class OtlpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where traces go, over OTLP/HTTP in JSON.

    traces_url: complete, with its path. headers: sent with every export; their values are secrets. service_name:
    one for all functions, or ``""`` for each function's own. timeout: seconds of one export.
    """

    traces_url: str
    headers: tuple[tuple[str, str], ...] = ()
    service_name: str = ""
    timeout: float = 10.0

    def __repr__(self) -> str:
        """Name nothing: both the URL and the headers may hold keys."""
        return "OtlpSettings()"


class LogPushSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where functions' logs are sent. url: whole, without credentials; headers: their values are secrets."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Name the address alone."""
        return f"LogPushSettings(url={self.url!r})"


class Scaling(msgspec.Struct, frozen=True, kw_only=True):
    """How much of this machine functions get, and for how long they keep it.

    memory_budget: MB for all instances, 0 is half of the machine's. cpu_limits: ``weights``, or ``hard``: a
    function's mVCPU are all that it gets. to_one_after, to_zero_after: idle seconds of virtual time.
    """

    memory_budget: int = 0
    cpu_limits: Literal["weights", "hard"] = "weights"
    to_one_after: float = 30.0
    to_zero_after: float = 900.0


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where triggers listen.

    nats_url: the platform's own broker with its credentials, ``""`` where there is none; why_no_nats says why.
    brokers: the file of others. variables: of the environment of whoever started the platform, those that it names.
    """

    nats_url: str = ""
    why_no_nats: str = "no NATS broker is configured"
    brokers: str = ""
    variables: dict[str, str] = {}

    def __repr__(self) -> str:
        """Name the file alone."""
        return f"QueueSettings({self.brokers!r})"


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor hands to control and the data plane, as JSON on standard input.

    tls_port: 0 where TLS is switched off.
    control_socket: control listens here for the data plane. gateway_socket: the gateway's private door, which
    skips the token check (decision 18). delivery_socket: where it takes deliveries, by frames of their own. Ports
    are what was chosen, never 0. ``speed`` 0 is the manual clock.
    memory_budget_mb, cpu_limits: see ``Scaling``.
    scale_to_one_after, scale_to_zero_after: idle seconds of virtual time.
    verify_domains: whether a custom domain must lead to this machine before it is ready.
    runtime_table: the day of the runtime table in force (``fnkit.contract.runtimes.RUNTIME_TABLES``).
    otlp: where traces are exported to, ``None`` for nowhere.
    log_push: where logs are sent to, ``None`` for nowhere.
    queues: where triggers listen; empty for the data plane.
    """

    home: str
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
    log_push: LogPushSettings | None = None
    queues: QueueSettings = QueueSettings()
