"""Preparation of a start: data directory, lock, credentials, ports, sockets, run file.

The supervisor does all of it while it holds the lock of the data directory, so that concurrent starts cannot
interfere.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.platform.layout import Layout, LogPushSettings, OtlpSettings, ProcessSettings, QueueSettings
from fnkit.platform.server.authority import make_authority
from fnkit.platform.server.broker_options import brings_nats, queue_settings
from fnkit.platform.server.home import is_private, make_home, socket_folder
from fnkit.platform.server.identity import Identity, make_identity
from fnkit.platform.server.lock import take_lock
from fnkit.platform.server.nats_server import NATS_HOST
from fnkit.platform.server.options import StartOptions
from fnkit.platform.server.ports import API_PORT, GATEWAY_PORT, NATS_PORT, TLS_PORT, HeldPorts
from fnkit.platform.server.running import RunFile, process_started, read_run_file, write_run_file

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True, slots=True)
class Prepared:
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

    layout: Layout
    identity: Identity
    run: RunFile
    lock: int
    ports: HeldPorts
    otlp: OtlpSettings | None = None
    log_push: LogPushSettings | None = None
    queues: QueueSettings = field(default_factory=QueueSettings)

    @property
    def settings(self) -> ProcessSettings:
        """The settings of control. The data plane gets the same without those of brokers."""
        folder = Path(self.run.socket_folder)
        return ProcessSettings(
            home=str(self.layout.home),
            host=self.run.host,
            api_port=self.run.api_port,
            gateway_port=self.run.gateway_port,
            tls_port=self.run.tls_port,
            control_socket=str(folder / "control.sock"),
            gateway_socket=str(folder / "gateway.sock"),
            delivery_socket=str(folder / "delivery.sock"),
            secret_key=self.identity.secret_key,
            access_key=self.identity.access_key,
            project_id=self.identity.project_id,
            organization_id=self.identity.organization_id,
            domain_suffix=self.run.domain_suffix,
            speed=self.run.speed,
            isolation=self.run.isolation,
            strict_runtimes=self.run.strict_runtimes,
            verify_domains=self.run.verify_domains,
            runtime_table=self.run.runtime_table,
            quotas=self.run.quotas,
            memory_budget_mb=self.run.scaling.memory_budget,
            cpu_limits=self.run.scaling.cpu_limits,
            scale_to_one_after=self.run.scaling.to_one_after,
            scale_to_zero_after=self.run.scaling.to_zero_after,
            otlp=self.otlp,
            log_push=self.log_push,
            queues=self.queues,
        )


def prepare(options: StartOptions) -> Prepared:
    """Lock the data directory and prepare what the processes need.

    Raises:
        TakenError: Another process is starting, running or resetting this platform.
        PlatformError: The directory, the credentials or a port cannot be used.
    """
    layout = Layout(Path(options.home))
    make_home(layout.home)
    lock = take_lock(layout.home)
    ports = HeldPorts()
    try:
        identity = make_identity(layout.identity)
        (layout.logs / "platform").mkdir(mode=0o700, parents=True, exist_ok=True)
        before = read_run_file(layout.run)
        if before is not None:
            _sweep(Path(before.socket_folder))
        run = _run_file(options, before, ports)
        if run.tls_port:
            make_authority(layout)
        queues = queue_settings(options, layout, run.nats_port)
        write_run_file(layout.run, run)
    except BaseException:
        ports.release()
        os.close(lock)
        raise
    return Prepared(layout, identity, run, lock, ports, options.otlp, options.log_push, queues)


def _run_file(options: StartOptions, before: RunFile | None, ports: HeldPorts) -> RunFile:
    usual_api = before.api_port if before is not None else API_PORT
    usual_gateway = before.gateway_port if before is not None else GATEWAY_PORT
    # A listener without a requested port must not take one that was requested for another listener.
    requested = frozenset(
        port
        for port in (options.api_port, options.gateway_port, options.tls_port, options.nats_port)
        if isinstance(port, int) and port
    )
    api = ports.choose(options.host, options.api_port, default=usual_api, excluded=requested, option="--api-port")
    gateway = ports.choose(
        options.host,
        options.gateway_port,
        default=usual_gateway,
        excluded=requested | {api},
        option="--gateway-port",
    )
    tls = 0 if options.tls_port == "none" else _tls_port(options, before, ports, requested | {api, gateway})
    nats = _nats_port(options, before, ports, requested | {api, gateway, tls}) if brings_nats(options) else 0
    return RunFile(
        pid=os.getpid(),
        started=process_started(os.getpid()) or "",
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
        log_push=options.log_push.url if options.log_push is not None else "",
        nats_port=nats,
        brokers=options.brokers,
        socket_folder=str(socket_folder(Path(options.home))),
    )


def _tls_port(options: StartOptions, before: RunFile | None, ports: HeldPorts, taken: frozenset[int]) -> int:
    wanted = options.tls_port
    if wanted is None and options.gateway_port == 0:
        # A start with any gateway port is probably one of several, which would compete for the default TLS port.
        wanted = 0
    usual = before.tls_port if before is not None and before.tls_port else TLS_PORT
    number = wanted if isinstance(wanted, int) else None
    return ports.choose(options.host, number, default=usual, excluded=taken, option="--tls-port")


def _nats_port(options: StartOptions, before: RunFile | None, ports: HeldPorts, taken: frozenset[int]) -> int:
    """Reserve the broker's port by the rules of the TLS port, but on loopback only."""
    wanted = options.nats_port
    if wanted is None and options.gateway_port == 0:
        wanted = 0
    usual = before.nats_port if before is not None and before.nats_port else NATS_PORT
    number = wanted if isinstance(wanted, int) else None
    return ports.choose(NATS_HOST, number, default=usual, excluded=taken, option="--nats-port")


def _sweep(folder: Path) -> None:
    """Remove the sockets of a platform that was killed. The lock is held, so that nothing uses them."""
    if folder.name.startswith("fnkit-") and is_private(folder):
        shutil.rmtree(folder, ignore_errors=True)
