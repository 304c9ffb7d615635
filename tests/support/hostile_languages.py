"""One hostile handler in each language, which does what a request asks it to.

``GET /<action>?path=…&count=…`` is answered with ``{"ok": <value>}`` or ``{"error": "<text>"}``, or the process
ends. Every language has the same actions, in ``tests/projects/hostile``. Those of compiled languages are built by
the real compilers, once for each test process.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.support.builds import RUNTIMES, UID, Builder, shared_cache
from tests.support.data_plane import DataPlaneProcess
from tests.support.language_programs import runtime_of

INTERPRETED: Final = ("python", "node", "php")
COMPILED: Final = ("go", "rust")
LANGUAGES: Final = (*INTERPRETED, *COMPILED)
STARTED_AHEAD: Final = ("node", "php")
"""Languages whose interpreters are executed before they are assigned to a function."""

_FOLDER: Final = Path(__file__).parents[1] / "projects/hostile"
_SOURCES: Final = {
    "python": {"handler.py": "handler.py"},
    "node": {"handler.js": "handler.js"},
    "php": {"handler.php": "handler.php"},
    "go": {"handler.go": "handler.go"},
    "rust": {"src/lib.rs": "lib.rs"},
}
_PROJECTS: Final = {
    "go": {"go.mod": "module example.com/hostile\n\ngo 1.22\n"},
    "rust": {
        "Cargo.toml": '[package]\nname = "hostile"\nversion = "0.1.0"\nedition = "2021"\n\n'
        '[dependencies]\naxum = "0.8"\nserde_json = "1"\n\n[profile.release]\nopt-level = 0\n'
    },
}
_HANDLERS: Final = {"go": "Handle", "rust": "handle"}
_NAMES: Final = {"go": "Go", "rust": "Rust"}


@dataclass(frozen=True)
class HostileFunction:
    """A deployed function with a hostile handler.

    Attributes:
        plane: The data plane that runs it.
        language: Its language.
        name: Its name.
        function_id: Its id.
    """

    plane: DataPlaneProcess
    language: str
    name: str
    function_id: str

    def status(self, action: str, path: object = "", count: int = 0) -> tuple[int, str]:
        """Return the status and the text of a response."""
        reply = self.plane.call(self.name, f"/{action}?path={quote(str(path))}&count={count}")
        return reply.status, reply.body.decode()

    def do(self, action: str, path: object = "", count: int = 0) -> object:
        """Return what an action returned. It must not fail."""
        answer = self._answer(action, path, count)
        assert "ok" in answer, f"{self.language}: {action} {path}: {answer}"
        return answer["ok"]

    def text(self, action: str, path: object = "", count: int = 0) -> str:
        """Return the text that an action returned. It must not fail."""
        value = self.do(action, path, count)
        assert isinstance(value, str)
        return value

    def refuses(self, action: str, path: object = "", count: int = 0) -> bool:
        """Return whether an action failed in the handler."""
        return "error" in self._answer(action, path, count)

    def _answer(self, action: str, path: object, count: int) -> dict[str, object]:
        reply = self.plane.call(self.name, f"/{action}?path={quote(str(path))}&count={count}")
        assert reply.status == 200, f"{self.language}: {action} {path}: {reply.status} {reply.body!r}"
        answer = reply.json()
        assert isinstance(answer, dict)
        return answer

    def end_reasons(self) -> list[str]:
        """Return why its instances have ended, in order."""
        return self.plane.exit_reasons(self.function_id)


class HostileCode:
    """The files of hostile handlers, built where the language is compiled.

    Args:
        factory: Makes the directories of builds.
    """

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._built: dict[str, Mapping[str, str | bytes]] = {}

    def files(self, language: str) -> Mapping[str, str | bytes]:
        """Return the files of a deployment. Skips the test if there is no compiler."""
        if language not in _PROJECTS:
            return _sources(language)
        if language not in self._built:
            self._built[language] = self._build(language)
        return self._built[language]

    def _build(self, language: str) -> Mapping[str, str | bytes]:
        with shared_cache(self._factory, language) as cache:
            builder = Builder(self._factory.mktemp(language), cache)
            files = {**_sources(language), **_PROJECTS[language]}
            result = builder.build(_NAMES[language], _HANDLERS[language], files)
            return {".fnkit/handler": result.program.read_bytes()}


def deploy_hostile(
    plane: DataPlaneProcess, code: HostileCode, language: str, name: str = "", **changes: object
) -> HostileFunction:
    """Deploy a hostile handler.

    Args:
        plane: The data plane.
        code: The files of the handlers.
        language: The language.
        name: The name of the function, ``hostile-<language>`` by default.
        changes: Changed fields of the route.
    """
    name = name or f"hostile-{language}"
    route = plane.deploy(name, code.files(language), **{**route_fields(language), **changes})
    return HostileFunction(plane, language, name, route.function_id)


def deploy_built(
    plane: DataPlaneProcess,
    code: HostileCode,
    language: str,
    name: str,
    files: Mapping[str, str],
    **changes: object,
) -> HostileFunction:
    """Deploy a hostile handler with further files, with the owners and modes that a build gives them.

    Args:
        plane: The data plane.
        code: The files of the handlers.
        language: The language.
        name: The name of the function.
        files: The further files.
        changes: Changed fields of the route.
    """
    uid = 0 if plane.owner else UID
    if language not in STARTED_AHEAD:  # their builds change nothing but the owner
        route = plane.deploy(name, {**code.files(language), **files}, **route_fields(language), uid=uid, **changes)
        return HostileFunction(plane, language, name, route.function_id)
    fields = route_fields(language)
    folder = plane.folder / name
    folder.mkdir()
    result = Builder(folder, folder / "cache").build(
        str(fields["language"]), "handler.handle", {**code.files(language), **files}, uid=uid
    )
    assert not result.error, result.error
    directory = result.directory.rename(plane.folder / "deployments" / f"{name}-built")
    if plane.owner:
        for entry in [directory, *directory.rglob("*")]:
            os.chown(entry, plane.owner, plane.owner)
    route = plane.deploy_directory(name, directory, **fields, uid=uid, **changes)
    return HostileFunction(plane, language, name, route.function_id)


def route_fields(language: str) -> dict[str, object]:
    """Return the fields of a route to a hostile handler. Skips the test if nothing runs its language here."""
    if language in INTERPRETED:
        return runtime_of(language)
    return {"language": _NAMES[language], "runtime": RUNTIMES[_NAMES[language]], "handler": _HANDLERS[language]}


def language_parameters() -> list[object]:
    """Return the languages as parameters of tests.

    Compiled ones are marked as long, because their programs are built; Python is, because it has tests of its own.
    """
    marks = {one: [] if one in STARTED_AHEAD else [pytest.mark.long] for one in LANGUAGES}
    return [pytest.param(one, id=one, marks=marks[one]) for one in LANGUAGES]


@cache
def _sources(language: str) -> Mapping[str, str]:
    return {name: (_FOLDER / file).read_text() for name, file in _SOURCES[language].items()}
