"""A platform with queue triggers and recording handlers, a NATS client, and a NATS broker outside the platform."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext

from fnkit.platform.supervisor.nats_server import find_nats_server, nats_configuration
from tests.support.control_process import API, ControlProcess, api_client, zip_archive
from tests.support.engine_under_test import InstanceOwner, engine_under_test
from tests.support.platform import running_platform
from tests.support.ports import free_port, is_listening
from tests.support.recording_handlers import CallRecorder, RecordedCall, call_recorder
from tests.support.waiting import DEADLINE, wait_until, wait_until_async

__all__ = [
    "ACCOUNT",
    "FAILS_BAD_MESSAGES",
    "SUCCEEDS",
    "NatsServer",
    "QueuePlatform",
    "RecordedCall",
    "connected_client",
    "queue_platform",
    "running_nats_server",
    "sleeping_handler",
    "wait_until_acknowledged",
]

ACCOUNT = "A" * 56

SUCCEEDS = "def respond(event):\n    return 'ok'\n"
FAILS_BAD_MESSAGES = (
    "def respond(event):\n"
    "    return {'statusCode': 500, 'body': 'no'} if event['body'].startswith('bad') else 'ok'\n"
)


def sleeping_handler(seconds: float) -> str:
    """Return the source of a handler that takes this many seconds."""
    return f"def respond(event):\n    time.sleep({seconds})\n    return 'ok'\n"


@dataclass(frozen=True, slots=True)
class QueuePlatform:
    """A running platform whose handlers record their calls."""

    home: Path
    api: ControlProcess
    url: str
    recorder: CallRecorder

    def deploy(self, handler: str = SUCCEEDS, *, name: str = "consumer", **settings: object) -> str:
        """Create and deploy a function that records its calls; return its id."""
        function = self.create_function(name=name, **settings)
        self.deploy_code(function, handler)
        return function

    def create_function(self, *, name: str = "consumer", **settings: object) -> str:
        """Create a function without code; return its id."""
        namespace = self.api.create_namespace(f"{name}-{time.monotonic_ns()}")
        return str(self.api.create_function(namespace["id"], name, **settings)["id"])

    def advance(self, seconds: float) -> None:
        """Advance a manual clock; return when every task that became due has started."""
        self.api.request("POST", "/fnkit/v1/clock", {"advance": seconds}).ok()

    def deploy_code(self, function: str, handler: str) -> None:
        """Deploy code to a function, and wait until its status is final."""
        source = self.recorder.handler_source(function, handler)
        self.api.deploy(function, zip_archive({"handler.py": source}))

    def calls(self, function: str, phase: str = "begin") -> list[RecordedCall]:
        """Return the recorded calls of a function."""
        return self.recorder.calls(function, phase)

    def handled_bodies(self, function: str) -> list[str]:
        """Return the messages that a handler has finished, in order."""
        return [call.body for call in self.calls(function, "end")]

    def wait_for_messages(self, function: str, number: int) -> list[str]:
        """Wait until a handler has finished at least ``number`` messages, and return them."""
        wait_until(
            lambda: len(self.handled_bodies(function)) >= number, DEADLINE, what=f"{number} handled messages"
        )
        return self.handled_bodies(function)

    def create_listening_trigger(self, function: str, subject: str, **config: object) -> str:
        """Create a NATS trigger, wait until it is listening, and return its id."""
        trigger = self.create_trigger(function, subject, **config)
        wait_until(lambda: self.is_listening(trigger), DEADLINE, what=f"the trigger listens to {subject}")
        return trigger

    def create_trigger(self, function: str, subject: str, **config: object) -> str:
        """Create a NATS trigger and return its id, without waiting for its connection."""
        settings = {"subject": subject, "mnq_nats_account_id": ACCOUNT, "mnq_region": "fr-par", **config}
        body = {"name": re.sub(r"[^a-z]", "-", subject), "function_id": function}
        made = self.api.request("POST", f"{API}/triggers", {**body, "scw_nats_config": settings}).ok()
        self.api.wait_until_settled("triggers", made["id"])
        return str(made["id"])

    def is_listening(self, trigger: str) -> bool:
        """Return whether the last log line about a trigger says that it is listening."""
        lines = [line for line in self.log.splitlines() if trigger in line]
        return bool(lines) and "each message is delivered" in lines[-1]

    def last_status(self, trigger: str) -> str:
        """Return the newest log line about a trigger, without its prefix."""
        lines = [line for line in self.log.splitlines() if trigger in line]
        return lines[-1].partition("): ")[2] if lines else ""

    @property
    def log(self) -> str:
        """The log of the control process."""
        return (self.home / "logs" / "platform" / "control.log").read_text(encoding="utf-8")

    def deliveries(self, trigger: str, **query: object) -> list[dict[str, object]]:
        """Return the delivery log of a trigger."""
        path = f"/fnkit/v1/regions/fr-par/triggers/{trigger}/deliveries"
        found = self.api.request("GET", path, query=query).ok()["deliveries"]
        assert isinstance(found, list)
        return found

    def processes(self) -> dict[str, int]:
        """Return pids by process name; 0 for a process that is not running."""
        run = json.loads((self.home / "run.json").read_bytes())
        return {name: int(run[name]) for name in ("control", "data_plane", "nats")}

    def instances(self) -> list[str]:
        """Return the names of all instances."""
        return engine_under_test().instances(self._instance_owner())

    def kill_instance(self, name: str) -> None:
        """Kill an instance, if it has not ended yet."""
        engine_under_test().kill_instance(self._instance_owner(), name)

    def _instance_owner(self) -> InstanceOwner:
        run = json.loads((self.home / "run.json").read_bytes())
        return InstanceOwner(int(run["data_plane"]), run["settings"]["kube_namespace"])

    def kill(self, name: str) -> None:
        """Send SIGKILL to one of the platform's processes."""
        pid = wait_until(lambda: self.processes()[name])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def has_recovered(self, name: str, former: int) -> bool:
        """Return whether a process has another pid than ``former`` and the platform is healthy."""
        with contextlib.suppress(OSError):
            return self.processes()[name] not in {0, former} and self.api.request("GET", "/healthz").status == 200
        return False


@contextmanager
def queue_platform(folder: Path, *options: str) -> Iterator[QueuePlatform]:
    """Run a platform, by default with a clock that is 60 times as fast: retries are 0.5 s apart."""
    given = options if {"--clock-speed", "--manual-clock"} & set(options) else ("--clock-speed", "60", *options)
    with call_recorder() as recorder, running_platform(folder / "home", *given) as platform:
        status = platform.command("platform", "status", "--json").ok().json()
        yield QueuePlatform(platform.home, api_client(platform), str(status["nats_url"]), recorder)


@asynccontextmanager
async def connected_client(url: str) -> AsyncIterator[tuple[Client, JetStreamContext]]:
    """Yield a client of a broker, and its JetStream context."""

    async def on_error(_error: Exception) -> None:
        """Ignore the errors of a broker that a test kills."""

    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=1, error_cb=on_error)
    try:
        yield client, client.jetstream(timeout=DEADLINE)
    finally:
        await client.close()


class NatsServer:
    """A nats-server outside the platform, which can be killed and restarted."""

    def __init__(self, folder: Path, *, password: str = "right") -> None:  # noqa: S107  a test's own
        self.port = free_port()
        self.folder = folder
        self.password = password
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    @property
    def url(self) -> str:
        """The URL with credentials."""
        return f"nats://me:{self.password}@127.0.0.1:{self.port}"

    @property
    def config_entry(self) -> str:
        """The keys of its ``[[nats]]`` section of ``brokers.toml``."""
        return f'url = "nats://127.0.0.1:{self.port}"\nuser = "me"\npassword = "{self.password}"\n'

    def start(self) -> None:
        """Start the server and wait until it listens."""
        file = self.folder / "nats.conf"
        file.write_text(nats_configuration(self.url, self.folder / "store"))
        program = find_nats_server()
        assert program is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", file], stdout=log, stderr=log)
        wait_until(lambda: is_listening("127.0.0.1", self.port), DEADLINE)

    def stop(self) -> None:
        """Stop the server gracefully."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(DEADLINE)
        self._process = None

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_nats_server(folder: Path) -> Iterator[NatsServer]:
    """Run a nats-server outside the platform."""
    server = NatsServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def wait_until_acknowledged(stream: JetStreamContext, name: str, trigger: str) -> None:
    """Wait until all messages of a stream are acknowledged."""

    async def is_drained() -> bool:
        info = await stream.consumer_info(name, f"fnkit-{trigger}")
        return (info.num_pending, info.num_ack_pending) == (0, 0)

    await wait_until_async(is_drained, what=f"the consumer of {name} is drained")
