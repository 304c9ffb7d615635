"""Cases of Go and Rust, whose handlers answer HTTP themselves: part of the table in ``language_cases``.

A response without a Content-Type gets one from its first bytes. Go's own server detects it before the structure of
a response is read, Rust's does not.
"""

from __future__ import annotations

from typing import Final

from tests.support.language_case import PLAIN, Answer, LanguageCase, failure

_HTML: Final = "text/html; charset=utf-8"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PANIC: Final = b'Post "http://127.0.0.1:8081/": EOF\n'
_STRUCTURE: Final = '{"statusCode":201,"body":"b","headers":{"X-A":"1"}}'


def go(body: str) -> str:
    """Return a Go file whose handler has this body."""
    return (
        'package handler\n\nimport "net/http"\n\n'
        f"func Handle(w http.ResponseWriter, r *http.Request) {{\n\t{body}\n}}\n"
    )


def rust(body: str) -> str:
    """Return a Rust library whose handler has this body; ``text``, ``status`` and ``header`` make responses."""
    return (
        "#![allow(dead_code, unreachable_code, unused_variables)]\n"
        "use axum::{body::Body, extract::Request, response::Response};\n\n"
        "fn text(status: u16, body: &'static [u8]) -> Response<Body> {\n"
        "    Response::builder().status(status).body(Body::from(body)).unwrap()\n}\n\n"
        "fn header(name: &'static str, value: &'static str, body: &'static [u8]) -> Response<Body> {\n"
        "    Response::builder().header(name, value).body(Body::from(body)).unwrap()\n}\n\n"
        f"pub async fn handle(request: Request<Body>) -> Response<Body> {{\n    {body}\n}}\n"
    )


def writing(body: str) -> dict[str, str]:
    """Return the sources of handlers that write a text without a Content-Type."""
    return {"go": go(f"w.Write([]byte(`{body}`))"), "rust": rust(f'text(200, br#"{body}"#)')}


def with_header(name: str, value: str, body: str) -> dict[str, str]:
    """Return the sources of handlers that set a header and write a text."""
    return {
        "go": go(f'w.Header().Set("{name}", "{value}")\n\tw.Write([]byte(`{body}`))'),
        "rust": rust(f'header("{name}", "{value}", br#"{body}"#)'),
    }


def with_status(status: int, body: str = "") -> dict[str, str]:
    """Return the sources of handlers that set a status and write a text."""
    written = f"\n\tw.Write([]byte(`{body}`))" if body else ""
    return {"go": go(f"w.WriteHeader({status}){written}"), "rust": rust(f'text({status}, br#"{body}"#)')}


NATIVE_CASES: Final = (
    LanguageCase("native text", writing("hello"), Answer(200, b"hello", (PLAIN,))),
    LanguageCase("native HTML", writing("<html>x</html>"), Answer(200, b"<html>x</html>", (_HTML,))),
    LanguageCase("native JSON without a type", writing('{"a":1}'), Answer(200, b'{"a":1}', (PLAIN,))),
    LanguageCase(
        "native JSON",
        with_header("Content-Type", "application/json", '{"a":1}'),
        Answer(200, b'{"a":1}', ("application/json",)),
    ),
    LanguageCase(
        "native PNG without a type",
        {
            "go": go(r'w.Write([]byte("\x89PNG\r\n\x1a\n"))'),
            "rust": rust(r'text(200, b"\x89PNG\r\n\x1a\n")'),
        },
        Answer(200, _PNG, ("image/png",)),
    ),
    LanguageCase(
        "native PNG",
        {
            "go": go(r'w.Header().Set("Content-Type", "image/png")' "\n\t" r'w.Write([]byte("\x89PNG\r\n\x1a\n"))'),
            "rust": rust(r'header("Content-Type", "image/png", b"\x89PNG\r\n\x1a\n")'),
        },
        Answer(200, _PNG, ("image/png",)),
    ),
    LanguageCase("nothing written", {"go": go(""), "rust": rust('text(200, b"")')}, Answer(200, b"", ())),
    LanguageCase("native status", with_status(404), Answer(404, b"", ())),
    LanguageCase("native status 418", with_status(418, "teapot"), Answer(418, b"teapot", (PLAIN,))),
    LanguageCase("native 204", with_status(204), Answer(204, b"", ())),
    LanguageCase("native 304", with_status(304), Answer(304, b"", ())),
    LanguageCase("native structure", writing(_STRUCTURE), Answer(201, b"b", (PLAIN,), {"X-A": ("1",)})),
    LanguageCase("native JSON string", writing('"q"'), Answer(200, b"q", (PLAIN,))),
    LanguageCase("native null", writing("null"), Answer(200, b"", (PLAIN,)), {"rust": Answer(200, b"", ())}),
    LanguageCase("native list", writing("[1,2]"), Answer(200, b"[1,2]", (PLAIN,))),
    LanguageCase("native NaN", writing("NaN"), Answer(200, b"NaN", (PLAIN,))),
    LanguageCase(
        "native base64", writing('{"isBase64Encoded":true,"body":"/9g="}'), Answer(200, b"\xff\xd8", (PLAIN,))
    ),
    LanguageCase(
        "native origin",
        with_header("Access-Control-Allow-Origin", "https://a.example", "x"),
        Answer(200, b"x", (PLAIN,), {"Access-Control-Allow-Origin": ("https://a.example",)}),
    ),
    LanguageCase(
        "panic", {"go": go('panic("boom")'), "rust": rust('panic!("boom")')}, Answer(500, _PANIC, (PLAIN,))
    ),
    LanguageCase("native 500", with_status(500, "own"), failure("own")),
    LanguageCase("http.Error with 500", {"go": go('http.Error(w, "own", 500)')}, failure("own\n")),
    LanguageCase("native 503", with_status(503, "own"), Answer(503, b"own", (PLAIN,))),
    LanguageCase("http.Error with 503", {"go": go('http.Error(w, "own", 503)')}, Answer(503, b"own\n", (PLAIN,))),
    LanguageCase(
        "native redirect",
        {
            "go": go('w.Header().Set("Location", "/x")\n\tw.WriteHeader(302)'),
            "rust": rust('Response::builder().status(302).header("Location", "/x").body(Body::empty()).unwrap()'),
        },
        Answer(302, b"", (), {"Location": ("/x",)}),
    ),
    LanguageCase(
        "http.Redirect",
        {"go": go('http.Redirect(w, r, "/x", 302)')},
        Answer(302, b'<a href="/x">Found</a>.\n\n', (_HTML,), {"Location": ("/x",)}),
    ),
    LanguageCase(
        "native method",
        {
            "go": go("w.Write([]byte(r.Method))"),
            "rust": rust("Response::new(Body::from(request.method().to_string()))"),
        },
        Answer(200, b"PUT", (PLAIN,)),
        method="PUT",
    ),
)
"""What Go's and Rust's handlers write, and the response that a client gets."""
