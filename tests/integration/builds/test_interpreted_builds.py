"""Builds of functions in Node and PHP."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile

import pytest

from tests.support.builds import UID, Builder, toolchain
from tests.support.toolchains import require_program


@pytest.fixture
def composer() -> None:
    """Composer and PHP are installed."""
    require_program("composer")
    toolchain("PHP")


def test_node_archive_is_the_deployment(builder: Builder) -> None:
    toolchain("Node")
    files = {"handler.mjs": "export const handle = () => 'hi'", "package.json": '{"type": "module"}'}
    result = builder.build("Node", "handler.handle", files)
    assert result.error == ""
    assert {path.name: path.read_text() for path in result.directory.iterdir()} == files
    assert result.log == f"Unpacked {sum(map(len, files.values()))} bytes."
    assert [step[:11] for step in builder.steps] == ["step 1 of 3", "step 2 of 3", "step 3 of 3"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "is not valid JSON: Expecting property"),
        ("[]", "must be an object"),
        ("[" * 100_000, "not valid"),
    ],
)
def test_invalid_package_json_fails_the_build(builder: Builder, text: str, error: str) -> None:
    result = builder.build("Node", "handler.handle", {"handler.js": "", "package.json": text})
    assert error in result.error
    assert not result.directory.exists()


def test_missing_file_of_a_handler_is_logged(builder: Builder) -> None:
    assert "needs a/b.js, which is not in the archive" in builder.build("Node", "a/b.c", {"x": ""}).log
    assert "needs a/b.php, which is not in the archive" in builder.build("PHP", "a/b.c", {"x": ""}).log


@pytest.fixture
def packages() -> dict[str, str | bytes]:
    """The files of a project with a repository that needs no network: a package as a zip file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("words/src/Words.php", "<?php\nnamespace Words;\nclass Words { const HI = 'hi'; }\n")
    dist = {"type": "zip", "url": "packages/words.zip"}
    package = {"name": "a/words", "version": "1.0.0", "dist": dist, "autoload": {"psr-4": {"Words\\": "src/"}}}
    repositories = [{"packagist.org": False}, {"type": "package", "package": package}]
    script = "touch script-was-here"
    manifest = {
        "require": {"a/words": "1.0.0"},
        "repositories": repositories,
        "scripts": {"post-install-cmd": script, "post-autoload-dump": script},
    }
    return {
        "composer.json": json.dumps(manifest),
        "packages/words.zip": content.getvalue(),
        "handler.php": "<?php require __DIR__.'/vendor/autoload.php'; echo Words\\Words::HI;",
    }


@pytest.mark.slow
@pytest.mark.usefixtures("composer")
def test_composer_installs_without_scripts(builder: Builder, packages: dict[str, str | bytes]) -> None:
    result = builder.build("PHP", "handler.handle", packages)
    assert result.error == "", result.log
    done = subprocess.run([toolchain("PHP"), result.directory / "handler.php"], capture_output=True, check=True)
    assert done.stdout == b"hi"
    assert not list(result.directory.rglob("script-was-here"))
    assert {path.lstat().st_uid for path in result.directory.rglob("*")} == {UID or os.geteuid()}
    assert "Installing a/words (1.0.0)" in result.log


@pytest.mark.slow
@pytest.mark.usefixtures("composer")
def test_error_of_composer_is_in_the_log(builder: Builder) -> None:
    manifest = {"require": {"a/missing": "^1"}, "repositories": [{"packagist.org": False}]}
    result = builder.build("PHP", "handler.handle", {"composer.json": json.dumps(manifest), "handler.php": ""})
    assert "ended with exit code" in result.error
    assert "a/missing" in result.log


def test_committed_vendor_directory_needs_no_composer(
    builder: Builder, packages: dict[str, str | bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    toolchain("PHP")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert builder.build("PHP", "handler.handle", {**packages, "vendor/autoload.php": "<?php"}).error == ""
    assert "Composer, which was not found" in builder.build("PHP", "handler.handle", packages).error


@pytest.mark.slow
@pytest.mark.usefixtures("composer")
def test_package_of_the_project_is_linked_within_it(builder: Builder) -> None:
    manifest = {
        "require": {"a/in": "*"},
        "repositories": [{"packagist.org": False}, {"type": "path", "url": "in"}],
    }
    files = {
        "composer.json": json.dumps(manifest),
        "in/composer.json": '{"name": "a/in", "version": "1.0.0"}',
        "handler.php": "<?php",
    }
    linked = builder.build("PHP", "handler.handle", files)
    assert linked.error == ""
    assert (linked.directory / "vendor/a/in/composer.json").is_file()
