"""A read of a resource in a transient status is answered when the status is final, or after a second."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from fnkit.contract.enums import Status
from fnkit.contract.platform import CreateApiKey
from fnkit.platform.control.api.app import create_application
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.held_reads import HeldReads
from fnkit.platform.control.process import serve
from fnkit.platform.control.resources.kinds import KINDS
from fnkit.platform.model.records import DomainRecord, ResourceRecord, TokenRecord, transition
from tests.support.control_process import API, SECRET_KEY, ControlProcess, control_settings, zip_archive
from tests.support.stored_records import cron_record, function_record, namespace_record, nats_trigger_record
from tests.support.waiting import DEADLINE, wait_until_async

OTHER_PROJECT = "33333333-3333-3333-3333-333333333333"
RECORDS: dict[str, ResourceRecord] = {
    "namespaces": namespace_record("other"),
    "functions": function_record("f-2", name="other", status=Status.PENDING),
    "crons": cron_record("c"),
    "domains": DomainRecord(
        id="d", region="fr-par", project_id="p", function_id="f-1", hostname="a.example.com", created_at=0
    ),
    "tokens": TokenRecord(
        id="k", region="fr-par", project_id="p", function_id="f-1", namespace_id=None, created_at=0
    ),
    "triggers": transition(nats_trigger_record(), Status.PENDING),
}
"""A resource of each kind, in a transient status that no task of the control plane changes."""


@pytest.fixture(autouse=True)
def long_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold reads so long that the test fails if one is not answered earlier."""
    monkeypatch.setattr(HeldReads, "max_seconds", 10 * DEADLINE)


@dataclass
class Client:
    """Sends reads to the API's application in this process."""

    plane: ControlPlane
    app: Starlette
    key: str = SECRET_KEY
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and body of the response."""
        messages = [{"type": "http.request", "body": b"", "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not messages:
                await self.disconnected.wait()
                return {"type": "http.disconnect"}
            return messages.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": f"{API}/{path}",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"x-auth-token", self.key.encode())],
        }
        async with asyncio.timeout(DEADLINE):
            await self.app(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    @asynccontextmanager
    async def held(self, path: str) -> AsyncIterator[asyncio.Task[tuple[int, dict[str, Any]]]]:
        """Start a read and wait until it is held."""
        before = len(self.plane.context.held_reads)
        reading = asyncio.ensure_future(self.get(path))
        await wait_until_async(lambda: len(self.plane.context.held_reads) == before + 1)
        yield reading
        await reading


def with_client(folder: Path, test: Callable[[Client], Awaitable[None]]) -> None:
    """Run a test with a control plane that has ``RECORDS``, and after it, no held read."""

    async def run() -> None:
        plane = ControlPlane(control_settings(folder))
        await plane.open()
        store = plane.context.store
        with store.transaction():
            store.namespaces.insert(namespace_record("n", status=Status.READY))
            store.functions.insert(function_record("f-1", status=Status.READY))
            for kind, record in RECORDS.items():
                KINDS[kind].collection(store).insert(record)
        try:
            await test(Client(plane, create_application(plane)))
            assert len(plane.context.held_reads) == 0
        finally:
            await plane.close()

    asyncio.run(run())


@pytest.mark.parametrize("kind", RECORDS)
def test_read_is_held_until_the_status_is_final(tmp_path: Path, kind: str) -> None:
    async def test(client: Client) -> None:
        store, record = client.plane.context.store, RECORDS[kind]
        records = KINDS[kind].collection(store)
        async with client.held(f"{kind}/{record.id}") as reading:
            _, listed = await client.get(kind)
            with store.transaction():
                records.update(transition(record, Status.READY))
        settled = await client.get(f"{kind}/{record.id}")

        assert record.status.value in [one["status"] for one in listed[kind]], "a list does not wait"
        assert (await reading)[0] == 200
        assert (await reading)[1]["status"] == "ready"
        assert settled == await reading, "nor does a read of a final status"

    with_client(tmp_path, test)


def test_read_of_a_resource_that_is_deleted_meanwhile_is_not_found(tmp_path: Path) -> None:
    async def test(client: Client) -> None:
        crons = client.plane.context.store.crons
        async with client.held("crons/c") as reading:
            crons.update(transition(cron_record("c"), Status.DELETING))
            await asyncio.sleep(0)
            crons.delete("c")

        assert await reading == (404, {"message": "Cron was not found"})

    with_client(tmp_path, test)


def test_read_is_answered_with_the_current_status_after_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(client: Client) -> None:
        status, document = await client.get("crons/c")
        assert (status, document["status"]) == (200, "pending")

    monkeypatch.setattr(HeldReads, "max_seconds", 0.01)
    with_client(tmp_path, test)


def test_read_of_a_client_that_disconnects_is_not_held(tmp_path: Path) -> None:
    async def test(client: Client) -> None:
        async with client.held("crons/c") as reading:
            client.disconnected.set()

        assert (await reading)[1]["status"] == "pending"

    with_client(tmp_path, test)


def test_read_of_a_key_without_access_is_not_held(tmp_path: Path) -> None:
    async def test(client: Client) -> None:
        key = await client.plane.api_keys.create(CreateApiKey(project_id=OTHER_PROJECT))
        client.key = str(key.secret_key)

        assert (await client.get("crons/c"))[0] == 404

    with_client(tmp_path, test)


def test_held_reads_are_released_together(tmp_path: Path) -> None:
    async def test(client: Client) -> None:
        async with client.held("crons/c"), client.held("functions/f-2"):
            reads = [asyncio.ensure_future(client.get("crons/c")) for _ in range(300)]
            await asyncio.sleep(0)
            client.plane.context.held_reads.release()
            answers = await asyncio.gather(*reads)

        assert {document["status"] for _, document in answers} == {"pending"}
        assert (await client.get("crons/c"))[1]["status"] == "pending", "none is held afterwards"

    with_client(tmp_path, test)


def test_change_to_another_transient_status_keeps_the_read_held() -> None:
    async def test() -> None:
        held_reads, statuses, asked = HeldReads(), ["pending"], []

        def is_transient() -> bool:
            asked.append(statuses[-1])
            return statuses[-1] != "ready"

        async with asyncio.timeout(DEADLINE):
            holding = asyncio.ensure_future(held_reads.hold("r", is_transient))
            for status in ("deleting", "ready"):
                await wait_until_async(lambda: asked == statuses)
                assert not holding.done()
                statuses.append(status)
                held_reads.on_change("other")
                held_reads.on_change("r")
            await holding

        assert asked == ["pending", "deleting", "ready"]
        assert len(held_reads) == 0

    asyncio.run(test())


def test_graceful_stop_answers_held_reads(tmp_path: Path) -> None:
    """Without a data plane, a deployment stays pending."""
    settings = control_settings(tmp_path)
    listener = socket.create_server(("127.0.0.1", settings.api_port))
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    serving = threading.Thread(target=loop.run_until_complete, args=(serve(settings, [listener], stop),))
    serving.start()
    try:
        control = ControlProcess(settings)
        function = control.create_function(control.create_namespace()["id"])
        control.upload(function["id"], zip_archive())
        control.request("POST", f"{API}/functions/{function['id']}/deploy", {}).ok()
        with socket.create_connection(("127.0.0.1", settings.api_port), timeout=DEADLINE) as client:
            head = f"GET {API}/functions/{function['id']} HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {SECRET_KEY}\r\n\r\n"
            client.sendall(head.encode())
            # Connections are accepted in order, so the read has begun once later requests are answered.
            for _ in range(3):
                assert control.request("GET", f"{API}/functions").status == 200
            loop.call_soon_threadsafe(stop.set)
            received = client.makefile("rb").read()
    finally:
        loop.call_soon_threadsafe(stop.set)
        serving.join(DEADLINE)
        loop.close()
        listener.close()

    assert received.startswith(b"HTTP/1.1 200 ")
    assert b'"status":"pending"' in received
