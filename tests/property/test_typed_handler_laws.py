"""Laws of typed handlers: what was encoded is decoded, and no request raises."""

# ruff: noqa: ARG001, FBT001, FBT002, PLR0913, PLR0917, B006 - signatures of handlers are the subject

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from fnkit import Body, Cookie, Header, Path, Query
from fnkit.adapters.decoders import DecoderFactory
from fnkit.adapters.faults import INVALID, Faults
from fnkit.adapters.results import encode
from fnkit.testing import call, make_event


class Colour(Enum):
    RED = "red"
    TWO = 2


class Size(TypedDict):
    width: int
    unit: Literal["mm", "in"]


class Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True)
class Leaf:
    name: str
    at: dt.datetime
    day: dt.date
    time: dt.time
    price: Decimal
    key: uuid.UUID
    colour: Colour


@dataclass(frozen=True)
class Node:
    leaf: Leaf | None
    size: Size
    point: Point
    numbers: list[int]
    pairs: tuple[int, str]
    flags: frozenset[bool]
    data: bytes
    table: dict[str, list[float]]
    days: dict[dt.date, int]
    children: list[Node] = field(default_factory=list)


FINITE = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.builds(
    Leaf,
    name=st.text(),
    at=st.datetimes(timezones=st.none() | st.just(dt.UTC)),
    day=st.dates(),
    time=st.times(),
    price=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20),
    key=st.uuids(),
    colour=st.sampled_from(Colour),
)
NODES = st.recursive(
    st.builds(
        Node,
        leaf=st.none() | LEAVES,
        size=st.fixed_dictionaries({"width": st.integers(), "unit": st.sampled_from(["mm", "in"])}),
        point=st.builds(Point, FINITE, FINITE),
        numbers=st.lists(st.integers(-(10**18), 10**18), max_size=3),
        pairs=st.tuples(st.integers(), st.text(max_size=3)),
        flags=st.frozensets(st.booleans()),
        data=st.binary(max_size=5),
        table=st.dictionaries(st.text(max_size=3), st.lists(FINITE, max_size=2), max_size=2),
        days=st.dictionaries(st.dates(), st.integers(), max_size=2),
        children=st.just([]),
    ),
    lambda children: st.builds(
        lambda node, below: Node(**{**vars(node), "children": below}), children, st.lists(children, max_size=2)
    ),
    max_leaves=3,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["leaf", "size", "name", "x", "pairs", "data"]) | st.text(), inner, max_size=4
        )
    ),
    max_leaves=12,
)
DECODE = DecoderFactory().make(Node)


@given(NODES)
def test_decoding_what_was_encoded_gives_the_value(node: Node) -> None:
    faults: Faults = []
    document = json.loads(json.dumps(encode(node)))
    assert DECODE(document, ("body",), faults) == node
    assert faults == []


@given(JSON)
def test_a_value_is_decoded_or_has_faults_below_its_place(value: object) -> None:
    faults: Faults = []
    result = DECODE(value, ("body",), faults)
    assert (result is INVALID) == bool(faults)
    assert all(fault.location[:1] == ("body",) and fault.message for fault in faults)


def save(
    node: Node,
    number: Annotated[int | None, Query(ge=1)] = None,
    ratio: float = 0.0,
    ok: bool = True,
    when: dt.datetime | dt.date | None = None,
    keys: list[uuid.UUID] = [],
    colour: Colour = Colour.RED,
    price: Decimal = Decimal(1),
    x_size: Annotated[Literal[1, 2] | None, Header()] = None,
    session: Annotated[str, Cookie(max_length=3)] = "",
) -> Node:
    return node


def text(body: Annotated[str, Body(max_length=9)], rest: Annotated[str, Path("/a/{rest:path}")]) -> str:
    return rest


def form(size: Size, tags: Annotated[list[int], Body()] = []) -> Size:
    return size


QUERIES = st.dictionaries(
    st.sampled_from(["number", "ratio", "ok", "when", "keys", "colour", "price"]), st.text(), max_size=4
)
BODIES = (
    st.binary() | st.just(b'{"width": 1, "unit": "\\ud800"}') | JSON.map(lambda value: json.dumps(value).encode())
)


@given(
    handler=st.sampled_from([save, text, form]),
    path=st.text().map(lambda tail: "/a/" + quote(tail)),
    query=QUERIES,
    headers=st.dictionaries(st.sampled_from(["X-Size", "Cookie"]), st.text()),
    kind=st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "text/plain;x"]),
    body=BODIES,
)
@example(handler=save, path="/", query={}, headers={}, kind="", body=b'{"leaf":' * 50_000)
def test_no_request_raises(
    handler: Callable[..., object],
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    kind: str,
    body: bytes,
) -> None:
    event = make_event("/", query=query, headers={**headers, "Content-Type": kind}, body=body)
    event["path"] = path
    response = call(handler, event)
    assert response.status in (200, 404, 422)
    if response.status == 422:
        document: Any = response.json()
        assert document["detail"]
        assert all({"loc", "msg", "type"} == set(one) for one in document["detail"])


@given(st.integers(), FINITE, st.booleans(), st.dates(), st.uuids(), st.sampled_from(Colour))
def test_query_of_encoded_values_gives_the_values(
    number: int, ratio: float, ok: bool, day: dt.date, key: uuid.UUID, colour: Colour
) -> None:
    found: list[object] = []

    def handler(number: int, ratio: float, ok: bool, day: dt.date, keys: list[uuid.UUID], colour: Colour) -> None:
        found.extend([number, ratio, ok, day, keys, colour])

    values = [number, ratio, ok, day, [key, key], colour]
    names = ["number", "ratio", "ok", "day", "keys", "colour"]
    query = {name: _query_text(encode(value)) for name, value in zip(names, values, strict=True)}
    assert call(handler, make_event(query=query)).status == 200
    assert found == values


def _query_text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_query_text, value))
    return json.dumps(value) if isinstance(value, bool) else str(value)
