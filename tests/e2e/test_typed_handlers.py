"""Typed and asynchronous handlers and applications answer the same in a test, in a local call and when deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.golden import Golden
from tests.support.platform import PlatformUnderTest, call_function
from tests.support.project_tree import write_files

SETTINGS = 'name = "bookshop"\n[defaults]\nruntime = "python311"\n'
BOOKS = '''
"""The books of a shop."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Generic, Literal, NotRequired, TypedDict, TypeVar

from fnkit import Body, Header, HttpError, Path, Query, Response, cron, function

Item = TypeVar("Item")


class Genre(Enum):
    NOVEL = "novel"
    COMIC = "comic"


@dataclass
class Author:
    name: str
    born: dt.date | None = None


@dataclass
class Book:
    title: str
    price: float
    authors: list[Author] = field(default_factory=list)
    genre: Genre = Genre.NOVEL
    parts: list[Book] = field(default_factory=list)


@dataclass
class Page(Generic[Item]):
    items: list[Item]
    more: bool


class Rating(TypedDict):
    stars: Literal[1, 2, 3]
    text: NotRequired[str]


@function
def add(book: Book, dry_run: Annotated[bool, Query(description="Only check the book")] = False) -> Book:
    """Add a book.

    It is for sale at once.
    """
    return book


@function
async def read(
    number: Annotated[int, Path("/books/{number}", ge=1)],
    x_token: Annotated[str | None, Header()] = None,
    fields: Annotated[list[str], Query(max_length=2)] = [],
) -> Page[Author] | Response:
    if number == 404:
        raise HttpError(404, "no such book")
    return Page([Author(x_token or "nobody", dt.date(2026, 11, 29))], more=bool(fields))


@function(name="rate", domains=["rating.example"])
def rate_book(rating: Rating, note: Annotated[str, Body(max_length=5)] = "") -> Rating:
    return rating


@function
def plain(event, context):
    return {"path": event["path"]}


@cron("0 0 1 1 *", args={"full": True})
def clean_up(full: bool = False) -> str:
    return f"full={full}"


async def bytes_of(scope, receive, send):
    message = await receive()
    await send({"type": "http.response.start", "status": 203, "headers": [(b"x-path", scope["path"].encode())]})
    await send({"type": "http.response.body", "body": message["body"][::-1]})


raw = function(bytes_of, memory=128)
'''
REQUESTS: list[tuple[str, str, str, dict[str, str], str | None]] = [
    ("add", "POST", "/?dry_run=yes", {"Content-Type": "application/json"}, '{"title": "Emma", "price": 3}'),
    ("add", "POST", "/?dry_run=2", {"Content-Type": "application/json"}, '{"price": "3", "parts": [{}]}'),
    ("add", "POST", "/", {"Content-Type": "application/json"}, "{"),
    ("read", "GET", "/books/7?fields=a,b", {"X-Token": "jane"}, None),
    ("read", "GET", "/books/0", {}, None),
    ("read", "GET", "/books/404", {}, None),
    ("read", "GET", "/elsewhere", {}, None),
    ("rate", "POST", "/", {}, '{"rating": {"stars": 3}, "note": "fine"}'),
    ("rate", "POST", "/", {}, '{"rating": {"stars": 4}, "note": "longer"}'),
    ("plain", "GET", "/a", {}, None),
    ("clean-up", "POST", "/", {}, '{"full": true}'),
    ("raw", "POST", "/x", {"Content-Transfer-Encoding": "base64", "Content-Type": "a/b"}, "AAH/"),
]


@pytest.fixture
def shop(project: Path) -> Path:
    write_files(project, {"fnkit.toml": SETTINGS, "books.py": BOOKS})
    (project / "pyproject.toml").write_text('[project]\nname = "bookshop"\nversion = "1.2.3"\n')
    (project / "fnkit.toml").write_text(SETTINGS)
    return project


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_deployed_functions_answer_as_local_ones(platform: PlatformUnderTest) -> None:
    fnkit = platform.command
    deployed = fnkit("deploy", "--local", "--json").ok().json()
    domains = {str(one["name"]): str(one["domain"]) for one in deployed["functions"]}
    statuses = []
    for name, method, path, headers, body in REQUESTS:
        sent = None if body is None else body.encode()
        remote = call_function(platform, domains[name], path, method=method, body=sent, headers=headers)
        options = [f"-H{key}: {value}" for key, value in headers.items()]
        data = [] if body is None else ["--data", body]
        local: Any = fnkit("invoke", name, "-X", method, "--path", path, *options, *data, "--json").json()
        assert (remote.status, remote.headers.get("Content-Type")) == (local["status"], _type_of(local)), (
            name,
            local,
        )
        if name != "raw":
            assert remote.body.decode() == local["body"]
        statuses.append(remote.status)
    assert statuses == [200, 422, 422, 200, 422, 404, 404, 200, 422, 200, 200, 203]
    again = fnkit("deploy", "--local", "--json").ok().json()
    assert {one["action"] for one in again["functions"]} == {"keep"}


def _type_of(result: dict[str, Any]) -> str | None:
    headers = {name.lower(): value for name, value in dict(result["headers"]).items()}
    found = headers.get("content-type")
    return found[0] if isinstance(found, list) else found


@pytest.mark.usefixtures("shop")
def test_openapi_document_matches_the_golden_file(platform: PlatformUnderTest, golden: Golden) -> None:
    fnkit = platform.command
    printed = fnkit("openapi").ok()
    golden.check("openapi.json", printed.stdout)
    assert printed.stderr == "Without a description: clean-up, plain, raw.\n"
    assert fnkit("openapi", "--json").ok().json() == json.loads(printed.stdout)
    golden.check("openapi.yaml", fnkit("openapi", "--yaml").ok().stdout)


def test_module_that_cannot_be_imported_is_an_error_of_openapi(shop: Path, platform: PlatformUnderTest) -> None:
    write_files(shop, {"books.py": BOOKS + "\nraise LookupError('no catalogue')\n"})
    failed = platform.command("openapi")
    assert failed.code == 1
    assert "add cannot be described: LookupError: no catalogue" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_parameter_without_a_meaning_is_shown_by_invoke(shop: Path, platform: PlatformUnderTest) -> None:
    write_files(shop, {"books.py": "from fnkit import function\n@function\ndef add(lock: complex): ...\n"})
    failed = platform.command("invoke", "add")
    assert failed.code == 1
    assert "lock of add: complex cannot be read from a request" in failed.stdout + failed.stderr
