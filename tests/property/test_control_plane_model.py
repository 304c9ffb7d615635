"""After any sequence of requests, with ``kill -9`` in between, the control plane has the model's state."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, TypeAlias

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fnkit.platform.model.settings import Quotas
from tests.support.control_model import KINDS, ControlModel, Resource
from tests.support.control_process import ControlProcess, control_settings, zip_archive
from tests.support.examples import examples
from tests.support.fake_data_plane import connected_data_plane
from tests.support.http_response import HttpResponse
from tests.support.waiting import wait_until

REGIONS = st.sampled_from(("fr-par", "fr-par", "pl-waw"))
NAMES = st.sampled_from(("a", "b", "shop", "orders-2"))
WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
VARIABLES = st.dictionaries(
    st.sampled_from(("A", "B", "LEVEL")),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    max_size=2,
)
KILLS = 3
"""Per run; each takes half a second."""
TRANSIENT_STATUSES = ("pending", "creating", "deleting")
Fields: TypeAlias = dict[str, object]

CHILDREN: dict[str, st.SearchStrategy[Fields]] = {
    "crons": st.fixed_dictionaries(
        {"schedule": st.sampled_from(("0 0 * * *", "*/5 * * * MON"))},
        optional={"args": st.dictionaries(WORDS, st.integers(-9, 9) | WORDS, max_size=2), "name": WORDS},
    ),
    "domains": st.fixed_dictionaries({"hostname": NAMES}),
    "triggers": st.fixed_dictionaries(
        {"name": st.sampled_from(("jobs", "orders")), "scw_sqs_config": st.just({"queue": "q"})},
        optional={"description": WORDS},
    ),
    "tokens": st.fixed_dictionaries({}, optional={"description": WORDS}),
}
INITIAL: dict[str, Fields] = {
    "crons": {"schedule": "0 0 * * *"},
    "domains": {"hostname": "first"},
    "triggers": {"name": "first"},
    "tokens": {},
}
DEFAULTS: dict[str, Fields] = {
    "namespaces": {"description": "", "environment_variables": {}, "tags": []},
    "functions": {"description": "", "environment_variables": {}, "memory_limit": 256, "max_scale": 5},
    "crons": {"args": {}},
    "domains": {"error_message": None},
    "triggers": {"description": "", "input_type": "scw_sqs"},
    "tokens": {"description": "", "token": "<hidden>", "expires_at": None},
}


class Platform:
    """A control process and a data plane that accepts every deployment; both can be killed and restarted."""

    def __init__(self, home: Path) -> None:
        quotas = Quotas(namespaces=None, functions=None, memory=None)
        self.control = ControlProcess(control_settings(home, quotas=quotas))
        self._peer = ExitStack()

    def start(self) -> None:
        self.control.start()
        self._peer.enter_context(connected_data_plane(self.control.settings.control_socket))

    def kill(self) -> None:
        self.control.kill()
        self._peer.close()

    def request(self, method: str, region: str, path: str, body: object = None, **query: object) -> HttpResponse:
        target = f"/functions/v1beta1/regions/{region}/{path}"
        return self.control.request(method, target, body, query=query or None)


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="fnkit-model-") as home:
        one = Platform(Path(home))
        one.start()
        try:
            yield one
        finally:
            one.kill()


class ControlPlane(RuleBasedStateMachine):
    """Compares the control plane with the model. Each run has its own project and deletes its resources."""

    platform: ClassVar[Platform]

    def __init__(self) -> None:
        super().__init__()
        self.model = ControlModel()
        self.project = str(uuid.uuid4())
        self.kills = 0

    @initialize(region=REGIONS, name=NAMES)
    def create_one_of_each_kind(self, region: str, name: str) -> None:
        self.create("namespaces", region, "", {"name": name}, {"project_id": self.project})
        (namespace,) = self.model.find("namespaces")
        more: Fields = {"namespace_id": namespace.id, "runtime": "python311"}
        self.create("functions", region, namespace.id, {"name": name}, more)
        (function,) = self.model.find("functions")
        for kind, fields in INITIAL.items():
            config: Fields = {"scw_sqs_config": {"queue": "q"}} if kind == "triggers" else {}
            self.create(kind, region, function.id, fields, {"function_id": function.id, **config})

    # Writes

    @rule(region=REGIONS, name=NAMES, variables=VARIABLES, words=WORDS)
    def create_a_namespace(self, region: str, name: str, variables: Fields, words: str) -> None:
        fields: Fields = {"name": name, "environment_variables": variables, "description": words}
        self.create("namespaces", region, "", fields, {"project_id": self.project})

    @rule(data=st.data(), name=NAMES, variables=VARIABLES, memory=st.sampled_from((None, 128, 1024)))
    def create_a_function(self, data: st.DataObject, name: str, variables: Fields, memory: int | None) -> None:
        if parent := self.any_of(data, "namespaces"):
            fields: Fields = {"name": name, "environment_variables": variables}
            fields |= {} if memory is None else {"memory_limit": memory}
            more: Fields = {"namespace_id": parent.id, "runtime": "python311"}
            self.create("functions", parent.region, parent.id, fields, more)

    @rule(data=st.data(), kind=st.sampled_from(sorted(CHILDREN)))
    def create_function_resource(self, data: st.DataObject, kind: str) -> None:
        if parent := self.any_of(data, "functions"):
            fields = dict(data.draw(CHILDREN[kind]))
            config_field = {"scw_sqs_config": config} if (config := fields.pop("scw_sqs_config", None)) else {}
            self.create(kind, parent.region, parent.id, fields, {"function_id": parent.id, **config_field})

    @rule(data=st.data(), variables=st.none() | VARIABLES, words=st.none() | WORDS)
    def change_a_namespace(self, data: st.DataObject, variables: Fields | None, words: str | None) -> None:
        self.change(data, "namespaces", {"environment_variables": variables, "description": words})

    @rule(data=st.data(), words=st.none() | WORDS, scale=st.none() | st.integers(-1, 60), deploy=st.booleans())
    def change_a_function(self, data: st.DataObject, words: str | None, scale: int | None, *, deploy: bool) -> None:
        fields: Fields = {"description": words, "max_scale": scale}
        valid = scale is None or 1 <= scale <= 50
        changed = self.change(data, "functions", fields, {"redeploy": deploy}, valid=valid)
        if changed and deploy:
            self.model.mark_deployed(changed)

    @rule(data=st.data(), schedule=st.sampled_from((None, "1 2 3 4 5", "every day")))
    def change_a_cron(self, data: st.DataObject, schedule: str | None) -> None:
        self.change(data, "crons", {"schedule": schedule}, valid=schedule != "every day")

    @rule(data=st.data(), words=st.none() | WORDS)
    def change_a_trigger(self, data: st.DataObject, words: str | None) -> None:
        self.change(data, "triggers", {"description": words})

    @rule(data=st.data())
    def upload_and_deploy(self, data: st.DataObject) -> None:
        functions = self.model.find("functions", region="fr-par")
        if functions:
            function = data.draw(st.sampled_from(functions))
            self.platform.control.upload(function.id, zip_archive())
            self.platform.request("POST", function.region, f"functions/{function.id}/deploy", {}).ok()
            function.has_code = True
            self.model.mark_deployed(function)

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def delete(self, data: st.DataObject, kind: str) -> None:
        if thing := self.any_of(data, kind):
            answer = self.platform.request("DELETE", thing.region, f"{kind}/{thing.id}")
            assert answer.status == (200 if thing.id in self.model.resources else 404), answer
            if answer.status == 200:
                assert answer.document["status"] == "deleting"
                self.model.remove(thing)
                self.wait_until_deleted(thing)

    @precondition(lambda self: self.kills < KILLS)
    @rule()
    def kill_and_restart(self) -> None:
        self.kills += 1
        self.platform.kill()
        self.platform.start()

    # Reads

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def read_one(self, data: st.DataObject, kind: str) -> None:
        if thing := self.any_of(data, kind):
            self.compare(thing)

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def read_from_another_region(self, data: st.DataObject, kind: str) -> None:
        if thing := self.any_of(data, kind):
            assert self.platform.request("GET", "nl-ams", f"{kind}/{thing.id}").status == 404

    @precondition(lambda self: self.model.resources)
    @rule(size=st.integers(1, 4), descending=st.booleans())
    def list_all_pages(self, size: int, *, descending: bool) -> None:
        for kind, region, query, listed in self.lists():
            expected = [one.id for one in listed]
            found = self.pages(kind, region, query, size, descending=descending)
            assert found == (expected[::-1] if descending else expected)

    def teardown(self) -> None:
        everything = list(self.model.resources.values())
        try:
            for thing in everything:
                self.compare(thing)
        finally:
            for namespace in self.model.find("namespaces"):
                self.platform.request("DELETE", namespace.region, f"namespaces/{namespace.id}")
        for thing in everything:
            self.wait_until_deleted(thing)

    # Steps and comparisons

    def any_of(self, data: st.DataObject, kind: str) -> Resource | None:
        """Draw a resource of a kind, sometimes a deleted one."""
        existing = self.model.find(kind)
        deleted = [thing for thing in self.model.deleted.values() if thing.kind == kind][-2:]
        return data.draw(st.sampled_from([*existing, *deleted])) if existing or deleted else None

    def create(self, kind: str, region: str, parent: str, fields: Fields, more: Fields) -> None:
        if kind == "domains":
            fields = {"hostname": f"{fields['hostname']}.{self.project}.example.com"}
        expected_status = self.model.expected_status(kind, region, parent, fields)
        answer = self.platform.request("POST", region, kind, {**fields, **more})
        assert answer.status == expected_status, answer
        if expected_status == 200:
            status = {"functions": "created"}.get(kind, "ready")
            shown = {**DEFAULTS[kind], **fields, "status": status}
            record_id = str(answer.document["id"])
            if kind == "crons":
                shown["name"] = fields.get("name") or f"cron-{record_id}"
            self.model.add(Resource(record_id, kind, region, parent, shown))

    def change(
        self, data: st.DataObject, kind: str, fields: Fields, more: Fields | None = None, *, valid: bool = True
    ) -> Resource | None:
        thing = self.any_of(data, kind)
        if thing is None:
            return None
        exists = thing.id in self.model.resources
        answer = self.platform.request("PATCH", thing.region, f"{kind}/{thing.id}", {**fields, **(more or {})})
        if not exists:
            assert answer.status in ((404,) if valid else (400, 404)), answer
            return None
        assert answer.status == (200 if valid else 400), answer
        if valid:
            thing.fields |= {name: value for name, value in fields.items() if value is not None}
        return thing if valid else None

    def compare(self, thing: Resource) -> None:
        path = f"{thing.kind}/{thing.id}"
        if thing.id in self.model.deleted:
            assert self.platform.request("GET", thing.region, path).status == 404
            return
        wait_until(
            lambda: self.platform.request("GET", thing.region, path).ok()["status"] not in TRANSIENT_STATUSES,
            what=path,
        )
        found = self.platform.request("GET", thing.region, path).ok()
        assert {name: found[name] for name in thing.fields} == thing.fields
        if thing.kind == "functions":
            thing.ready_at = thing.ready_at or found["ready_at"]
            assert found["ready_at"] == thing.ready_at, "set once"

    def wait_until_deleted(self, thing: Resource) -> None:
        path = f"{thing.kind}/{thing.id}"
        wait_until(lambda: self.platform.request("GET", thing.region, path).status == 404, what=path)

    def lists(self) -> Iterator[tuple[str, str, Fields, list[Resource]]]:
        """Yield kind, region, query and resources of each list: by project, by namespace, by function."""
        for region in sorted({thing.region for thing in self.model.resources.values()}):
            for kind in KINDS:
                yield kind, region, {"project_id": self.project}, self.model.find(kind, region=region)
        for one in self.model.find("namespaces"):
            yield "functions", one.region, {"namespace_id": one.id}, self.model.find("functions", parent=one.id)
        for one in self.model.find("functions"):
            for kind in CHILDREN:
                yield kind, one.region, {"function_id": one.id}, self.model.find(kind, parent=one.id)

    def pages(self, kind: str, region: str, query: Fields, size: int, *, descending: bool) -> list[object]:
        order = "created_at_desc" if descending else "created_at_asc"
        found: list[object] = []
        for number in range(1, 100):
            listed = self.platform.request(
                "GET", region, kind, page=number, page_size=size, order_by=order, **query
            ).ok()
            page = listed[kind]
            assert isinstance(page, list)
            if not page:
                assert listed["total_count"] == len(found)
                return found
            found += [one["id"] for one in page]
        raise AssertionError("no empty page within 100 pages")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_control_plane_state_equals_the_model(platform: Platform) -> None:
    run_state_machine_as_test(
        type("OnThisPlatform", (ControlPlane,), {"platform": platform}),
        settings=settings(
            max_examples=examples(20),
            stateful_step_count=50,
            deadline=None,
            phases=(Phase.generate,),  # shrinking would take minutes of restarts
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
    assert "Traceback" not in platform.control.log
