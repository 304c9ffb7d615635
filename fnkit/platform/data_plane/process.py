"""The data-plane process: the gateway and the engine, configured by control.

It reads ``ProcessSettings`` as JSON from standard input, and keeps serving its last routes while control is away.
On SIGTERM it drains for up to ten seconds. All instances end with it. It imports neither control nor the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.data_plane.control_client import ControlClient
from fnkit.platform.data_plane.engines import PreparedEngine, prepare_engine
from fnkit.platform.data_plane.gateway.auth import Authorizer
from fnkit.platform.data_plane.gateway.gateway import Gateway
from fnkit.platform.data_plane.gateway.listeners import TlsListener, open_listeners
from fnkit.platform.data_plane.gateway.proxy import ConnectProxy
from fnkit.platform.data_plane.gateway.response_log import ResponseLog
from fnkit.platform.data_plane.gateway.router import Router
from fnkit.platform.data_plane.gateway.tls import CertificateStore
from fnkit.platform.data_plane.gateway.tracing import Tracer
from fnkit.platform.data_plane.interface import DeployResult, Engine
from fnkit.platform.directory_tree import remove_tree
from fnkit.platform.listening_sockets import inherit, listen
from fnkit.platform.model import routing
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.process_log import standard_error_handler
from fnkit.platform.model.routing import Route
from fnkit.platform.model.settings import DataLayout, OtlpSettings, ProcessSettings
from fnkit.platform.model.start_error import START_ERROR_FILE, encode_start_error

if TYPE_CHECKING:
    from fnkit.platform.data_plane.gateway.otlp import RequestSpanExporter

_RUNTIME_DIR_PREFIX: Final = "instances-"
_DRAIN_TIMEOUT: Final = 9.5  # of the supervisor's ten: the rest is for the error responses of unfinished requests
_HEALTH_POLL_INTERVAL: Final = 0.05
_SPAN_FLUSH_TIMEOUT: Final = 3.0
_WILDCARD_HOSTS: Final = ("0.0.0.0", "::", "")  # noqa: S104  (compared, not bound)
_log = logging.getLogger(__name__)


class DataPlane:
    """Connects the client of control, the engine and the gateway.

    Args:
        settings: Settings of the process.
        clock: The virtual clock, which it sets.
        prepared: What creates the engine.
    """

    def __init__(self, settings: ProcessSettings, clock: SyncedClock, prepared: PreparedEngine) -> None:
        self._settings = settings
        self._isolation = prepared.isolation
        self._can_replace_files = prepared.can_replace_files
        self._clock = clock
        self._drain_seconds = _DRAIN_TIMEOUT - prepared.closing_seconds
        self._engine: Engine = prepared.create(self._on_instance_exit)
        self._router = Router((settings.host,))
        self._authorizer = Authorizer(settings.secret_key, self._clock.now)
        self._gateway = Gateway(self._engine, self._router, self._authorizer)
        if settings.log_responses:
            self._gateway.response_log = ResponseLog(self._engine.log_response)
        self._control_client = ControlClient(settings.control_socket, self._handshake, self._apply)
        self._span_exporter = (
            _create_span_exporter(settings.otlp, self._gateway) if settings.otlp is not None else None
        )
        self._health_task: asyncio.Task[None] | None = None
        # Host names that changed after a function's last route was sent, for a deployment that is still starting.
        self._changed_hosts: dict[str, tuple[str, ...]] = {}

    async def run(self, public: list[socket.socket], tls: list[socket.socket], stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then drain.

        The connection to control stays open while draining, so that it gets the reports of that time.

        Args:
            public: Listening sockets for plain HTTP.
            tls: Listening sockets for HTTPS.
            stop: Set to stop.

        Raises:
            OSError: A private socket cannot be opened.
        """
        settings = self._settings
        sockets = (Path(settings.gateway_socket), Path(settings.delivery_socket))
        listeners = await open_listeners(self._gateway, public, *sockets)
        certificates = self._create_certificate_store() if settings.tls_port else None
        self._gateway.tls_port = settings.tls_port
        self._gateway.connect_proxy = ConnectProxy(self._router, settings.gateway_port, certificates)
        if certificates is not None:
            listeners += [TlsListener(self._gateway, certificates, one) for one in tls]
        link = asyncio.create_task(self._control_client.run())
        await stop.wait()
        for listener in listeners:
            listener.close()
        self._gateway.stop_serving()
        await self._engine.drain(self._drain_seconds)
        link.cancel()
        if self._health_task is not None:
            self._health_task.cancel()
        self._gateway.close()
        if self._span_exporter is not None:
            await asyncio.to_thread(self._span_exporter.close, _SPAN_FLUSH_TIMEOUT)
        self._engine.close()
        await self._engine.wait_closed()
        for path in sockets:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108  (one call, after everything else)

    def _create_certificate_store(self) -> CertificateStore:
        settings = self._settings
        names = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
        return CertificateStore(
            DataLayout(Path(settings.data_dir)).ca_file,
            Path(settings.gateway_socket).parent,
            gateway_names=names if settings.host in _WILDCARD_HOSTS else [*names, settings.host],
            is_routed=self._router.find_by_host,
        )

    def _handshake(self) -> routing.Handshake:
        return routing.Handshake(
            secret=self._settings.link_secret,
            pid=os.getpid(),
            gateway_port=self._settings.gateway_port,
            isolation=self._isolation,
            can_replace_files=self._can_replace_files,
        )

    # Messages of control

    def _apply(self, message: routing.ControlMessage) -> None:
        match message:
            case routing.Snapshot():
                self._apply_snapshot(message)
            case routing.UpsertRoute():
                self._changed_hosts.pop(message.route.function_id, None)
                self._deploy(message.route)
            case routing.PrestartInterpreter():
                self._engine.prestart_interpreter(message.language, message.interpreter, message.memory)
            case routing.RemoveFunction():
                self._remove_function(message.function_id)
            case routing.HostsChanged():
                # Also those of its deployment that is still starting.
                self._changed_hosts[message.function_id] = message.hosts
                self._router.set_hosts(message.function_id, message.hosts)
            case routing.CredentialsChanged():
                self._apply_credentials(message)
            case routing.ClockChanged():
                self._clock.set(message.clock)
                self._engine.sweep()  # stops instances whose idle time has passed by the new time
            case _:
                assert_never(message)

    def _apply_snapshot(self, snapshot: routing.Snapshot) -> None:
        """Serve exactly these routes. Instances of unchanged deployments keep running.

        A function that is unknown here gets its route before an instance runs: requests start the first instance.
        Any other function is deployed as by an upsert, so that its old deployment serves until the new one runs.
        """
        self._clock.set(snapshot.clock)
        self._authorizer.replace_credentials(snapshot.credentials)
        self._changed_hosts.clear()
        named = {route.function_id for route in snapshot.routes}
        for function_id in self._engine.function_ids - named:
            self._remove_function(function_id)
        for route in snapshot.routes:
            if self._engine.route(route.function_id) is None:
                self._put_route(route)
                self._engine.resume(route)
            else:
                self._deploy(route)
        self._engine.discard_leftovers()
        self._engine.prestart(snapshot.routes)
        self._gateway.has_snapshot = True
        self._engine.sweep()
        if self._health_task is not None:
            self._health_task.cancel()
        self._health_task = asyncio.get_running_loop().create_task(self._wait_until_healthy(snapshot.version))

    def _apply_credentials(self, changed: routing.CredentialsChanged) -> None:
        """Update the accepted credentials."""
        if changed.public_key is not None:
            self._authorizer.set_public_key(changed.public_key)
        if changed.keys is not None:
            self._authorizer.replace_keys(changed.keys)
        self._authorizer.update_tokens(changed.issued, changed.revoked)

    def _deploy(self, route: Route) -> None:
        """Start a deployment. ``DeploymentStarted`` or ``DeploymentFailed`` is reported later."""
        if self._engine.pending_route(route.function_id) != route:
            self._engine.deploy(route, self._on_deployed)

    def _on_deployed(self, result: DeployResult) -> None:
        route = result.route
        if result.failure is None:
            self._put_route(route)
            if (hosts := self._changed_hosts.get(route.function_id)) is not None:
                self._router.set_hosts(route.function_id, hosts)
            self._control_client.report(
                routing.DeploymentStarted(
                    function_id=route.function_id,
                    generation=route.generation,
                    import_error=result.import_error,
                )
            )
            return
        self._control_client.report(
            routing.DeploymentFailed(
                function_id=route.function_id, generation=route.generation, message=result.failure
            )
        )

    def _put_route(self, route: Route) -> None:
        if route.http_option == "redirected" and not self._settings.tls_port:
            _log.warning("%s redirects HTTP to HTTPS, but TLS is off: plain HTTP requests are served", route.name)
        self._router.put(route)

    def _remove_function(self, function_id: str) -> None:
        self._changed_hosts.pop(function_id, None)
        self._router.remove(function_id)
        self._engine.remove(function_id)

    def _on_instance_exit(self, route: Route, reason: str) -> None:
        self._control_client.report(
            routing.InstanceExited(function_id=route.function_id, generation=route.generation, reason=reason)
        )

    async def _wait_until_healthy(self, version: int) -> None:
        """Report ``DataPlaneHealthy`` once every function has its ``min_scale`` instances."""
        while not self._engine.min_scale_reached:  # noqa: ASYNC110  (some pools make it true together)
            await asyncio.sleep(_HEALTH_POLL_INTERVAL)
        self._gateway.is_healthy = True
        self._control_client.report(routing.DataPlaneHealthy(version=version))


def _create_span_exporter(settings: OtlpSettings, gateway: Gateway) -> RequestSpanExporter:
    """Start the export of traces. Its dependencies are imported only if it is enabled."""
    from fnkit.platform.data_plane.gateway.otlp import RequestSpanExporter

    exporter = RequestSpanExporter(settings)
    gateway.tracer = Tracer(exporter.enqueue)
    gateway.metrics.span_counts = lambda: exporter.counts
    return exporter


def _remove_stale_dirs(parent: Path) -> None:
    """Remove the directories of data planes that were killed."""
    for folder in parent.glob(f"{_RUNTIME_DIR_PREFIX}*"):
        pid = folder.name.removeprefix(_RUNTIME_DIR_PREFIX).partition("-")[0]
        if pid.isdigit():
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                remove_tree(folder)
            except PermissionError:
                continue  # the pid now belongs to a process of another user


async def _serve(settings: ProcessSettings) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    base = Path(settings.gateway_socket).parent
    _remove_stale_dirs(base)
    # Before the first zygote is started, which must not inherit them.
    public = inherit(settings.listening.gateway) or listen(settings.host, settings.gateway_port)
    tls = inherit(settings.listening.tls) or (listen(settings.host, settings.tls_port) if settings.tls_port else [])
    prefix = f"{_RUNTIME_DIR_PREFIX}{os.getpid()}-"
    folder = tempfile.mkdtemp(dir=base, prefix=prefix)
    try:
        clock = SyncedClock()
        prepared = await prepare_engine(settings, Path(folder), clock)
        await DataPlane(settings, clock, prepared).run(public, tls, stop)
    finally:
        remove_tree(folder)


def main() -> int:
    """Run the process and return its exit code."""
    logging.basicConfig(level=logging.INFO, handlers=[standard_error_handler()])
    try:
        settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
    except msgspec.MsgspecError:
        _log.error("cannot read the settings: standard input must hold them as JSON")
        return 2
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    try:
        run(_serve(settings))
    except PlatformError as error:
        _log.error("%s%s", error, f" {error.hint}" if error.hint else "")
        with contextlib.suppress(OSError):  # the log has it
            (Path(settings.gateway_socket).parent / START_ERROR_FILE).write_bytes(encode_start_error(error))
        return 1
    except OSError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
