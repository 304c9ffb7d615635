"""Typed handlers get their parameters from the request, and answer 422 with every fault."""

# ruff: noqa: ARG001, FBT001, FBT002, B006, ANN001 - signatures of handlers are the subject

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

import pytest

from fnkit import Body, Context, Cookie, Event, Header, HttpError, Path, Query, Response, cron, function, trigger
from fnkit.adapters.faults import UnsupportedType
from fnkit.adapters.parameters import read_signature
from fnkit.testing import HttpResponse, call, make_event

Member = TypeVar("Member")
Isbn = NewType("Isbn", str)


class Kind(Enum):
    NOVEL = "novel"
    COMIC = 2


@dataclass
class Author:
    name: str
    born: int | None = None


@dataclass
class Book:
    title: str
    price: float
    authors: list[Author] = field(default_factory=list)
    kind: Kind = Kind.NOVEL

    def __post_init__(self) -> None:
        if self.price < 0:
            raise ValueError("a price is not negative")


class Review(TypedDict):
    stars: int
    text: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)


@dataclass
class Page(Generic[Member]):
    items: list[Member]
    total: int


def faults_of(response: HttpResponse) -> list[tuple[list[object], str]]:
    """Return the path and the kind of each fault of a 422."""
    assert response.status == 422, response.text
    document: Any = response.json()
    return [(one["loc"], one["type"]) for one in document["detail"]]


def save(book: Book, dry: bool = False) -> Book:
    assert isinstance(dry, bool)
    return book


def test_body_and_query_become_arguments_and_a_dataclass_becomes_json() -> None:
    body = {"title": "Emma", "price": 3, "authors": [{"name": "Jane", "born": 1775}], "kind": 2, "unknown": 1}
    response = call(save, make_event("/?dry=true", json_body=body))
    assert response.status == 200
    assert response.header("Content-Type") == "application/json"
    assert response.json() == {
        "title": "Emma",
        "price": 3.0,
        "authors": [{"name": "Jane", "born": 1775}],
        "kind": 2,
    }


def test_every_fault_is_reported_with_its_path() -> None:
    body = {"price": "3", "authors": [{"name": 1}, 7, {"name": "x", "born": "1775"}], "kind": "poem"}
    assert faults_of(call(save, make_event("/?dry=perhaps", json_body=body))) == [
        (["body", "title"], "missing"),
        (["body", "price"], "type"),
        (["body", "authors", 0, "name"], "type"),
        (["body", "authors", 1], "type"),
        (["body", "authors", 2, "born"], "type"),
        (["body", "kind"], "value"),
        (["query", "dry"], "type"),
    ]


def test_fault_never_repeats_the_value() -> None:
    response = call(save, make_event("/?dry=s3cret", json_body={"title": "s3cret", "price": "s3cret"}))
    assert response.status == 422
    assert "s3cret" not in response.text


def test_check_of_a_class_is_a_fault() -> None:
    response = call(save, make_event(json_body={"title": "x", "price": -1}))
    assert response.json() == {"detail": [{"loc": ["body"], "msg": "a price is not negative", "type": "value"}]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "expected JSON: Expecting property name enclosed in double quotes at character 1"),
        (b"\xff", "expected JSON: Expecting value at character 0"),
        (b"[NaN]", "expected JSON: it has a value that JSON or this program does not allow"),
        (b"1" * 5000, "expected JSON: it has a value that JSON or this program does not allow"),
        (b"[" * 100_000, "expected JSON: it is nested too deeply"),
        (b"[]", "expected an object"),
        (b"null", "expected an object"),
    ],
    ids=["cut", "bytes", "nan", "digits", "depth", "list", "null"],
)
def test_body_that_is_no_json_object_is_a_fault(body: bytes, message: str) -> None:
    document: Any = call(save, make_event(body=body)).json()
    assert [(one["loc"], one["msg"]) for one in document["detail"]] == [(["body"], message)]


def test_deeply_nested_value_of_a_recursive_class_is_a_fault() -> None:
    def plant(tree: Tree) -> str:
        return tree.name

    nested = '{"name": "x", "children": [' * 400 + '{"name": "y"}' + "]}" * 400
    assert call(plant, make_event(body=nested)).status in (200, 422)
    assert call(plant, make_event(json_body={"name": "a", "children": [{"name": "b"}]})).text == "a"
    faults = faults_of(call(plant, make_event(json_body={"name": "a", "children": [{"name": 1}]})))
    assert faults == [(["body", "children", 0, "name"], "type")]


def test_empty_body_is_missing_unless_it_has_a_default() -> None:
    def optional(book: Book | None = None) -> str:
        return str(book)

    assert faults_of(call(save)) == [(["body"], "missing")]
    assert call(optional).text == "None"


def test_parts_of_a_request_are_found_by_their_markers() -> None:
    def read(
        number: Annotated[int, Path("/books/{number}/{rest:path}", ge=1)],
        rest: str,
        x_token: Annotated[str, Header()],
        agent: Annotated[str | None, Header(alias="User-Agent")] = None,
        session: Annotated[str, Cookie()] = "none",
        tags: Annotated[list[int], Query(alias="tag", max_length=2)] = [],
    ) -> object:
        return [number, rest, x_token, agent, session, tags]

    headers = {"X-Token": "t", "User-Agent": "u", "Cookie": 'a=b; session="s 1"'}
    response = call(read, make_event("/books/7/a/b?tag=1,2", headers=headers))
    assert response.json() == [7, "a/b", "t", "u", "s 1", [1, 2]]
    assert faults_of(call(read, make_event("/books/0/a?tag=1,x"))) == [
        (["path", "number"], "constraint"),
        (["header", "x-token"], "missing"),
        (["query", "tag", 1], "type"),
    ]
    assert faults_of(call(read, make_event("/books/1/a?tag=1,2,3", headers=headers))) == [
        (["query", "tag"], "constraint")
    ]
    assert call(read, make_event("/other")).status == 404


def test_event_and_context_are_passed_by_type_or_by_name() -> None:
    def handler(first: Event, second: Context, event, context, name: str = "x") -> object:  # type: ignore[no-untyped-def] # untyped on purpose
        return [first["path"], second["functionName"], event is first, context is second, name]

    assert call(handler, make_event("/p?name=y")).json() == ["/p", "function", True, True, "y"]


def test_several_models_are_members_of_the_body() -> None:
    def merge(book: Book, author: Author, note: Annotated[str, Body()] = "") -> object:
        return [book.title, author.name, note]

    body = {"book": {"title": "t", "price": 1}, "author": {"name": "n"}, "note": "!"}
    assert call(merge, make_event(json_body=body)).json() == ["t", "n", "!"]
    assert faults_of(call(merge, make_event(json_body={"book": {}}))) == [
        (["body", "book", "title"], "missing"),
        (["body", "book", "price"], "missing"),
        (["body", "author"], "missing"),
    ]
    assert faults_of(call(merge, make_event(json_body=[]))) == [(["body"], "type")]


def test_raw_body_is_passed_as_it_is() -> None:
    def text(body: Annotated[str, Body(max_length=5)]) -> str:
        return body

    def content(body: Annotated[bytes, Body()]) -> bytes:
        return body

    assert call(text, make_event(body='{"a"')).text == '{"a"'
    assert faults_of(call(text, make_event(body="longer"))) == [(["body"], "constraint")]
    assert call(content, make_event(body="aGk=")).body == b"aGk="
    encoded = make_event(body="/wA=", headers={"Content-Transfer-Encoding": "base64"})
    assert call(content, encoded).body == b"\xff\x00"


def test_form_is_decoded_like_a_query() -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = "title=A+b&price=2.5&kind=2"
    assert call(save, make_event(headers=form, body=body)).json() == {
        "title": "A b",
        "price": 2.5,
        "authors": [],
        "kind": 2,
    }
    # curl -d declares JSON as a form.
    assert call(save, make_event(headers=form, body='{"title": "x", "price": 1}')).status == 200


def test_arguments_of_a_cron_come_from_its_body() -> None:
    @cron("* * * * *", args={"full": True})
    def clean_up(full: bool = False, days: int = 7) -> object:
        return [full, days]

    @trigger(sqs="orders")
    @function
    def on_order(order: Book) -> str:
        return order.title

    assert call(clean_up, make_event(json_body={"full": True})).json() == [True, 7]
    assert call(clean_up).json() == [False, 7]
    assert faults_of(call(clean_up, make_event(json_body={"full": "yes"}))) == [(["body", "full"], "type")]
    assert call(on_order, make_event(json_body={"title": "t", "price": 1})).text == "t"


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "-12", -12),
        (float, "1e3", 1000.0),
        (bool, "On", True),
        (str, "5", "5"),
        (int | str, "5", 5),
        (str | int, "x", "x"),
        (int | None, "5", 5),
        (Literal[1, "a", True], "true", True),
        (Literal[1, "a", True], "a", "a"),
        (Kind, "2", Kind.COMIC),
        (Decimal, "1.10", Decimal("1.10")),
        (uuid.UUID, "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        (dt.date, "2026-11-29", dt.date(2026, 11, 29)),
        (dt.time, "21:30", dt.time(21, 30)),
        (dt.datetime, "2026-11-29T21:30:00Z", dt.datetime(2026, 11, 29, 21, 30, tzinfo=dt.UTC)),
        (list[int], "1, 2", [1, 2]),
        (tuple[int, str], "1,a", (1, "a")),
        (set[str], "a,a", {"a"}),
        (frozenset[int], "", frozenset()),
        (Isbn, "978", "978"),
        (Annotated[int, Query(gt=1, lt=3)], "2", 2),
    ],
)
def test_query_parameter_has_its_type(hint: Any, text: str, value: object) -> None:
    found: list[object] = []

    def handler(q) -> None:  # type: ignore[no-untyped-def] # untyped on purpose
        found.append(q)

    handler.__annotations__["q"] = hint
    assert call(handler, make_event(query={"q": text})).status == 200
    assert found == [value]
    assert type(found[0]) is type(value)


@pytest.mark.parametrize(
    ("hint", "texts"),
    [
        (int, ["", "1.5", "x", "١", "1_0", "9" * 5000]),
        (float, ["", "nan", "inf", "1e999", "0x1"]),
        (bool, ["", "2", "maybe"]),
        (Literal["a", 1], ["b", "", "2"]),
        (Decimal, ["NaN", "1,5", ""]),
        (uuid.UUID, ["x", ""]),
        (dt.date, ["2026-13-01", "today", ""]),
        (list[int], ["1,,2", "a"]),
        (tuple[int, int], ["1", "1,2,3"]),
        (int | bool, ["x"]),
        (Annotated[str, Query(pattern="[a-z]+$")], ["A", "a1"]),
    ],
)
def test_query_parameter_of_another_type_is_a_fault(hint: Any, texts: list[str]) -> None:
    def handler(q) -> None:  # type: ignore[no-untyped-def] # untyped on purpose
        raise AssertionError

    handler.__annotations__["q"] = hint
    assert [call(handler, make_event(query={"q": text})).status for text in texts] == [422] * len(texts)


@pytest.mark.parametrize(
    ("hint", "value", "result"),
    [
        (Review, {"stars": 5, "more": 1}, {"stars": 5}),
        (Point, {"x": 1}, Point(1, 0)),
        (dict[int, list[float]], {"1": [2]}, {1: [2.0]}),
        (Mapping[str, Kind], {"a": "novel"}, {"a": Kind.NOVEL}),
        (list[Author | Review], [{"name": "n"}, {"stars": 1}], [Author("n"), {"stars": 1}]),
        (Page[Author], {"items": [{"name": "n"}], "total": 1.0}, Page([Author("n")], 1)),
        (Annotated[int | float, Body()], 1.0, 1.0),
        (Annotated[int | float, Body()], 1, 1),
        (Annotated[Any, Body()], [None], [None]),
        (Annotated[bytes, Body(embed=True)], {"value": "/w=="}, b"\xff"),
    ],
)
def test_body_has_its_type(hint: Any, value: object, result: object) -> None:
    found: list[object] = []

    def handler(value) -> None:  # type: ignore[no-untyped-def] # untyped on purpose
        found.append(value)

    handler.__annotations__["value"] = hint
    assert call(handler, make_event(json_body=value)).status == 200
    assert found == [result]
    assert type(found[0]) is type(result)


@pytest.mark.parametrize(
    ("hint", "values"),
    [
        (int, [True, 1.5, "1", None, [1]]),
        (float, [False, "1.0", None]),
        (bool, [0, 1, "true", None]),
        (str, [1, True, None, ["a"]]),
        (Decimal, [True, "1,0", None]),
        (bytes, [1, "not base64!"]),
        (dt.date, [20261129, "29.11.2026"]),
        (uuid.UUID, [1, "1"]),
        (Literal[1, "a"], [True, 1.0, "1", "b"]),
        (Kind, ["2", 2.0, "NOVEL"]),
        (list[int], ["1,2", {"0": 1}, [True]]),
        (tuple[int, str], [[1], [1, "a", 2], ["a", 1]]),
        (dict[int, str], [[], {"a": "b"}, {"1": 2}]),
        (int | None, ["1", False]),
        (Author | Review, [1, {}, {"stars": "5"}]),
        (Any, []),
    ],
)
def test_value_of_another_json_type_is_a_fault(hint: Any, values: list[object]) -> None:
    def handler(value) -> None:  # type: ignore[no-untyped-def] # untyped on purpose
        raise AssertionError

    handler.__annotations__["value"] = Annotated[hint, Body(embed=True)]
    responses = [call(handler, make_event(json_body={"value": value})) for value in values]
    assert [response.status for response in responses] == [422] * len(values)
    for response in responses:
        assert all(loc[:2] == ["body", "value"] for loc, _ in faults_of(response))


def test_http_error_is_the_response() -> None:
    def read(number: int) -> None:
        raise HttpError(404, {"number": number}, {"X-Reason": "gone"})

    response = call(read, make_event("/?number=3"))
    assert (response.status, response.json()) == (404, {"detail": {"number": 3}})
    assert response.header("X-Reason") == "gone"


@dataclass
class Note:
    body: str
    statusCode: int = 500  # noqa: N815 - the name that a response has


def test_members_of_a_model_are_no_parts_of_a_response() -> None:
    def model() -> Note:
        return Note("text")

    def document() -> Review:
        return {"stars": 1}

    def response() -> Response:
        return {"statusCode": 201, "body": Note("created", 1)}

    assert (call(model).status, call(model).json()) == (200, {"body": "text", "statusCode": 500})
    assert call(document).json() == {"stars": 1}
    assert (call(response).status, call(response).json()) == (201, {"body": "created", "statusCode": 1})


@pytest.mark.parametrize(
    ("result", "document"),
    [
        (
            [dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, tzinfo=dt.UTC)],
            ["2026-01-02", "2026-01-02T00:00:00+00:00"],
        ),
        ({"a": Decimal("1.10"), "b": uuid.UUID(int=1)}, {"a": "1.10", "b": "00000000-0000-0000-0000-000000000001"}),
        ([{1}, (b"\xff",), Kind.COMIC, Point(1, 2)], [[1], ["/w=="], 2, {"x": 1, "y": 2}]),
        ([Page([Author("n")], 1)], [{"items": [{"name": "n", "born": None}], "total": 1}]),
        (7, 7),
        (True, True),
        (None, None),
    ],
)
def test_results_become_json(result: object, document: object) -> None:
    def handler() -> object:
        return result

    response = call(handler)
    assert response.json() == document if result is not None else response.body == b""


def test_result_without_json_fails_as_in_a_plain_handler() -> None:
    def handler() -> object:
        return [object()]

    with pytest.raises(TypeError, match="Object of type object is not JSON serializable"):
        call(handler)


def unsupported() -> list[tuple[Callable[..., object], str]]:
    def variadic(*numbers: int, key: str) -> None: ...
    def foreign(lock: type[int]) -> None: ...
    def nested(book: dict[str, complex]) -> None: ...
    def default(q: str = Query()) -> None: ...  # type: ignore[assignment] # wrong on purpose
    def two(a: Annotated[str, Path("/{a}")], b: Annotated[str, Path("/x/{b}")]) -> None: ...
    def lost(a: Annotated[str, Path("/{a}/{b}")]) -> None: ...

    return [
        (variadic, "has \\*numbers"),
        (foreign, "lock of .*foreign: "),
        (nested, "book of .*nested: complex cannot be read from a request"),
        (default, "write Annotated"),
        (two, "several paths"),
        (lost, "b is not both in the path and a parameter"),
    ]


@pytest.mark.parametrize(("handler", "message"), unsupported())
def test_parameter_that_no_request_has_is_refused_at_import(handler: Callable[..., object], message: str) -> None:
    with pytest.raises(UnsupportedType, match=message):
        read_signature(handler)


def test_marker_refuses_an_unknown_option() -> None:
    with pytest.raises(TypeError, match="Query has no option minimum"):
        Query(minimum=1)  # type: ignore[call-arg] # wrong on purpose
