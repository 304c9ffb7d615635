"""Account quotas: published defaults, configured limits, disabled limits and usage counters."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.platform.control.store.database import QuotaUsage, Store
from fnkit.platform.model.settings import ProjectQuotas, Quotas
from tests.support.command import Command
from tests.support.control_process import API, PROJECT, ControlProcess, control_settings, running_control
from tests.support.http_response import HttpResponse

LIMITED = Quotas(namespaces=2, functions=3, memory=4096)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[ControlProcess]:
    with running_control(tmp_path, quotas=LIMITED) as control:
        yield control


def assert_quota_exceeded(response: HttpResponse, resource: str, quota: int, current: int) -> None:
    assert response.status == 403, response
    assert response.document == {
        "message": "quota(s) exceeded for this resource",
        "type": "quotas_exceeded",
        "details": [{"resource": resource, "quota": quota, "current": current}],
    }


def test_namespace_quota_is_per_project_across_regions(limited: ControlProcess) -> None:
    first = limited.create_namespace("a")
    limited.create_namespace("b")
    other = API.replace("fr-par", "nl-ams")
    for path in (API, other):
        body = {"name": "c", "project_id": PROJECT}
        assert_quota_exceeded(limited.request("POST", f"{path}/namespaces", body), "function_namespaces", 2, 2)
    limited.request("POST", f"{API}/namespaces", {"name": "c", "project_id": str(uuid.uuid4())}).ok()

    limited.request("DELETE", f"{API}/namespaces/{first['id']}").ok()
    limited.wait_until_deleted("namespaces", first["id"])
    limited.create_namespace("c")


def test_one_project_cannot_use_up_the_quotas_of_its_organization(tmp_path: Path) -> None:
    shares = ProjectQuotas(functions=2, memory=2048)
    with running_control(tmp_path, quotas=LIMITED, project_quotas=shares) as control:
        own = control.create_namespace("a")["id"]
        other = control.create_namespace("a", project_id=str(uuid.uuid4()))["id"]
        first = control.create_function(own, "x", memory_limit=512, max_scale=2)
        body = {"name": "y", "namespace_id": own, "runtime": "python311", "memory_limit": 512}
        too_large = control.request("POST", f"{API}/functions", {**body, "max_scale": 3})
        grown = control.request("PATCH", f"{API}/functions/{first['id']}", {"max_scale": 5})
        control.create_function(own, "y", memory_limit=128, max_scale=1)
        too_many = control.request("POST", f"{API}/functions", {**body, "name": "z", "max_scale": 1})
        control.create_function(other, "x", memory_limit=512, max_scale=2)

    assert_quota_exceeded(too_large, "functions_memory", 2048, 1024)
    assert_quota_exceeded(grown, "functions_memory", 2048, 1024)
    assert_quota_exceeded(too_many, "functions", 2, 2)


def test_function_quota_is_enforced_until_one_is_deleted(limited: ControlProcess) -> None:
    namespace = limited.create_namespace("a")
    created = [limited.create_function(namespace["id"], name) for name in ("x", "y", "z")]
    body = {"name": "w", "namespace_id": namespace["id"], "runtime": "python311"}
    assert_quota_exceeded(limited.request("POST", f"{API}/functions", body), "functions", 3, 3)

    limited.request("DELETE", f"{API}/functions/{created[0]['id']}").ok()
    limited.wait_until_deleted("functions", created[0]["id"])
    limited.create_function(namespace["id"], "w")


def test_memory_quota_counts_memory_times_max_scale(limited: ControlProcess) -> None:
    namespace = limited.create_namespace("a")
    large = limited.create_function(namespace["id"], "x", memory_limit=512, max_scale=6)
    body = {"name": "y", "namespace_id": namespace["id"], "runtime": "python311"}
    assert_quota_exceeded(limited.request("POST", f"{API}/functions", body), "functions_memory", 4096, 3072)
    small = limited.create_function(namespace["id"], "y", memory_limit=128, max_scale=8)

    path = f"{API}/functions/{small['id']}"
    assert_quota_exceeded(
        limited.request("PATCH", path, {"max_scale": 9, "redeploy": False}), "functions_memory", 4096, 4096
    )
    limited.request("PATCH", path, {"max_scale": 8, "description": "as big as before"}).ok()
    limited.request("PATCH", f"{API}/functions/{large['id']}", {"max_scale": 5, "redeploy": False}).ok()
    limited.request("PATCH", path, {"max_scale": 12, "redeploy": False}).ok()


def test_disabled_quotas_are_not_enforced(tmp_path: Path) -> None:
    none = Quotas(namespaces=None, functions=None, memory=None)
    with running_control(tmp_path, quotas=none) as control:
        for number in range(101):
            control.request("POST", f"{API}/namespaces", {"name": f"n{number}", "project_id": PROJECT}).ok()
        namespace = control.create_namespace("last")
        for number in range(4):
            control.create_function(namespace["id"], f"f{number}", memory_limit=4096, max_scale=50)


def test_memory_quota_defaults_to_the_published_figure(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        namespace = control.create_namespace("a")
        for number in range(3):
            control.create_function(namespace["id"], f"f{number}", memory_limit=4096, max_scale=50)
        body = {"name": "x", "namespace_id": namespace["id"], "runtime": "python311", "memory_limit": 4096}
        response = control.request("POST", f"{API}/functions", {**body, "max_scale": 5})
        assert_quota_exceeded(response, "functions_memory", 600 * 1024, 600 * 1024)


def test_usage_counters_match_the_stored_functions(limited: ControlProcess) -> None:
    namespace = limited.create_namespace("a")
    for name, memory, scale in (("x", 256, 2), ("y", 512, 1), ("z", 128, 4)):
        limited.create_function(namespace["id"], name, memory_limit=memory, max_scale=scale)
    found = limited.request("GET", f"{API}/functions", query={"name": "y"}).ok()["functions"]
    assert isinstance(found, list)
    limited.request("PATCH", f"{API}/functions/{found[0]['id']}", {"max_scale": 3, "redeploy": False}).ok()
    found = limited.request("GET", f"{API}/functions", query={"name": "x"}).ok()["functions"]
    assert isinstance(found, list)
    limited.request("DELETE", f"{API}/functions/{found[0]['id']}").ok()
    limited.wait_until_deleted("functions", found[0]["id"])
    limited.kill()
    store = Store(Path(limited.settings.data_dir, "platform.db"))
    functions = list(store.functions.all())
    usage = store.get_usage(PROJECT)
    store.close()

    assert usage == QuotaUsage(2, sum(one.settings.memory * one.settings.max_scale for one in functions))
    assert usage == QuotaUsage(2, 512 * 3 + 128 * 4)


def test_migration_counts_existing_functions(tmp_path: Path) -> None:
    control = ControlProcess(control_settings(tmp_path))
    control.start()
    try:
        control.create_function(control.create_namespace("a")["id"], "x", memory_limit=512, max_scale=2)
    finally:
        control.kill()
    file = tmp_path / "platform.db"
    _downgrade_to_first_schema(file)
    store = Store(file)
    usage = store.get_usage(PROJECT)
    store.close()

    assert usage == QuotaUsage(1, 1024)


def _downgrade_to_first_schema(file: Path) -> None:
    with sqlite3.connect(file) as store:
        names = store.execute(
            "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND (type = 'trigger' OR "
            "(type = 'table' AND name NOT IN ('namespaces', 'functions', 'crons', 'ticks', 'deliveries', 'facts')))"
        ).fetchall()
        for kind, name in sorted(names, reverse=True):
            store.execute(f"DROP {kind} {name}")
        for index in ("deliveries_message", "crons_region", "crons_project", "functions_failed_import"):
            store.execute(f"DROP INDEX {index}")
        store.execute("ALTER TABLE crons DROP COLUMN project_id")
        store.execute("ALTER TABLE functions DROP COLUMN failed_import")
        for column in ("message_id", "replayed_by", "body"):
            store.execute(f"ALTER TABLE deliveries DROP COLUMN {column}")
        store.execute("CREATE INDEX functions_memory ON functions (organization_id, reserved_memory)")
        store.execute("PRAGMA user_version=1")
    store.close()


@pytest.mark.long
@pytest.mark.slow
def test_second_start_with_other_quotas_is_rejected(tmp_path: Path) -> None:
    fnkit = Command({"FNKIT_HOME": str(tmp_path / "home")})
    start = ("platform", "start", "--detach", "--api-port", "0", "--gateway-port", "0")
    try:
        fnkit(*start, "--quota", "functions=1,memory=none").ok()
        again = fnkit(*start, "--quota", "none")
        assert again.code == 1
        requested = "namespaces=none,functions=none,memory=none"
        assert f"with --quota namespaces=100,functions=1,memory=none instead of {requested}." in again.stderr
        fnkit(*start, "--quota", "functions=1,memory=none").ok()
        fnkit(*start).ok()
        assert "without --verify-domains" in fnkit(*start, "--verify-domains").stderr
        wrong = fnkit(*start, "--quota", "functions=many")
        assert wrong.code == 2
        assert "not a whole number or none" in wrong.stderr
    finally:
        fnkit("platform", "stop").ok()
