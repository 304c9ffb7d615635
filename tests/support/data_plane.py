"""A real data-plane process and a fake control process that drives it over the control socket."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.model import routing
from fnkit.platform.model.log_record import REQUESTS_DIRECTORY, LogRecord
from fnkit.platform.model.routing import ClockState, LocalProgram, Route
from fnkit.platform.model.settings import ProcessSettings
from tests.support.engine_under_test import EngineUnderTest, InstanceOwner, engine_under_test
from tests.support.http_response import HttpResponse
from tests.support.ports import free_port
from tests.support.routes import make_route
from tests.support.waiting import DEADLINE, wait_until

SECRET_KEY = "11111111-2222-4333-8444-555555555555"
_ZYGOTE_OPTIONS = b"\0-I\0-S\0-\0"


class FakeControl:
    """Control's side of the control socket: sends the messages that a test chooses, and records those it receives.

    Attributes:
        received: All messages from data planes, in order.
        connections: How many connections were accepted.
        version: The version of the last message.
        initial_snapshot: Returns the snapshot that each new connection gets.
    """

    def __init__(self, path: Path) -> None:
        self.received: list[routing.DataPlaneMessage] = []
        self.connections = 0
        self.version = 0
        self.initial_snapshot: Callable[[], routing.Snapshot] | None = None
        self._path = path
        self._condition = threading.Condition()
        self._peer: socket.socket | None = None
        self._listener: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with self._condition:
                self._peer = peer
                self.connections += 1
                self._condition.notify_all()
            if self.initial_snapshot is not None:
                with contextlib.suppress(OSError):  # the data plane may have been killed since it connected
                    peer.sendall(routing.encode_frame(self.initial_snapshot()))
            self._read(peer)

    def _read(self, peer: socket.socket) -> None:
        stream, size = peer.makefile("rb"), 0
        while True:
            try:
                head = stream.read(4)
                size = int.from_bytes(head, "big")
                payload = stream.read(size) if len(head) == 4 else b""
            except OSError:
                payload = b""
            if not payload or len(payload) < size:  # closed, or killed while it wrote a message
                stream.close()
                peer.close()
                return
            with self._condition:
                self.received.append(routing.decode_data_plane_message(payload))
                self._condition.notify_all()

    def send(self, message: routing.ControlMessage) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: self._peer is not None, DEADLINE)
            peer = self._peer
        assert peer is not None
        peer.sendall(routing.encode_frame(message))

    def wait(self, predicate: Callable[[routing.DataPlaneMessage], bool]) -> routing.DataPlaneMessage:
        """Wait for a message that the predicate holds for, and return the first one."""

        def found() -> routing.DataPlaneMessage | None:
            return next((message for message in self.received if predicate(message)), None)

        with self._condition:
            message = self._condition.wait_for(found, DEADLINE)
        assert message is not None, f"no such message in {self.received}"
        return message

    def next_version(self) -> int:
        self.version += 1
        return self.version

    def send_and_wait_for_ack(self, message: routing.ControlMessage) -> None:
        self.send(message)
        self.wait(lambda reply: isinstance(reply, routing.Ack) and reply.version == message.version)

    def disconnect(self) -> None:
        for end in (self._listener, self._peer):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._peer = None


@dataclass
class DataPlaneProcess:
    """A running data plane: deployments through its control socket, and requests to its listeners."""

    folder: Path
    port: int
    control: FakeControl
    process: subprocess.Popen[bytes]
    settings: ProcessSettings
    interpreter: str
    engine: EngineUnderTest
    owner: int = 0
    generations: dict[str, int] = field(default_factory=dict)

    # Deploying

    def route(self, name: str, code: Path, **changes: object) -> Route:
        generation = self.generations[name] = self.generations.get(name, 0) + 1
        program = self.engine.program(code, self.interpreter)
        if of_program := {
            field: changes.pop(field) for field in LocalProgram.__struct_fields__ if field in changes
        }:
            self.engine.require_local(f"its program is given: {', '.join(of_program)}")
            program = msgspec.structs.replace(program, **of_program)
        fixed = {
            "function_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
            "generation": generation,
            "program": program,
        }
        return make_route(name, **{**fixed, **changes})

    def write_code(self, name: str, files: Mapping[str, str | bytes], uid: int = 0) -> Path:
        """Write the code of a function, as the user ``uid`` if that is not 0."""
        folder = self.folder / "deployments" / f"{name}-{uuid.uuid4().hex[:8]}"
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        for entry in [folder, *folder.rglob("*")]:
            entry.chmod(0o755)
            if owner := uid or self.owner:
                os.chown(entry, owner, owner)
        return folder

    def send_deploy(self, name: str, source: str | Mapping[str, str | bytes], **changes: object) -> Route:
        files: Mapping[str, str | bytes] = {"handler.py": source} if isinstance(source, str) else source
        uid = changes.get("uid", 0)
        assert isinstance(uid, int)
        return self._send_route(name, self.write_code(name, files, uid), **changes)

    def _send_route(self, name: str, code: Path, **changes: object) -> Route:
        route = self.route(name, code, **changes)
        self.control.send(routing.UpsertRoute(version=self.control.next_version(), route=route))
        return route

    def deploy(self, name: str, source: str | Mapping[str, str | bytes], **changes: object) -> Route:
        return self._wait_until_started(self.send_deploy(name, source, **changes))

    def deploy_directory(self, name: str, code: Path, **changes: object) -> Route:
        """Deploy code that lies in the directory of deployments."""
        return self._wait_until_started(self._send_route(name, code, **changes))

    def _wait_until_started(self, route: Route) -> Route:
        result = self.control.wait(lambda message: _is_deployment_result(message, route))
        assert isinstance(result, routing.DeploymentStarted), result
        return route

    def exit_reasons(self, function_id: str) -> list[str]:
        """Return why instances of a function ended, in order."""
        messages = self.control.received
        return [
            m.reason for m in messages if isinstance(m, routing.InstanceExited) and m.function_id == function_id
        ]

    # Calling

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def call(
        self,
        name: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        host: str | None = None,
    ) -> HttpResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, {"Host": host or f"{name}.test", **(headers or {})})
            response = connection.getresponse()
            return HttpResponse(response.status, response.headers, response.read())
        finally:
            connection.close()

    def send_raw(self, data: bytes) -> bytes:
        """Send bytes and return everything that is received until the connection is closed."""
        with self.connect() as peer:
            peer.sendall(data)
            parts = []
            while part := peer.recv(65536):
                parts.append(part)
            return b"".join(parts)

    def call_private_listener(self, host: str, path: str = "/", method: str = "GET") -> HttpResponse:
        connection = http.client.HTTPConnection("localhost", timeout=DEADLINE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(DEADLINE)
        connection.sock.connect(self.settings.gateway_socket)
        try:
            connection.request(method, path, headers={"Host": host})
            response = connection.getresponse()
            return HttpResponse(response.status, response.headers, response.read())
        finally:
            connection.close()

    # State

    def log_lines(self, route: Route) -> list[LogRecord]:
        """Return the output of a function."""
        return self._read_log(self.folder / "logs" / route.function_id)

    def request_lines(self, route: Route) -> list[LogRecord]:
        """Return the lines about the requests of a function, which are written some time after their requests."""
        return self._read_log(self.folder / "logs" / route.function_id / REQUESTS_DIRECTORY)

    @staticmethod
    def _read_log(folder: Path) -> list[LogRecord]:
        return [
            msgspec.json.decode(line, type=LogRecord)
            for path in sorted(folder.glob("*.jsonl"))
            for line in path.read_bytes().split(b"\n")[:-1]  # the last one may be incomplete
        ]

    def instances(self) -> list[int]:
        """Return the pids of all instances, the pre-warmed ones included."""
        self.engine.require_local("instances are processes")
        return [pid for zygote in self.zygotes() for pid in children(zygote)]

    def instances_of(self, function: str) -> list[str]:
        """Return the names of the instances of a function; the local ones need a namespace of their own."""
        return self.engine.instances(self._owner, function)

    def kill_instance(self, name: str) -> None:
        """Kill an instance, and wait until it is gone."""
        self.engine.kill_instance(self._owner, name)
        wait_until(lambda: name not in self.engine.instances(self._owner), what=f"the end of {name}")

    @property
    def _owner(self) -> InstanceOwner:
        return InstanceOwner(self.process.pid, self.settings.kube_namespace)

    def zygotes(self) -> list[int]:
        self.engine.require_local("zygotes are processes")
        found = []
        for pid in children(self.process.pid):
            below = children(pid)
            with contextlib.suppress(OSError):  # a process may exit meanwhile
                # Not other programs: while one is being executed, the data plane waits for it, and would wait
                # forever for one that a test stops.
                if _ZYGOTE_OPTIONS not in Path(f"/proc/{pid}/cmdline").read_bytes():
                    continue
                namespaced = below and pid_namespace(below[0]) != pid_namespace(pid)
                found.append(below[0] if namespaced and len(below) == 1 else pid)
        return found

    # Stopping

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE)
        finally:
            self.control.disconnect()


def _is_deployment_result(message: routing.DataPlaneMessage, route: Route) -> bool:
    return (
        isinstance(message, routing.DeploymentStarted | routing.DeploymentFailed)
        and message.function_id == route.function_id
        and message.generation == route.generation
    )


def pid_namespace(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/pid").readlink()


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


PYTHONPATH = os.pathsep.join(path for path in sys.path if path)


@cache
def interpreter_for(user: int) -> str:
    """Return a Python of this minor version that the user can run with fnkit's packages, or skip the test.

    The developer's interpreter, or the clone itself, is often in a directory that other users cannot read.
    """
    candidates = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")
    for candidate in candidates:
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [candidate, "-c", "import msgspec, fnkit"],
                env={"PYTHONPATH": PYTHONPATH},
                cwd="/",
                user=user,
                group=user,
                extra_groups=[],
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:
                return candidate
    pytest.skip(f"user {user} can run no Python 3.{sys.version_info.minor} with fnkit's packages here")


@contextlib.contextmanager
def running_data_plane(
    *, isolation: str = "auto", speed: float = 0.0, user: int = 0, send_snapshot: bool = True, **settings: object
) -> Iterator[DataPlaneProcess]:
    """Run a data plane in a new directory, as another user if ``user`` is given.

    Args:
        isolation: The isolation level.
        speed: The speed of the platform's clock; 0 is a manual clock.
        user: A user id, or 0 for the current user.
        send_snapshot: Whether the data plane gets an empty snapshot, and the call waits until it is healthy.
        settings: Further fields of ``ProcessSettings``.
    """
    if user and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    engine = engine_under_test()
    if user or isolation != "auto" or "memory_budget_mb" in settings:
        engine.require_local("a user, an isolation level or a memory budget is given")
    with engine.data_plane_settings() as engine_settings:
        folder = Path(tempfile.mkdtemp(prefix="fnkit-dp-"))
        control = FakeControl(folder / "control.sock")
        if send_snapshot:
            control.initial_snapshot = lambda: routing.Snapshot(
                version=control.next_version(),
                clock=ClockState(platform_time=time.time(), real_time=time.time(), speed=speed),
                routes=(),
            )
        process_settings = _process_settings(folder, speed, isolation, {**engine_settings, **settings})
        plane = _start_process(folder, control, process_settings, engine, user)
        try:
            if send_snapshot:
                try:
                    control.wait(lambda message: isinstance(message, routing.DataPlaneHealthy))
                except AssertionError:
                    raise AssertionError((folder / "stderr.log").read_text()) from None
            yield plane
        finally:
            plane.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _process_settings(
    folder: Path, speed: float, isolation: str, settings: Mapping[str, object]
) -> ProcessSettings:
    return ProcessSettings(
        data_dir=str(folder),
        host="127.0.0.1",
        api_port=1,
        gateway_port=free_port(),
        control_socket=str(folder / "control.sock"),
        gateway_socket=str(folder / "gateway.sock"),
        delivery_socket=str(folder / "delivery.sock"),
        secret_key=SECRET_KEY,
        access_key="SCWXXXXXXXXXXXXXXXXX",
        project_id="p",
        organization_id="o",
        domain_suffix="localhost",
        speed=speed,
        isolation=isolation,
        **settings,  # type: ignore[arg-type]  # a test names fields of ProcessSettings
    )


def _start_process(
    folder: Path, control: FakeControl, settings: ProcessSettings, engine: EngineUnderTest, user: int
) -> DataPlaneProcess:
    interpreter = interpreter_for(user) if user else sys.executable
    environment = {"PATH": os.environ["PATH"]}
    if user:
        environment["PYTHONPATH"] = PYTHONPATH
        for path in (folder, folder / "control.sock"):
            os.chown(path, user, user)
    with (folder / "stderr.log").open("wb") as errors:
        process = subprocess.Popen(
            [interpreter, "-m", "fnkit.platform.data_plane.process"],
            stdin=subprocess.PIPE,
            stderr=errors,
            env=environment,
            cwd="/",
            user=user or None,
            group=user or None,
            extra_groups=[] if user else None,
        )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(settings))
    process.stdin.close()
    return DataPlaneProcess(folder, settings.gateway_port, control, process, settings, interpreter, engine, user)
