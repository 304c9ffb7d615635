"""Applications of FastAPI, Flask and Django are one function each, with the packages of the registry."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.support.http_response import HttpResponse
from tests.support.platform import PlatformUnderTest, call_function
from tests.support.project_tree import write_files

pytestmark = pytest.mark.long

FASTAPI = """
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from fnkit import function


@asynccontextmanager
async def lifespan(app):
    yield {"pool": "open"}


app = FastAPI(lifespan=lifespan, title="Items")


class Item(BaseModel):
    name: str
    price: float


@app.get("/items/{number}")
async def read(number: int, request: Request, q: str | None = None):
    if number == 404:
        raise HTTPException(404, "gone")
    return {"number": number, "q": q, "pool": request.state.pool}


@app.post("/items")
def create(item: Item) -> Item:
    return item


@app.get("/stream")
async def stream():
    async def rows():
        for number in range(3):
            yield f"row {number}\\n"

    return StreamingResponse(rows(), media_type="text/csv")


@app.get("/cookies")
def cookies(response: Response):
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")


@app.post("/reverse")
async def reverse(request: Request):
    return Response((await request.body())[::-1], media_type="application/x-bytes")


api = function(app, name="fastapi", memory=256)
"""
FLASK = """
from flask import Flask, Response, jsonify, request

from fnkit import function

app = Flask(__name__)


@app.get("/items/<int:number>")
def read(number):
    return jsonify(number=number, q=request.args.get("q"))


@app.get("/stream")
def stream():
    return Response((f"row {number}\\n" for number in range(3)), mimetype="text/csv")


@app.get("/cookies")
def cookies():
    response = Response("")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.post("/reverse")
def reverse():
    return Response(request.get_data()[::-1], mimetype="application/x-bytes")


function(app, name="flask")
"""
DJANGO = """
from django.conf import settings

settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from fnkit import function


def read(request, number):
    return JsonResponse({"number": number, "q": request.GET.get("q")})


def stream(request):
    return StreamingHttpResponse((f"row {number}\\n" for number in range(3)), content_type="text/csv")


def cookies(request):
    response = HttpResponse("")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def reverse(request):
    return HttpResponse(request.body[::-1], content_type="application/x-bytes")


urlpatterns = [
    path("items/<int:number>", read),
    path("stream", stream),
    path("cookies", cookies),
    path("reverse", reverse),
]
wsgi = function(get_wsgi_application(), name="django-wsgi")
asgi = function(get_asgi_application(), name="django-asgi")
"""
MODELS = """
from typing import Annotated

import msgspec
from pydantic import BaseModel, Field

from fnkit import function


class Author(BaseModel):
    name: str = Field(min_length=2)


class Book(BaseModel):
    title: str
    authors: list[Author]


class Point(msgspec.Struct):
    x: int
    y: list[int]


@function
def pydantic_book(book: Book, page: Annotated[int, Field(ge=1)] = 1) -> Book:
    return book


@function
def msgspec_point(point: Point) -> Point:
    return point
"""
SETTINGS = """
[project]
name = "web"
version = "1"
dependencies = ["fastapi>=0.115", "flask>=3", "django>=5", "msgspec"]
[tool.fnkit]
[tool.fnkit.defaults]
runtime = "python311"
"""
NAMES = ("fastapi", "flask", "django-wsgi", "django-asgi")


def cookies_of(response: HttpResponse) -> list[str]:
    return [value.partition(";")[0] for value in response.headers.get_all("Set-Cookie") or ()]


@pytest.mark.timeout(600)
def test_applications_answer_and_models_are_decoded(platform: PlatformUnderTest, project: Path) -> None:
    files = {"fast.py": FASTAPI, "flasky.py": FLASK, "shop.py": DJANGO, "models.py": MODELS}
    write_files(project, {"pyproject.toml": SETTINGS, **files})
    deployed = platform.command("deploy", "--local", "--json", timeout=500).ok().json()
    domains = {str(one["name"]): str(one["domain"]) for one in deployed["functions"]}

    def send(name: str, path: str, body: bytes | None = None, **headers: str) -> HttpResponse:
        method = "GET" if body is None else "POST"
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return call_function(platform, domains[name], path, method=method, body=body, headers=named)

    for name in NAMES:
        found = send(name, "/items/3?q=a%20%C3%A9")
        assert found.status == 200, (name, found.body)
        assert {key: json.loads(found.body)[key] for key in ("number", "q")} == {"number": 3, "q": "a é"}
        rows = send(name, "/stream")
        assert (rows.body, rows.headers["Content-Type"].partition(";")[0]) == (b"row 0\nrow 1\nrow 2\n", "text/csv")
        assert cookies_of(send(name, "/cookies")) == ["a=1", "b=2"]
        sent = base64.b64encode(b"\xff\x00\x01")
        turned = send(name, "/reverse", sent, Content_Transfer_Encoding="base64", Content_Type="a/b")
        assert (turned.body, turned.headers["Content-Type"]) == (b"\x01\x00\xff", "application/x-bytes")
        assert send(name, "/nothing").status == 404
    assert json.loads(send("fastapi", "/items/3").body)["pool"] == "open"
    assert send("fastapi", "/items/x").status == 422
    assert json.loads(send("fastapi", "/items/404").body) == {"detail": "gone"}

    book = b'{"title": "Emma", "authors": [{"name": "Jane"}]}'
    assert json.loads(send("pydantic-book", "/", book).body) == json.loads(book)
    faults = json.loads(send("pydantic-book", "/?page=0", b'{"title": 1, "authors": [{"name": "J"}]}').body)[
        "detail"
    ]
    assert [one["loc"] for one in faults] == [
        ["body", "title"],
        ["body", "authors", 0, "name"],
        ["query", "page"],
    ]
    assert json.loads(send("msgspec-point", "/", b'{"x": 1, "y": [2]}').body) == {"x": 1, "y": [2]}
    fault = json.loads(send("msgspec-point", "/", b'{"x": 1, "y": [2, "3"]}').body)["detail"]
    assert [one["loc"] for one in fault] == [["body", "y", 1]]

    document = platform.command("openapi", timeout=200).ok()
    paths = json.loads(document.stdout)["paths"]
    assert {"/items/{number}", "/items", "/stream", "/#pydantic-book"} <= paths.keys() | {"/#pydantic-book"}
    assert {"Item", "Book", "Author", "Point"} <= json.loads(document.stdout)["components"]["schemas"].keys()
    assert document.stderr == "Without a description: django-asgi, django-wsgi, flask.\n"
