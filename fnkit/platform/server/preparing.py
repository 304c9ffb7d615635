"""Preparation of a start: data directory, lock, credentials, ports, sockets, run file.

The supervisor does all of it while it holds the lock of the data directory, so that concurrent starts cannot
interfere.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.platform.layout import DataLayout, LokiPushSettings, OtlpSettings, ProcessSettings, QueueSettings
from fnkit.platform.server.authority import ensure_certificate_authority
from fnkit.platform.server.broker_options import runs_own_nats, queue_settings
from fnkit.platform.server.home import is_private, create_data_dir, create_socket_dir
from fnkit.platform.server.identity import PlatformCredentials, load_or_create_credentials
from fnkit.platform.server.lock import acquire_lock
from fnkit.platform.server.nats_server import NATS_HOST
from fnkit.platform.server.options import StartOptions
from fnkit.platform.server.ports import (
    DEFAULT_API_PORT,
    DEFAULT_GATEWAY_PORT,
    DEFAULT_NATS_PORT,
    DEFAULT_TLS_PORT,
    ReservedPorts,
)
from fnkit.platform.server.running import RunFile, process_start_time, read_run_file, write_run_file

__all__ = ["PreparedPlatform", "prepare_platform"]


@dataclass(frozen=True, slots=True)
class PreparedPlatform:
    """What the supervisor needs to run the platform. It owns the lock and the ports.

    Attributes:
        layout: The data directory.
        credentials: The platform's credentials.
        run_file: The run file as it was written.
        lock_descriptor: Descriptor that holds the lock of the data directory.
        ports: Reserved for the processes.
        otlp: Export of traces. Like the two below it contains secrets, so it is not in the run file.
        loki_push: Push of logs to Loki.
        queues: Brokers of queue triggers.
    """

    layout: DataLayout
    credentials: PlatformCredentials
    run_file: RunFile
    lock_descriptor: int
    ports: ReservedPorts
    otlp: OtlpSettings | None = None
    loki_push: LokiPushSettings | None = None
    queues: QueueSettings = field(default_factory=QueueSettings)

    @property
    def settings(self) -> ProcessSettings:
        """The settings of control. The data plane gets the same without those of brokers."""
        folder = Path(self.run_file.socket_folder)
        return ProcessSettings(
            data_dir=str(self.layout.data_dir),
            host=self.run_file.host,
            api_port=self.run_file.api_port,
            gateway_port=self.run_file.gateway_port,
            tls_port=self.run_file.tls_port,
            control_socket=str(folder / "control.sock"),
            gateway_socket=str(folder / "gateway.sock"),
            delivery_socket=str(folder / "delivery.sock"),
            secret_key=self.credentials.secret_key,
            access_key=self.credentials.access_key,
            project_id=self.credentials.project_id,
            organization_id=self.credentials.organization_id,
            domain_suffix=self.run_file.domain_suffix,
            speed=self.run_file.speed,
            isolation=self.run_file.isolation,
            strict_runtimes=self.run_file.strict_runtimes,
            verify_domains=self.run_file.verify_domains,
            runtime_table=self.run_file.runtime_table,
            quotas=self.run_file.quotas,
            memory_budget_mb=self.run_file.scaling.memory_budget_mb,
            cpu_limits=self.run_file.scaling.cpu_limits,
            scale_to_one_after=self.run_file.scaling.scale_to_one_after,
            scale_to_zero_after=self.run_file.scaling.scale_to_zero_after,
            otlp=self.otlp,
            loki_push=self.loki_push,
            queues=self.queues,
        )


def prepare_platform(options: StartOptions) -> PreparedPlatform:
    """Lock the data directory and prepare what the processes need.

    Raises:
        TakenError: Another process is starting, running or resetting this platform.
        PlatformError: The directory, the credentials or a port cannot be used.
    """
    layout = DataLayout(Path(options.data_dir))
    create_data_dir(layout.data_dir)
    lock = acquire_lock(layout.data_dir)
    ports = ReservedPorts()
    try:
        identity = load_or_create_credentials(layout.credentials_file)
        (layout.logs_dir / "platform").mkdir(mode=0o700, parents=True, exist_ok=True)
        before = read_run_file(layout.run_file)
        if before is not None:
            _remove_stale_sockets(Path(before.socket_folder))
        run = _build_run_file(options, before, ports)
        if run.tls_port:
            ensure_certificate_authority(layout)
        queues = queue_settings(options, layout, run.nats_port)
        write_run_file(layout.run_file, run)
    except BaseException:
        ports.release()
        os.close(lock)
        raise
    return PreparedPlatform(layout, identity, run, lock, ports, options.otlp, options.loki_push, queues)


def _build_run_file(options: StartOptions, previous: RunFile | None, ports: ReservedPorts) -> RunFile:
    usual_api = previous.api_port if previous is not None else DEFAULT_API_PORT
    usual_gateway = previous.gateway_port if previous is not None else DEFAULT_GATEWAY_PORT
    # A listener without a requested port must not take one that was requested for another listener.
    requested = frozenset(
        port
        for port in (options.api_port, options.gateway_port, options.tls_port, options.nats_port)
        if isinstance(port, int) and port
    )
    api = ports.reserve(options.host, options.api_port, default=usual_api, excluded=requested, option="--api-port")
    gateway = ports.reserve(
        options.host,
        options.gateway_port,
        default=usual_gateway,
        excluded=requested | {api},
        option="--gateway-port",
    )
    tls = (
        0 if options.tls_port == "none" else _reserve_tls_port(options, previous, ports, requested | {api, gateway})
    )
    nats = (
        _reserve_nats_port(options, previous, ports, requested | {api, gateway, tls})
        if runs_own_nats(options)
        else 0
    )
    return RunFile(
        pid=os.getpid(),
        started_at=process_start_time(os.getpid()) or "",
        host=options.host,
        api_port=api,
        gateway_port=gateway,
        tls_port=tls,
        domain_suffix=options.domain_suffix,
        speed=options.speed,
        isolation=options.isolation,
        strict_runtimes=options.strict_runtimes,
        verify_domains=options.verify_domains,
        runtime_table=options.runtime_table,
        quotas=options.quotas,
        scaling=options.scaling,
        otlp=options.otlp.traces_url if options.otlp is not None else "",
        loki_push=options.loki_push.url if options.loki_push is not None else "",
        nats_port=nats,
        brokers_file=options.brokers_file,
        socket_folder=str(create_socket_dir(Path(options.data_dir))),
    )


def _reserve_tls_port(
    options: StartOptions, previous: RunFile | None, ports: ReservedPorts, excluded: frozenset[int]
) -> int:
    wanted = options.tls_port
    if wanted is None and options.gateway_port == 0:
        # A start with any gateway port is probably one of several, which would compete for the default TLS port.
        wanted = 0
    usual = previous.tls_port if previous is not None and previous.tls_port else DEFAULT_TLS_PORT
    number = wanted if isinstance(wanted, int) else None
    return ports.reserve(options.host, number, default=usual, excluded=excluded, option="--tls-port")


def _reserve_nats_port(
    options: StartOptions, previous: RunFile | None, ports: ReservedPorts, excluded: frozenset[int]
) -> int:
    """Reserve the broker's port by the rules of the TLS port, but on loopback only."""
    wanted = options.nats_port
    if wanted is None and options.gateway_port == 0:
        wanted = 0
    usual = previous.nats_port if previous is not None and previous.nats_port else DEFAULT_NATS_PORT
    number = wanted if isinstance(wanted, int) else None
    return ports.reserve(NATS_HOST, number, default=usual, excluded=excluded, option="--nats-port")


def _remove_stale_sockets(directory: Path) -> None:
    """Remove the sockets of a platform that was killed. The lock is held, so that nothing uses them."""
    if directory.name.startswith("fnkit-") and is_private(directory):
        shutil.rmtree(directory, ignore_errors=True)
