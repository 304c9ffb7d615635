"""A platform with queue triggers, handlers that write down what they were called with, and brokers to talk to."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
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
from tests.support.control_process import API, ControlProcess, api_of, archive
from tests.support.noting_handlers import Call, Notes, taking_notes
from tests.support.platform import running_platform
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE, wait_until

__all__ = [
    "ACCOUNT",
    "REFUSES_BAD",
    "TAKES_ALL",
    "Broker",
    "Call",
    "QueuePlatform",
    "connected",
    "queue_platform",
    "running_broker",
    "sleeping",
]

ACCOUNT = "A" * 56

TAKES_ALL = "def answered(event):\n    return 'ok'\n"
REFUSES_BAD = (
    "def answered(event):\n"
    "    return {'statusCode': 500, 'body': 'no'} if event['body'].startswith('bad') else 'ok'\n"
)


def sleeping(seconds: float) -> str:
    """A handler that takes its time."""
    return f"def answered(event):\n    time.sleep({seconds})\n    return 'ok'\n"


@dataclass(frozen=True, slots=True)
class QueuePlatform:
    """A running platform whose handlers note what they are called with."""

    home: Path
    api: ControlProcess
    url: str
    notes: Notes

    def deploy(self, handler: str = TAKES_ALL, *, name: str = "taker", **settings: object) -> str:
        """Deploy a function that records its calls; returns its id."""
        function = self.undeployed(name=name, **settings)
        self.redeploy(function, handler)
        return function

    def undeployed(self, *, name: str = "taker", **settings: object) -> str:
        """Create a function without code."""
        namespace = self.api.namespace(f"{name}-{time.monotonic_ns()}")
        return str(self.api.function(namespace["id"], name, **settings)["id"])

    def advance(self, seconds: float) -> None:
        """Move a manual clock; returns when every task that became due has started."""
        self.api.request("POST", "/fnkit/v1/clock", {"advance": seconds}).ok()

    def redeploy(self, function: str, handler: str) -> None:
        """Give a function code, and wait until it serves."""
        source = self.notes.source(function, handler)
        self.api.deployed(function, archive({"handler.py": source}))

    def calls(self, function: str, what: str = "begin") -> list[Call]:
        """What a function's handler noted."""
        return self.notes.calls(function, what)

    def bodies(self, function: str) -> list[str]:
        """The messages that a handler answered."""
        return [call.body for call in self.calls(function, "end")]

    def wait_for(self, function: str, number: int) -> list[str]:
        """Wait until so many messages were answered."""
        wait_until(lambda: len(self.bodies(function)) >= number, DEADLINE, what=f"{number} messages")
        return self.bodies(function)

    def trigger(self, function: str, subject: str, **config: object) -> str:
        """Create a NATS trigger; returns its id once it is listened to."""
        trigger = self.unheard_trigger(function, subject, **config)
        wait_until(lambda: self.listens(trigger), DEADLINE, what=f"listening to {subject}")
        return trigger

    def unheard_trigger(self, function: str, subject: str, **config: object) -> str:
        """Create a NATS trigger that need not work."""
        settings = {"subject": subject, "mnq_nats_account_id": ACCOUNT, "mnq_region": "fr-par", **config}
        body = {"name": re.sub(r"[^a-z]", "-", subject), "function_id": function}
        made = self.api.request("POST", f"{API}/triggers", {**body, "scw_nats_config": settings}).ok()
        self.api.settled("triggers", made["id"])
        return str(made["id"])

    def listens(self, trigger: str) -> bool:
        """Whether the log says that a trigger is listened to."""
        lines = [line for line in self.log.splitlines() if trigger in line]
        return bool(lines) and "each message is delivered" in lines[-1]

    @property
    def log(self) -> str:
        """What control wrote."""
        return (self.home / "logs" / "platform" / "control.log").read_text(encoding="utf-8")

    def deliveries(self, trigger: str, **query: object) -> list[dict[str, object]]:
        """The delivery log."""
        path = f"/fnkit/v1/regions/fr-par/triggers/{trigger}/deliveries"
        found = self.api.request("GET", path, query=query).ok()["deliveries"]
        assert isinstance(found, list)
        return found

    def processes(self) -> dict[str, int]:
        """Pids by name, 0 where one does not run."""
        run = json.loads((self.home / "run.json").read_bytes())
        return {name: int(run[name]) for name in ("control", "data_plane", "nats")}

    def kill(self, name: str) -> None:
        """``kill -9`` one of the platform's processes."""
        pid = wait_until(lambda: self.processes()[name])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def is_whole_again(self, name: str, former: int) -> bool:
        """Whether a process that had this pid runs once more, and the platform is healthy."""
        with contextlib.suppress(OSError):
            return self.processes()[name] not in {0, former} and self.api.request("GET", "/healthz").status == 200
        return False


@contextmanager
def queue_platform(folder: Path, *options: str) -> Iterator[QueuePlatform]:
    """Start a platform whose clock runs 60 times as fast: attempts are half a second apart."""
    given = options if {"--clock-speed", "--manual-clock"} & set(options) else ("--clock-speed", "60", *options)
    with taking_notes() as notes, running_platform(folder / "home", *given) as platform:
        status = platform.command("platform", "status", "--json").ok().json()
        yield QueuePlatform(platform.home, api_of(platform), str(status["nats_url"]), notes)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[Client, JetStreamContext]]:
    """A client of a broker, and its JetStream."""

    async def on_error(_error: Exception) -> None:
        """A broker that a test killed."""

    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=1, error_cb=on_error)
    try:
        yield client, client.jetstream(timeout=DEADLINE)
    finally:
        await client.close()


class Broker:
    """A nats-server of the test's own, which can be killed and started again."""

    def __init__(self, folder: Path, *, password: str = "right") -> None:  # noqa: S107  nobody's
        self.port = free_port()
        self.folder = folder
        self.password = password
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    @property
    def url(self) -> str:
        """With credentials."""
        return f"nats://me:{self.password}@127.0.0.1:{self.port}"

    @property
    def entry(self) -> str:
        """The keys of its ``[[nats]]``."""
        return f'url = "nats://127.0.0.1:{self.port}"\nuser = "me"\npassword = "{self.password}"\n'

    def start(self) -> None:
        """Start it and wait until it listens."""
        file = self.folder / "nats.conf"
        file.write_text(nats_configuration(self.url, self.folder / "store"))
        program = find_nats_server()
        assert program is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", file], stdout=log, stderr=log)
        wait_until(self._listens, DEADLINE)

    def stop(self) -> None:
        """Let it write everything down and end."""
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

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """A nats-server of the test's own, ended whatever happens."""
    broker = Broker(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
