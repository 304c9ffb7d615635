"""A cron put straight into a store, with the function that it calls; for tests of what crons do without an API."""

from __future__ import annotations

from fnkit.contract.enums import Status
from fnkit.platform.control.store.database import Store
from fnkit.platform.model.records import CronRecord, Deployment, FunctionRecord, FunctionSettings, NamespaceRecord

__all__ = ["store_cron", "store_function"]

_SECOND = 10**9


def store_function(store: Store, function_id: str = "f-1", *, serving: bool = True, max_scale: int = 5) -> None:
    """Put a function there, in a namespace of its own."""
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
    deployment = Deployment(generation=1, settings=settings, code="", interpreter="", archive="")
    with store.transaction():
        store.namespaces.insert(
            NamespaceRecord(
                id=f"n-{function_id}",
                region="fr-par",
                name=f"n-{function_id}",
                project_id="p",
                organization_id="p",
                label="n",
                created_at=0,
                updated_at=0,
                status=Status.READY,
            )
        )
        store.functions.insert(
            FunctionRecord(
                id=function_id,
                region="fr-par",
                name="hello",
                namespace_id=f"n-{function_id}",
                project_id="p",
                organization_id="p",
                host_label=function_id,
                created_at=0,
                updated_at=0,
                settings=settings,
                status=Status.READY,
                serving=deployment if serving else None,
            )
        )


def store_cron(
    store: Store, cron_id: str, *, schedule: str = "* * * * *", function_id: str = "f-1", created_at: float = 0
) -> CronRecord:
    """Put a ready cron there, and its function where there is none of that id. Seconds of platform time."""
    if store.functions.get(function_id) is None:
        store_function(store, function_id)
    record = CronRecord(
        id=cron_id,
        region="fr-par",
        function_id=function_id,
        schedule=schedule,
        args={"cron": cron_id},
        name=cron_id,
        created_at=int(created_at * _SECOND),
        status=Status.READY,
    )
    with store.transaction():
        store.crons.insert(record)
    return record
