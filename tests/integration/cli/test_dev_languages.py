"""``fnkit dev`` with functions in every language: what a save does, and what a mistake shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.builds import show_rust_toolchains
from tests.support.dev_session import DevSessionUnderTest, dev_session
from tests.support.project_tree import write_files
from tests.support.toolchains import require_program

pytestmark = pytest.mark.slow

_BUILD_SECONDS = 400.0
"""The standard library of Go, or the packages of a crate, are compiled first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageProject:
    """A function in a language, and a mistake in it.

    Attributes:
        files: Its files. It answers ``version 1``.
        source: The file that is edited.
        mistake: A line of it, and what is written instead.
        line: The line that the mistake is reported at.
        message: A part of what is said about it.
        status: The status of responses while it is there: 200 if the last version serves.
    """

    runtime: str
    handler: str
    files: dict[str, str]
    source: str
    mistake: tuple[str, str]
    line: int
    message: str
    status: int


PROJECTS = {
    "node": LanguageProject(
        runtime="node24",
        handler="handler.handle",
        files={"handler.js": "module.exports.handle = () => {\n  return 'version 1';\n};\n"},
        source="handler.js",
        mistake=("return 'version 1'", "return 'version 1' +"),
        line=2,
        message="SyntaxError",
        status=500,
    ),
    "php": LanguageProject(
        runtime="php84",
        handler="handler.handle",
        files={"handler.php": "<?php\nfunction handle($event, $context) {\n    return 'version 1';\n}\n"},
        source="handler.php",
        mistake=("return 'version 1'", "return 'version 1' +"),
        line=3,
        message="ParseError",
        status=500,
    ),
    "go": LanguageProject(
        runtime="go126",
        handler="Handle",
        files={
            "go.mod": "module handler\n\ngo 1.21\n",
            "handler.go": 'package handler\n\nimport (\n\t"fmt"\n\t"net/http"\n)\n\n'
            'func Handle(w http.ResponseWriter, r *http.Request) {\n\tfmt.Fprint(w, "version 1")\n}\n',
        },
        source="handler.go",
        mistake=('fmt.Fprint(w, "version 1")', "fmt.Fprint(w, missing)"),
        line=9,
        message="undefined: missing",
        status=200,
    ),
    "rust": LanguageProject(
        runtime="rust196",
        handler="handle",
        files={
            "Cargo.toml": '[package]\nname = "handler"\nversion = "0.1.0"\nedition = "2021"\n\n'
            '[dependencies]\naxum = "0.8"\n\n[profile.release]\nopt-level = 0\n',
            "src/lib.rs": "use axum::{body::Body, extract::Request, response::Response};\n\n"
            "pub async fn handle(_req: Request<Body>) -> Response<Body> {\n"
            '    Response::builder().body(Body::from("version 1")).unwrap()\n}\n',
        },
        source="src/lib.rs",
        mistake=('Body::from("version 1")', "Body::from(missing)"),
        line=4,
        message="cannot find value `missing`",
        status=200,
    ),
}


def write_project(folder: Path, language: LanguageProject) -> Path:
    """Write a project whose function is in a directory of its own; return the file that is edited."""
    settings = f'name = "shop"\n\n[[function]]\nname = "hello"\npath = "code"\nruntime = "{language.runtime}"\n'
    files = {f"code/{path}": text for path, text in language.files.items()}
    write_files(folder, {"fnkit.toml": f'{settings}handler = "{language.handler}"\n', **files})
    return folder / "code" / language.source


def save_and_wait(session: DevSessionUnderTest, source: Path, text: str) -> dict[str, Any]:
    """Save a file; return what became of the function."""
    source.write_text(text)
    changed = session.wait_for(
        "reloaded",
        lambda item: any(one["action"] != "created" for one in item["functions"]),
        seconds=_BUILD_SECONDS,
    )
    return dict(changed["functions"][0])


def check_language(folder: Path, home: Path, language: LanguageProject) -> None:
    """Save a change, a mistake and its correction."""
    source = write_project(folder, language)
    good = source.read_text()
    with dev_session(folder, home) as session:
        session.wait_for("serving", seconds=_BUILD_SECONDS)
        assert session.get("hello") == (200, "version 1")

        assert "error" not in save_and_wait(session, source, good.replace("version 1", "version 2"))
        assert session.get("hello") == (200, "version 2")

        error = save_and_wait(session, source, good.replace(*language.mistake))["error"]
        assert (error["file"], error["line"]) == (f"code/{language.source}", language.line)
        assert language.message in error["message"]
        assert "/home/app" not in error["message"]
        assert session.get("hello")[0] == language.status
        if language.status == 200:
            assert session.get("hello")[1] == "version 2", "the last version that worked serves"

        assert "error" not in save_and_wait(session, source, good.replace("version 1", "version 3"))
        assert session.get("hello") == (200, "version 3")
        notes = [note for item in session.items if item["kind"] == "reloaded" for note in item["notes"]]
        assert len(notes) == len(set(notes)), "each is told once"


@pytest.mark.long
def test_node_is_reloaded(tmp_path: Path) -> None:
    check_language(tmp_path / "project", tmp_path / "home", PROJECTS["node"])


@pytest.mark.long
def test_php_is_reloaded(tmp_path: Path) -> None:
    require_program("php")
    check_language(tmp_path / "project", tmp_path / "home", PROJECTS["php"])


@pytest.mark.long
@pytest.mark.timeout(600)
def test_go_is_compiled_again(tmp_path: Path) -> None:
    require_program("go")
    check_language(tmp_path / "project", tmp_path / "home", PROJECTS["go"])
    cache = tmp_path / "home/cache"
    assert not list(cache.glob("dev/*/caches/*"))
    assert [path.name.split("-")[0] for path in cache.glob("libraries/*") if path.is_dir()] == ["go"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_rust_is_compiled_again(tmp_path: Path) -> None:
    require_program("cargo")
    show_rust_toolchains()
    check_language(tmp_path / "project", tmp_path / "home", PROJECTS["rust"])
