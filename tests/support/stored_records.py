"""Records of the store, and functions and crons in a store, for tests that need no API."""

from __future__ import annotations

import msgspec

from fnkit.contract.enums import Status
from fnkit.platform.control.store.blobs import BlobStore
from fnkit.platform.control.store.database import Store
from fnkit.platform.model.records import (
    CronRecord,
    Deployment,
    FunctionRecord,
    FunctionSettings,
    NamespaceRecord,
    NatsSource,
    TriggerRecord,
)

__all__ = [
    "cron_record",
    "function_record",
    "insert_functions",
    "namespace_record",
    "nats_source",
    "nats_trigger_record",
    "store_cron",
    "store_function",
]

_SECOND = 10**9


def namespace_record(namespace_id: str = "n", **changes: object) -> NamespaceRecord:
    """Return a pending namespace."""
    record = NamespaceRecord(
        id=namespace_id,
        region="fr-par",
        name=namespace_id,
        project_id="p",
        organization_id="o",
        label="n",
        created_at=0,
        updated_at=0,
    )
    return msgspec.structs.replace(record, **changes)


def function_record(function_id: str = "f-1", *, max_scale: int = 5, **changes: object) -> FunctionRecord:
    """Return a function in the namespace ``n``, not deployed."""
    settings = FunctionSettings(
        runtime="python311",
        handler="handler.handle",
        memory=256,
        cpu=140,
        timeout=10 * _SECOND,
        min_scale=0,
        max_scale=max_scale,
        privacy="public",
        http_option="enabled",
        sandbox="v2",
    )
    record = FunctionRecord(
        id=function_id,
        region="fr-par",
        name="hello",
        namespace_id="n",
        project_id="p",
        organization_id="o",
        host_label=function_id,
        created_at=0,
        updated_at=0,
        settings=settings,
    )
    return msgspec.structs.replace(record, **changes)


def cron_record(cron_id: str, **changes: object) -> CronRecord:
    """Return a pending cron of the function ``f-1`` that runs every minute."""
    record = CronRecord(
        id=cron_id,
        region="fr-par",
        project_id="p",
        function_id="f-1",
        schedule="* * * * *",
        args={},
        name=cron_id,
        created_at=0,
    )
    return msgspec.structs.replace(record, **changes)


def nats_source(subject: str = "orders") -> NatsSource:
    """Return the source of a NATS trigger."""
    return NatsSource(subject=subject, account_id="A", project_id="p", region="fr-par")


def nats_trigger_record(trigger_id: str = "t", subject: str = "orders") -> TriggerRecord:
    """Return a ready trigger of the function ``f-1`` in the namespace ``n-f-1``."""
    return TriggerRecord(
        id=trigger_id,
        region="fr-par",
        function_id="f-1",
        namespace_id="n-f-1",
        project_id="p",
        name=subject,
        description="",
        source=nats_source(subject),
        created_at=0,
        status=Status.READY,
    )


def store_function(store: Store, function_id: str = "f-1", *, serving: bool = True, max_scale: int = 5) -> None:
    """Insert a ready function in a namespace of its own."""
    namespace_id = f"n-{function_id}"
    function = function_record(function_id, max_scale=max_scale, namespace_id=namespace_id, status=Status.READY)
    deployment = Deployment(generation=1, settings=function.settings, code="", interpreter="", archive="")
    with store.transaction():
        store.namespaces.insert(namespace_record(namespace_id, status=Status.READY))
        store.functions.insert(msgspec.structs.replace(function, serving=deployment if serving else None))


def store_cron(
    store: Store, cron_id: str, *, schedule: str = "* * * * *", function_id: str = "f-1", created_at: float = 0
) -> CronRecord:
    """Insert a ready cron, and its function unless it exists; ``created_at`` is in seconds of platform time."""
    if store.functions.get(function_id) is None:
        store_function(store, function_id)
    record = cron_record(
        cron_id,
        schedule=schedule,
        function_id=function_id,
        args={"cron": cron_id},
        created_at=int(created_at * _SECOND),
        status=Status.READY,
    )
    with store.transaction():
        store.crons.insert(record)
    return record


def insert_functions(store: Store, blobs: BlobStore, *names: str) -> None:
    """Insert functions of the namespace ``n1`` whose archives contain their names. Call this in a transaction."""
    for name in names:
        writer = blobs.writer()
        writer.write(name.encode())
        archive = writer.finish().sha256
        writer.commit()
        store.functions.insert(function_record(name, namespace_id="n1", name=name, archive=archive))
