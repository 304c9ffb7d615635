"""Pages of a collection contain every record once, in order, ascending and descending."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from fnkit.contract.enums import Status
from fnkit.platform.control.store.collection import Collection, Order, Page
from fnkit.platform.model.records import ResourceRecord, StatusTransitions


class Thing(ResourceRecord, frozen=True, kw_only=True):
    transitions: ClassVar[StatusTransitions] = {}

    name: str


@given(
    names=st.lists(st.sampled_from("abc"), max_size=40),
    size=st.integers(1, 15),
    order=st.builds(Order, st.sampled_from(["seq", "name"]), st.booleans()),
)
def test_pages_contain_each_record_once_in_order(names: list[str], size: int, order: Order) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(
        "CREATE TABLE things (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, region TEXT, name TEXT, "
        "status TEXT, record TEXT)"
    )
    things = Collection(connection, "things", Thing, ("name",))
    for number, name in enumerate(names):
        things.insert(
            Thing(
                id=f"{number:03d}",
                region="fr-par",
                project_id="p",
                created_at=0,
                status=Status.READY,
                name=name,
            )
        )
    pages = [things.ids({"region": "fr-par"}, order, Page(number, size)) for number in range(1, 43)]
    key = (lambda at: (names[at], at)) if order.column == "name" else (lambda at: ("", at))
    expected = [f"{at:03d}" for at in sorted(range(len(names)), key=key, reverse=order.descending)]
    assert [one for page in pages for one in page] == expected
    assert all(len(page) == size for page in pages[: len(names) // size])
    connection.close()
