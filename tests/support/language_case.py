"""A case of the table in ``language_cases``: one handler in several languages, and the response to one request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fnkit.contract.invocation.event import build_event
from tests.support.handler_cases import FAILED

HANDLERS: Final = {
    "python": "handler.handle",
    "node": "handler.handle",
    "php": "handler.handle",
    "go": "Handle",
    "rust": "handle",
}
"""What names the handler, by language."""
_FILE_NAMES: Final = {
    "python": "handler.py",
    "node": "handler.js",
    "php": "handler.php",
    "go": "handler.go",
    "rust": "src/lib.rs",
}
_GO_MODULE: Final = "module handler\n\ngo 1.22\n"
_CARGO_MANIFEST: Final = """[package]
name = "handler"
version = "0.1.0"
edition = "2021"

[dependencies]
axum = "0.8"

[profile.release]
opt-level = 0
"""
"""Without optimization: the tests compile this in several places, and it takes half the time."""
_PROJECT_FILES: Final[Mapping[str, Mapping[str, str]]] = {
    "go": {"go.mod": _GO_MODULE},
    "rust": {"Cargo.toml": _CARGO_MANIFEST},
}

HTML: Final = "HTML"
JSON: Final = "JSON"
PLAIN: Final = "text/plain; charset=utf-8"
CONTENT_TYPES: Final[Mapping[str, Mapping[str, str]]] = {
    "python": {HTML: "text/html; charset=utf-8", JSON: "application/json"},
    "node": {HTML: "text/html; charset=utf-8", JSON: "application/json; charset=utf-8"},
    "php": {HTML: "text/html; charset=UTF-8", JSON: "application/json"},
    "go": {},
    "rust": {},
}
"""How each language's runtime spells the content type of a text and of a structured value."""


@dataclass(frozen=True)
class Answer:
    """The client's response.

    Attributes:
        status: Its status.
        body: Its body.
        types: The values of ``Content-Type``, in order: ``HTML`` and ``JSON`` stand for the language's own.
        headers: Further names, each with all its values in order; an absent header has none.
    """

    status: int = 200
    body: bytes = b""
    types: tuple[str, ...] = (JSON,)
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def content_types(self, language: str) -> list[str]:
        """Return the values of ``Content-Type`` in a language."""
        return [CONTENT_TYPES[language].get(one, one) for one in self.types]


@dataclass(frozen=True)
class LanguageCase:
    """One handler in several languages, and the response to one request.

    Attributes:
        name: What the handler returns or does.
        sources: Its file, by language. A language without one does not have this case.
        answer: The response.
        differing: The response in the languages where it is another one.
        method: The method of the request.
        body: The body of the request.
        ends_process: Languages in which the process ends after this response.
        exit_status: The status with which it ends.
    """

    name: str
    sources: Mapping[str, str]
    answer: Answer
    differing: Mapping[str, Answer] = field(default_factory=dict)
    method: str = "GET"
    body: bytes = b""
    ends_process: tuple[str, ...] = ()
    exit_status: int = 0

    def event(self) -> dict[str, object]:
        """Return the event of the request."""
        headers = [("content-type", "text/plain")]
        return build_event(method=self.method, path="/", query="", headers=headers, body=self.body)

    def files(self, language: str) -> dict[str, str]:
        """Return the files of the function, by their paths."""
        return {_FILE_NAMES[language]: self.sources[language], **_PROJECT_FILES.get(language, {})}

    def answer_in(self, language: str) -> Answer:
        """Return the response in a language."""
        return self.differing.get(language, self.answer)


def failure(message: str) -> Answer:
    """Return the response to a failed handler."""
    return Answer(500, f"{FAILED}{message}\n".encode(), (PLAIN,), {"X-Content-Type-Options": ("nosniff",)})


def assert_response(
    status: int, headers: Iterable[tuple[str, str]], body: bytes, case: LanguageCase, language: str
) -> None:
    """Compare a client's response with that of a case, as far as the case names headers."""
    answer = case.answer_in(language)
    lines = list(headers)
    names = ("Content-Type", *answer.headers)
    found = {name: [value for key, value in lines if key == name] for name in names}
    wanted = {"Content-Type": answer.content_types(language), **{k: [*v] for k, v in answer.headers.items()}}
    difference = f"{case.name}: {(status, body, found)} != {(answer.status, answer.body, wanted)}"
    assert (status, body, found) == (answer.status, answer.body, wanted), difference


def node(body: str) -> str:
    """Return a CommonJS file whose handler has this body."""
    return f"exports.handle = function (event, context, callback) {{ {body} }};\n"


def php(body: str) -> str:
    """Return a PHP file whose handler has this body."""
    return f"<?php\nfunction handle($event, $context)\n{{\n    {body}\n}}\n"


def python(body: str) -> str:
    """Return a Python file whose handler has this body."""
    return f"def handle(event, context):\n    {body}\n"


def returning(**expressions: str) -> dict[str, str]:
    """Return the sources of handlers that return an expression, by language."""
    makers = {"node": node, "php": php, "python": python}
    return {
        language: makers[language](f"return {expression}" + ("" if language == "python" else ";"))
        for language, expression in expressions.items()
    }
