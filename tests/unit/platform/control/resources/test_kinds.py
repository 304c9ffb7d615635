"""The table of resource kinds fits the records and the tables that it describes."""

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


def test_the_table_has_every_kind_of_record() -> None:
    assert KINDS.keys() == RECORDS.keys()
    ours = {one for one in records.ResourceRecord.__subclasses__() if one.__module__ == records.__name__}
    assert set(RECORDS.values()) == ours


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_with_a_deletion_are_fields_of_the_record(kind: str) -> None:
    assert KINDS[kind].deleting_changes.keys() <= fields_of(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_names_everything_that_it_is_deleted_with(kind: str) -> None:
    assert {f"{parent}_id" for parent in KINDS[kind].attached_to} <= fields_of(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_store_can_filter_and_order_by_what_a_list_accepts(store: Store, kind: str) -> None:
    collection = KINDS[kind].collection(store)
    filters = dict.fromkeys(KINDS[kind].filters, "x")
    for order in KINDS[kind].orders.values():
        assert collection.ids(filters, order, Page()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_resource_in_any_status_but_deleting_can_be_deleted(kind: str) -> None:
    transitions = RECORDS[kind].transitions
    assert all(Status.DELETING in following for following in transitions.values())
    assert Status.DELETING not in transitions


def test_a_function_takes_its_crons_domains_and_tokens_along(store: Store) -> None:
    domain = DomainRecord(
        id="d", region="fr-par", function_id="f", hostname="a.example.com", created_at=1, routed=True
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


def test_a_namespace_takes_its_tokens_along(store: Store) -> None:
    token = TokenRecord(id="t", region="fr-par", project_id="p", function_id=None, namespace_id="n", created_at=1)
    store.tokens.insert(token)
    mark_attached_deleting(store, NAMESPACES, "n")
    assert TOKENS.find(store, "fr-par", "t") == msgspec.structs.replace(token, status=Status.DELETING)


def test_a_resource_is_found_in_its_own_region_only(store: Store) -> None:
    store.crons.insert(cron("c"))
    assert CRONS.find(store, "fr-par", "c") == cron("c")
    assert CRONS.find(store, "nl-ams", "c") is None


def test_what_is_being_deleted_counts_as_missing_to_who_refers_to_it(store: Store) -> None:
    store.crons.insert(cron("c"))
    CRONS.mark_deleting(store, cron("c"))
    with pytest.raises(ControlError, match="Cron was not found"):
        CRONS.require(store, "fr-par", "c")


def test_the_project_of_a_cron_is_that_of_its_function(store: Store) -> None:
    store.crons.insert(cron("c"))
    assert CRONS.project_of(store, "c") == FUNCTIONS.project_of(store, "f") == "p"
    assert CRONS.project_of(store, "missing") is None
