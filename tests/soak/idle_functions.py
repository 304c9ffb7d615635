"""Functions that receive no requests during a run. Some have a cron that runs every minute of platform time."""

from __future__ import annotations

import http.client
import os
import shutil
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from fnkit.platform.control.store.database import Store
from tests.soak.oracle import Oracle
from tests.soak.platform import SoakPlatform
from tests.support.waiting import wait_until

__all__ = ["IdleFunctions"]

CRONS: Final = 20
KEPT_PER_STATUS: Final = 1064
"""See docs/deliveries.md, Retention."""
_CALLED: Final = 100
_PAGE: Final = 100
_DEADLINE: Final = 60.0
_SOURCE: Final = 'def handle(event, context):\n    return context["functionName"]\n'


class IdleFunctions:
    """Functions with ``max_scale`` 1. At the end, all of them must still exist and answer.

    One is deployed; the others are copies of its record, because as many deployments would take half an hour.

    Args:
        platform: The platform, which is restarted.
        count: The number of functions.
    """

    def __init__(self, platform: SoakPlatform, count: int) -> None:
        self._platform = platform
        self._count = count
        self._crons: list[str] = []
        if not count:
            return
        self._namespace = str(self._create("/namespaces", name="idle", project_id=platform.project_id)["id"])
        original = self._deploy("idle-0")
        platform.stop()
        _copy_function(platform.home / "platform.db", original, count - 1)
        platform.restart()
        ready = self._list_ready()
        assert len(ready) == count
        for function in ready[:CRONS]:
            cron = self._create("/crons", function_id=function["id"], schedule="* * * * *", args={}, name="minute")
            self._crons.append(str(cron["id"]))

    def check(self, oracle: Oracle) -> str:
        """Report functions that were lost or do not answer, and deliveries beyond their retention to the oracle."""
        if not self._count:
            return "none"
        ready = self._list_ready()
        if len(ready) != self._count:
            oracle.add_fault(f"{self._count - len(ready)} idle functions are not ready any more")
        called = ready[:: max(1, len(ready) // _CALLED)]
        for function in called:
            answer = self._call(str(function["domain_name"]))
            if answer != (200, str(function["name"])):
                oracle.add_fault(f"{function['name']} answered {answer}")
        kept = [self._kept(cron, status) for cron in self._crons for status in ("succeeded", "failed", "unknown")]
        if max(kept, default=0) > KEPT_PER_STATUS:
            oracle.add_fault(f"{max(kept)} deliveries of one cron and status are kept")
        crons = f"{sum(kept)} runs of {len(self._crons)} crons are kept"
        return f"{len(ready)} ready, {len(called)} called, {crons}"

    def _create(self, path: str, **body: object) -> dict[str, Any]:
        response = self._platform.request("POST", path, body)
        assert response.status == 200, response
        return response.document

    def _deploy(self, name: str) -> str:
        settings = {"runtime": "python311", "handler": "handler.handle", "memory_limit": 128, "max_scale": 1}
        function = self._create("/functions", name=name, namespace_id=self._namespace, **settings)
        function_id = str(function["id"])
        self._platform.upload(function_id, _SOURCE)
        self._create(f"/functions/{function_id}/deploy")
        wait_until(lambda: bool(self._list_ready()), _DEADLINE, what=f"{name} is ready")
        return function_id

    def _list_ready(self) -> list[dict[str, Any]]:
        ready: list[dict[str, Any]] = []
        for page in range(1, self._count // _PAGE + 2):
            path = f"/functions?namespace_id={self._namespace}&page={page}&page_size={_PAGE}"
            found = self._platform.request("GET", path).document["functions"]
            ready += (function for function in found if function["status"] == "ready")
        return ready

    def _call(self, host: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection(*self._platform.gateway, timeout=60)) as connection:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def _kept(self, cron: str, status: str) -> int:
        path = f"/fnkit/v1/regions/fr-par/crons/{cron}/deliveries?status={status}"
        response = self._platform.request("GET", path)
        assert response.status == 200, response
        return int(response.document["total"])


def _copy_function(database: Path, original_id: str, copies: int) -> None:
    """Insert copies of a function, each with a name, a host, a user and code of its own."""
    with closing(Store(database)) as store, store.transaction():
        original = store.functions.get(original_id)
        assert original is not None
        assert original.serving is not None
        for number in range(1, copies + 1):
            name = f"idle-{number}"
            copy_id = str(uuid.uuid4())
            uid = original.uid and original.uid + number
            copy = msgspec.structs.replace(
                original,
                id=copy_id,
                name=name,
                host_label=original.host_label.replace(original.name, name),
                uid=uid,
                serving=msgspec.structs.replace(
                    original.serving, code=_copy_code(original.serving.code, copy_id, uid)
                ),
            )
            store.functions.insert(copy)


def _copy_code(code: str, copy_id: str, uid: int) -> str:
    target = Path(code).with_name(f"{copy_id}-1")
    shutil.copytree(code, target)
    if uid:
        os.chown(target, uid, os.getgid())
        for path in target.rglob("*"):
            os.chown(path, uid, uid)
    return str(target)
