"""The table of resource kinds agrees with the records and collections, and deletion covers attached resources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fnkit.contract.enums import Status
from fnkit.platform.control.errors import ControlError
from fnkit.platform.control.resources.kinds import (
    CRONS,
    FUNCTIONS,
    KINDS,
    NAMESPACES,
    TOKENS,
    delete_with_attached,
    mark_attached_deleting,
)
from fnkit.platform.control.store.collection import Page
from fnkit.platform.control.store.database import Store
from fnkit.platform.model import records
from fnkit.platform.model.records import (
    CronRecord,
    DomainRecord,
    TokenRecord,
)
from tests.support.stored_records import cron_record, function_record, namespace_record

RECORDS: dict[str, type[records.ResourceRecord]] = {
    "namespaces": records.NamespaceRecord,
    "functions": records.FunctionRecord,
    "crons": records.CronRecord,
    "domains": records.DomainRecord,
    "tokens": records.TokenRecord,
    "triggers": records.TriggerRecord,
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "platform.db")
    store.namespaces.insert(namespace_record("n"))
    for name in ("f", "g"):
        store.functions.insert(function_record(name, name=name))
    yield store
    store.close()


def fields_of(kind: str) -> set[str]:
    return {field.name for field in msgspec.structs.fields(RECORDS[kind])}


def cron(name: str, function_id: str = "f") -> CronRecord:
    return cron_record(name, function_id=function_id)


def test_table_has_every_record_class() -> None:
    assert KINDS.keys() == RECORDS.keys()
    defined = {one for one in records.ResourceRecord.__subclasses__() if one.__module__ == records.__name__}
    assert set(RECORDS.values()) == defined


@pytest.mark.parametrize("kind", KINDS)
def test_deleting_changes_are_fields_of_the_record(kind: str) -> None:
    assert KINDS[kind].deleting_changes.keys() <= fields_of(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_attached_kinds_have_the_ids_of_their_parents(kind: str) -> None:
    assert {f"{parent}_id" for parent in KINDS[kind].attached_to} <= fields_of(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_store_supports_every_filter_and_order_of_a_list(store: Store, kind: str) -> None:
    collection = KINDS[kind].collection(store)
    filters = dict.fromkeys(KINDS[kind].filters, "x")
    for order in KINDS[kind].orders.values():
        assert collection.ids(filters, order, Page()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_status_except_deleting_can_change_to_deleting(kind: str) -> None:
    transitions = RECORDS[kind].transitions
    assert all(Status.DELETING in following for following in transitions.values())
    assert Status.DELETING not in transitions


def test_deleting_a_function_deletes_its_crons_domains_and_tokens(store: Store) -> None:
    domain = DomainRecord(
        id="d",
        region="fr-par",
        project_id="p",
        function_id="f",
        hostname="a.example.com",
        created_at=1,
        routed=True,
    )
    token = TokenRecord(id="t", region="fr-par", project_id="p", function_id="f", namespace_id=None, created_at=1)
    store.crons.insert(cron("c"))
    store.crons.insert(cron("other", "g"))
    store.domains.insert(domain)
    store.tokens.insert(token)

    mark_attached_deleting(store, FUNCTIONS, "f")

    assert [one.status for one in store.crons.all()] == [Status.DELETING, Status.PENDING]
    assert [(one.status, one.routed) for one in store.domains.all()] == [(Status.DELETING, False)]
    assert [one.status for one in store.tokens.all()] == [Status.DELETING]

    delete_with_attached(store, FUNCTIONS, "f")

    assert [one.id for one in store.crons.all()] == ["other"]
    assert list(store.domains.all()) == []
    assert list(store.tokens.all()) == []


def test_deleting_a_namespace_deletes_its_tokens(store: Store) -> None:
    token = TokenRecord(id="t", region="fr-par", project_id="p", function_id=None, namespace_id="n", created_at=1)
    store.tokens.insert(token)
    mark_attached_deleting(store, NAMESPACES, "n")
    assert TOKENS.find(store, "fr-par", "t") == msgspec.structs.replace(token, status=Status.DELETING)


def test_resource_is_found_only_in_its_region(store: Store) -> None:
    store.crons.insert(cron("c"))
    assert CRONS.find(store, "fr-par", "c") == cron("c")
    assert CRONS.find(store, "nl-ams", "c") is None


def test_required_resource_must_not_be_deleting(store: Store) -> None:
    store.crons.insert(cron("c"))
    CRONS.mark_deleting(store, cron("c"))
    with pytest.raises(ControlError, match="Cron was not found"):
        CRONS.require(store, "fr-par", "c")


def test_project_of_a_cron_is_that_of_its_function(store: Store) -> None:
    store.crons.insert(cron("c"))
    assert CRONS.project_of(store, "c") == FUNCTIONS.project_of(store, "f") == "p"
    assert CRONS.project_of(store, "missing") is None
