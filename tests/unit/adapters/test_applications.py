"""ASGI and WSGI applications answer as one function, and asynchronous handlers share one event loop."""

# ruff: noqa: ARG001, ARG002, ANN001, ANN202 - signatures of handlers are the subject

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any

import pytest

from fnkit import Context, Event, function
from fnkit.adapters import adapt
from fnkit.testing import call, make_event

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
StartResponse = Callable[[str, list[tuple[str, str]]], Callable[[bytes], object]]


class Recorder:
    """An ASGI application that answers with its scope, and records its lifespan."""

    def __init__(self, *, failing: bool = False) -> None:
        self.failing = failing
        self.events: list[str] = []
        self.scopes: list[Message] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
            return
        self.scopes.append(scope)
        message = await receive()
        await send(
            {
                "type": "http.response.start",
                "status": 201,
                "headers": [(b"content-type", b"text/x"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")],
            }
        )
        await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})
        assert (await receive())["type"] == "http.disconnect"

    async def live(self, scope: Message, receive: Receive, send: Send) -> None:
        self.events.append((await receive())["type"])
        if self.failing:
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        scope["state"]["pool"] = "open"
        await send({"type": "lifespan.startup.complete"})
        self.events.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})


def test_asgi_application_gets_the_request_and_answers() -> None:
    application = Recorder()
    event = make_event(
        "/a b/é?x=1&y=2 3",
        method="put",
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "9.8.7.6, 1.2.3.4"},
        body="hé",
    )
    event["headers"]["Host"] = "shop.example:8443"  # which the platform leaves out
    response = call(application, event)
    assert (response.status, response.text) == (201, "hé!")
    assert response.header("Content-Type") == "text/x"
    assert [value for name, value in response.headers if name == "Set-Cookie"] == ["a=1", "b=2"]
    [scope] = application.scopes
    assert application.events == ["lifespan.startup"]
    assert scope["state"] == {"pool": "open"}
    assert {
        name: scope[name] for name in ("method", "path", "raw_path", "query_string", "scheme", "root_path")
    } == {
        "method": "PUT",
        "path": "/a b/é",
        "raw_path": b"/a%20b/%C3%A9",
        "query_string": b"x=1&y=2+3",
        "scheme": "https",
        "root_path": "",
    }
    assert (scope["client"], scope["server"]) == (("9.8.7.6", 0), ("shop.example", 8443))
    assert dict(scope["headers"])[b"content-length"] == b"3"
    assert scope["extensions"]["fnkit"]["event"]["httpMethod"] == "PUT"
    call(application)
    assert application.events == ["lifespan.startup"]


def test_root_path_is_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FNKIT_ROOT_PATH", "/shop/")
    application = Recorder()
    call(application, make_event("/books"))
    assert (application.scopes[0]["root_path"], application.scopes[0]["path"]) == ("/shop", "/shop/books")

    def wsgi(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]

    assert call(wsgi, make_event("/books")).text == "/shop /books"


def test_application_that_cannot_start_fails_at_import() -> None:
    with pytest.raises(RuntimeError, match="could not start: no database"):
        adapt(Recorder(failing=True))


def test_bytes_go_both_ways() -> None:
    encoded = make_event(body="/wAB", headers={"Content-Transfer-Encoding": "base64"})
    assert call(Recorder(), encoded).body == b"\xff\x00\x01!"


async def no_lifespan(scope: Message, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


async def silent(scope: Message, receive: Receive, send: Send) -> None: ...


async def failing(scope: Message, receive: Receive, send: Send) -> None:
    raise LookupError(scope["type"])


async def answering_then_failing(scope: Message, receive: Receive, send: Send) -> None:
    await no_lifespan(scope, receive, send)
    raise LookupError("logged")


def test_asgi_application_without_lifespan_is_called() -> None:
    assert call(no_lifespan).status == 204


def test_asgi_application_without_response_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="without a response"):
        call(silent)
    assert call(failing, catch=True).status == 500
    assert call(answering_then_failing).status == 204
    assert "LookupError: logged" in capsys.readouterr().err


def wsgi_echo(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("202 Accepted", [("set-cookie", "a=1"), ("Set-Cookie", "b=2"), ("content-length", "9")])
    write(environ["wsgi.input"].read())
    shown = {name: value for name, value in environ.items() if name.isupper() and not name.startswith("SERVER")}
    yield repr(sorted(shown.items())).encode()


def test_wsgi_application_gets_the_request_and_answers() -> None:
    headers = {"Content-Type": "text/x", "X-Token": "t", "X_Token": "spoofed"}
    response = call(wsgi_echo, make_event("/é?a=1", headers=headers, body="hé"))
    assert response.status == 202
    assert [value for name, value in response.headers if name == "Set-Cookie"] == ["a=1", "b=2"]
    assert response.text.startswith(
        "hé[('CONTENT_LENGTH', '3'), ('CONTENT_TYPE', 'text/x'), ('HTTP_HOST', 'localhost')"
    )
    assert "('HTTP_X_TOKEN', 't')" in response.text
    assert "('PATH_INFO', '/Ã©')" in response.text
    assert "('QUERY_STRING', 'a=1'), ('REMOTE_ADDR', '127.0.0.1'), ('REQUEST_METHOD', 'POST')" in response.text


def test_wsgi_response_is_closed_and_replaced_after_an_error() -> None:
    closed: list[bool] = []

    class Chunks:
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

        def close(self) -> None:
            closed.append(True)

    class Application:
        def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> object:
            start_response("200 OK", [])
            start_response("500 Error", [], (ValueError, ValueError(), None))
            return Chunks()

    assert call(Application()).status == 500
    assert closed == [True]


def test_object_with_a_plain_call_is_a_plain_handler() -> None:
    class Handler:
        def __call__(self, event: Event, context: Context) -> str:
            return event["path"]

    handler = Handler()
    assert adapt(function(handler, name="x")) is handler


def test_plain_handler_stays_the_function_that_it_is() -> None:
    def first(event, context): ...  # type: ignore[no-untyped-def] # untyped on purpose
    def second(e: dict[str, object], c: object, extra: int = 0) -> None: ...
    def third(*arguments: object) -> None: ...
    def fourth(event: int, context: str) -> None: ...

    handlers: tuple[Callable[..., object], ...] = (first, second, third, fourth)
    assert [adapt(one) for one in handlers] == list(handlers)


USER: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


def test_asynchronous_calls_share_a_loop_and_no_context() -> None:
    loops: list[object] = []

    async def plain(event: Event, context: Context) -> str:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        before = USER.get()
        USER.set("somebody")
        return before + event["path"]

    async def typed(number: int) -> list[int]:
        loops.append(asyncio.get_running_loop())
        return [number]

    assert call(plain, make_event("/a")).text == "nobody/a"
    assert call(plain, make_event("/b")).text == "nobody/b"
    assert call(typed, make_event("/?number=3")).json() == [3]
    assert len(set(map(id, loops))) == 1
