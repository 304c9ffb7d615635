"""A project with functions in five languages, planned and deployed as to Scaleway: no Python in its settings."""

from __future__ import annotations

import io
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.killing_proxy import killing_proxy
from tests.support.platform import PlatformUnderTest, api_get
from tests.support.project_tree import write_files

SETTINGS = """name = "polyglot"

[[function]]
name = "web"
runtime = "node24"
path = "web"
handler = "dist/app.handle"
build = "touch {marker}; mkdir dist && cp src/app.js dist/app.js"
build_output = "dist"

[[function]]
name = "shop"
runtime = "php85"
path = "shop"

[[function]]
name = "api"
runtime = "go126"
path = "api"

[[function]]
name = "image"
runtime = "rust196"
path = "image"

[[function]]
name = "report"
runtime = "python313"
handler = "report.run"
"""
FILES = {
    "web/src/app.js": "exports.handle = () => 'web';\n",
    "web/package.json": '{"private": true}\n',
    "shop/handler.php": "<?php function handle($event, $context) { return 'shop'; }\n",
    "api/go.mod": "module example.com/api\n\ngo 1.26\n",
    "api/main.go": "package main\n\nfunc Handle() {}\n\nfunc main() {}\n",
    "image/Cargo.toml": '[package]\nname = "image"\nversion = "0.1.0"\nedition = "2024"\n',
    "image/src/lib.rs": "pub async fn handle() {}\n",
    "report.py": "def run(event, context):\n    return 'report'\n",
}
NAMES = {"web", "shop", "api", "image", "report"}


@pytest.fixture
def scaleway(platform: PlatformUnderTest, tmp_path: Path) -> Iterator[Command]:
    """``fnkit`` that finds an API as Scaleway's: without what our platform adds to it."""
    missing = frozenset({"/fnkit/v1/platform"})
    with killing_proxy(platform.api_url, after=None, kill=lambda: None, missing=missing) as proxy:
        environment = {**platform.environment, "SCW_API_URL": proxy.url, "FNKIT_CACHE": str(tmp_path / "cache")}
        yield Command({**environment, "XDG_STATE_HOME": str(tmp_path / "state")})


@pytest.fixture
def polyglot(tmp_path: Path) -> Path:
    root = tmp_path / "polyglot"
    return write_files(root, {"fnkit.toml": SETTINGS.format(marker=tmp_path / "built"), **FILES})


def uploaded_files(platform: PlatformUnderTest, function: str) -> set[str]:
    namespaces = api_get(platform, "namespaces?name=polyglot")["namespaces"]
    assert isinstance(namespaces, list)
    functions = api_get(platform, f"functions?name={function}&namespace_id={namespaces[0]['id']}")["functions"]
    assert isinstance(functions, list)
    [found] = [one for one in functions if one["name"] == function]
    url = str(api_get(platform, f"functions/{found['id']}/download-url")["url"])
    with urllib.request.urlopen(url, timeout=60) as answer, zipfile.ZipFile(io.BytesIO(answer.read())) as archive:
        return set(archive.namelist())


@pytest.mark.long
@pytest.mark.slow
def test_five_languages_are_planned_without_running_a_build(
    scaleway: Command, polyglot: Path, tmp_path: Path
) -> None:
    found = scaleway("scan", "--json", cwd=polyglot).ok().json()
    assert {one["name"] for one in found["functions"]} == NAMES
    [note] = found["notes"]
    assert note.startswith("api is a Go program")
    planned = scaleway("plan", "--json", "--exit-code", cwd=polyglot)
    assert planned.code == 2, planned.stderr
    changes = planned.json()["changes"]
    assert {one["name"] for one in changes if one["kind"] == "function"} == NAMES
    assert note in planned.json()["notes"]
    scaleway("status", "--json", cwd=polyglot).ok()
    assert not (tmp_path / "built").exists()


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(600)  # of the first builds in Go and Rust
def test_archives_of_five_languages_are_uploaded(
    scaleway: Command, platform: PlatformUnderTest, polyglot: Path, tmp_path: Path
) -> None:
    scaleway("plan", "--out", str(tmp_path / "plan"), cwd=polyglot).ok()
    refused = scaleway("deploy", "--json", cwd=polyglot)
    assert refused.json()["error"]["code"] == "builds-not-allowed"
    assert not (tmp_path / "built").exists()
    # A platform that lacks a toolchain reports that in the status of the function: here the upload counts.
    scaleway("deploy", "--plan", str(tmp_path / "plan"), "--allow-builds", cwd=polyglot)
    assert (tmp_path / "built").exists()
    assert uploaded_files(platform, "web") == {"dist/app.js", "package.json", "src/app.js"}
    assert uploaded_files(platform, "shop") == {"handler.php"}
    assert uploaded_files(platform, "api") == {"go.mod", "main.go"}
    assert uploaded_files(platform, "image") == {"Cargo.toml", "src/lib.rs"}
    assert "report.py" in uploaded_files(platform, "report")
    changed = "exports.handle = () => 'changed';\n"
    write_files(polyglot, {"web/src/app.js": changed})
    (tmp_path / "built").unlink()
    plan = scaleway("plan", "--json", cwd=polyglot).ok().json()
    [web] = [one for one in plan["changes"] if one["name"] == "web"]
    assert web["action"] == "update"
    assert not (tmp_path / "built").exists()
    scaleway("destroy", "--yes", cwd=polyglot).ok()
