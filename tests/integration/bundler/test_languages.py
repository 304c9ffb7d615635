"""Archives of PHP, Go and Rust functions, and of several languages: what ships, and what changes a digest."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project.model import Project
from tests.support.bundle_projects import BundleRun, function_spec, project_with
from tests.support.project_tree import write_files
from tests.support.toolchains import require_program

GO = 'package api\n\nimport "net/http"\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n'
RUST = "pub async fn handle() {}\n"
PROGRAM = b"\x7fELF\x02\x01\x01"
HANDLERS = {"php": "handler.handle", "go": "Handle", "rust": "handle", "node": "handler.handle"}
RUNTIMES = {"php": "php85", "go": "go126", "rust": "rust196", "node": "node24"}


def folder_project(tmp_path: Path, language: str, files: dict[str, str | bytes], handler: str = "") -> Project:
    root = write_files(tmp_path / "project", {f"f/{name}": content for name, content in files.items()})
    spec = function_spec("f", handler or HANDLERS[language], runtime=RUNTIMES[language], root="f")
    return project_with(root, spec)


def member_names(bundle: Bundle) -> set[str]:
    with zipfile.ZipFile(bundle.path) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def shipped(tmp_path: Path, bundling: BundleRun, language: str, files: dict[str, str | bytes]) -> set[str]:
    return member_names(bundling.bundle(folder_project(tmp_path, language, files), kind="scaleway"))


PHP_HANDLER = "<?php function handle($event, $context) { return 1; }"
COMPOSER = '{"require": {"php": ">=8", "twig/twig": "^3"}}'


@pytest.mark.parametrize(
    ("files", "names", "note"),
    [
        ({"composer.json": COMPOSER, "composer.lock": "{}", "vendor/autoload.php": ""},
         {"handler.php", "composer.json", "composer.lock"}, None),
        ({"composer.json": COMPOSER, "vendor/autoload.php": "", "vendor/a/b.php": ""},
         {"handler.php", "vendor/autoload.php", "vendor/a/b.php"}, "f/vendor ships as it is"),
        ({"composer.json": COMPOSER}, {"handler.php", "composer.json"}, "f/composer.json has no composer.lock"),
        ({"composer.json": COMPOSER, "vendor/a.php": "", ".gitignore": "vendor"},
         {"handler.php", "composer.json"}, "f/composer.json has no composer.lock"),
        ({"composer.json": '{"require": {"ext-gd": "*"}}'}, {"handler.php", "composer.json"}, None),
        ({"vendor/autoload.php": "", "auth.json": "{}"}, {"handler.php", "vendor/autoload.php"}, None),
    ],
)  # fmt: skip
def test_php_ships_the_lock_file_or_the_packages(
    tmp_path: Path, bundling: BundleRun, files: dict[str, str | bytes], names: set[str], note: str | None
) -> None:
    bundle = bundling.bundle(
        folder_project(tmp_path, "php", {"handler.php": PHP_HANDLER, **files}), kind="scaleway"
    )
    assert member_names(bundle) == names
    assert [one.startswith(note or "") for one in bundle.notes] == ([] if note is None else [True])


def test_broken_composer_json_is_reported(tmp_path: Path, bundling: BundleRun) -> None:
    project = folder_project(tmp_path, "php", {"handler.php": PHP_HANDLER, "composer.json": "{"})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert (raised.value.code, raised.value.file, raised.value.line) == ("composer-json", "f/composer.json", 1)


def test_go_ships_sources_and_embedded_files_but_no_programs(tmp_path: Path, bundling: BundleRun) -> None:
    files: dict[str, str | bytes] = {
        "go.mod": "module example.com/api\n\ngo 1.26\n",
        "go.sum": "",
        "api.go": GO,
        "test/main.go": "package main\n",
        "build/page.html": "",
        "README.md": "",
        "vendor/modules.txt": "",
        "api": PROGRAM,
        "bin/tool": PROGRAM,
        "api.test": PROGRAM,
        "data/model": PROGRAM,
    }
    bundle = bundling.bundle(folder_project(tmp_path, "go", files), kind="scaleway")
    assert member_names(bundle) == set(files) - {"api", "bin/tool", "api.test"}
    [note] = bundle.notes
    assert "f/api, f/api.test, f/bin/tool" in note


@pytest.mark.long
def test_go_source_in_the_archive_compiles(tmp_path: Path, bundling: BundleRun) -> None:
    go = require_program("go")
    files: dict[str, str | bytes] = {
        "go.mod": "module example.com/api\n\ngo 1.26\n",
        "api.go": GO,
        "cmd/main.go": 'package main\n\nimport _ "example.com/other/api"\n\nfunc main() {}\n',
    }
    bundle = bundling.bundle(folder_project(tmp_path, "go", files), kind="scaleway")
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(tmp_path / "unpacked")
    done = subprocess.run(
        [go, "build", "."], cwd=tmp_path / "unpacked", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "is_outside"),
    [
        ("replace example.com/a => ../a", True),
        ("replace (\n\texample.com/a v1.0.0 => /srv/a\n)", True),
        ("replace example.com/a => ./a", False),
        ("replace example.com/a => example.com/b v1.0.0", False),
    ],
)
def test_go_module_outside_of_the_folder_is_reported(
    tmp_path: Path, bundling: BundleRun, line: str, *, is_outside: bool
) -> None:
    files: dict[str, str | bytes] = {"go.mod": f"module m\n\ngo 1.26\n\n{line}\n", "a.go": GO}
    project = folder_project(tmp_path, "go", files)
    if not is_outside:
        bundling.bundle(project, kind="scaleway")
        return
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert (raised.value.code, raised.value.file) == ("dependency-outside", "f/go.mod")
    assert raised.value.line in (5, 6)


def test_required_patch_release_of_go_is_noted_for_scaleway(tmp_path: Path, bundling: BundleRun) -> None:
    project = folder_project(tmp_path, "go", {"go.mod": "module m\n\ngo 1.26.3\n", "a.go": GO})
    [note] = bundling.bundle(project, kind="scaleway").notes
    assert note.startswith("f/go.mod requires Go 1.26.3")
    assert bundling.bundle(project, kind="local", target="go-1.26.8-x86_64-linux-gnu").notes == ()


def test_rust_ships_the_workspace_without_compiled_files(tmp_path: Path, bundling: BundleRun) -> None:
    files: dict[str, str | bytes] = {
        "Cargo.toml": '[workspace]\nmembers = ["api", "shared"]\n',
        "Cargo.lock": "",
        ".cargo/config.toml": "",
        ".cargo/credentials.toml": "secret",
        "api/Cargo.toml": '[package]\nname = "api"\n[dependencies]\nshared = { path = "../shared" }\n',
        "api/src/lib.rs": RUST,
        "api/src/target/mod.rs": "",
        "api/src/bin/tool.rs": "fn main() {}",
        "shared/Cargo.toml": '[package]\nname = "shared"\n',
        "shared/src/lib.rs": "",
        "README.md": "",
        "tests/a.rs": "",
        "target/debug/x": "",
        "api/target/debug/x": "",
    }
    project = folder_project(tmp_path, "rust", files, "api/handle")
    compiled = {".cargo/credentials.toml", "target/debug/x", "api/target/debug/x"}
    assert member_names(bundling.bundle(project, kind="scaleway")) == set(files) - compiled


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        ('[dependencies]\na = { path = "../a" }', "dependency-outside"),
        ('[target.x.build-dependencies]\na = { path = "/srv/a" }', "dependency-outside"),
        ('[workspace.dependencies]\na = { path = "x/../../a" }', "dependency-outside"),
        ("[", "cargo-toml"),
    ],
)
def test_unusable_crate_is_reported(tmp_path: Path, bundling: BundleRun, manifest: str, code: str) -> None:
    project = folder_project(tmp_path, "rust", {"Cargo.toml": manifest, "src/lib.rs": RUST})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert (raised.value.code, raised.value.file) == (code, "f/Cargo.toml")


def test_compiled_code_that_a_handler_names_ships_although_git_ignores_it(
    tmp_path: Path, bundling: BundleRun
) -> None:
    files: dict[str, str | bytes] = {
        "dist/handler.js": "exports.handle = 1;",
        "dist/more.js": "",
        "coverage/report.js": "",
        ".gitignore": "dist/\ncoverage/\n*.js\n",
    }
    project = folder_project(tmp_path, "node", files, "dist/handler.handle")
    assert member_names(bundling.bundle(project, kind="scaleway")) == {"dist/handler.js", "dist/more.js"}
    write_files(project.root, {".fnkitignore": "dist/\n"})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert raised.value.code == "handler-not-shipped"


@pytest.mark.parametrize(
    ("language", "files"),
    [("go", {"go.mod": "module m\n", "a.go": GO}), ("rust", {"Cargo.toml": "", "src/lib.rs": RUST})],
)
def test_folder_ships_although_git_ignores_it_but_not_if_the_project_excludes_it(
    tmp_path: Path, bundling: BundleRun, language: str, files: dict[str, str | bytes]
) -> None:
    project = folder_project(tmp_path, language, files)
    write_files(project.root, {".gitignore": "f/\n"})
    assert member_names(bundling.bundle(project, kind="scaleway")) == set(files)
    write_files(project.root, {".fnkitignore": "f/\n"})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert raised.value.code == "handler-not-shipped"


@pytest.mark.parametrize("language", HANDLERS)
def test_secrets_and_links_out_of_the_project_do_not_ship(
    tmp_path: Path, bundling: BundleRun, language: str
) -> None:
    sources: dict[str, dict[str, str | bytes]] = {
        "php": {"handler.php": PHP_HANDLER},
        "go": {"go.mod": "module m\n", "a.go": GO},
        "rust": {"Cargo.toml": "", "src/lib.rs": RUST},
        "node": {"handler.js": "exports.handle = 1"},
    }
    hidden: dict[str, str | bytes] = {".env": "KEY=1", "server.key": "x", ".npmrc": "x", ".git/config": "x"}
    project = folder_project(tmp_path, language, {**sources[language], **hidden})
    bundle = bundling.bundle(project, kind="scaleway")
    assert member_names(bundle) == set(sources[language])
    assert "f/.npmrc, f/server.key" in " ".join(bundle.notes)
    assert [note for note in bundle.notes if note.startswith("Left out: f/.env.")]
    (project.root / "f" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert raised.value.code == "link-outside"


@pytest.fixture
def five_languages(tmp_path: Path) -> Project:
    files = {
        "handler.py": "def handle(event, context):\n    return 1\n",
        "web/handler.js": "exports.handle = () => 1;\n",
        "shop/handler.php": PHP_HANDLER,
        "api/go.mod": "module m\n",
        "api/a.go": GO,
        "image/Cargo.toml": "",
        "image/src/lib.rs": RUST,
    }
    root = write_files(tmp_path / "project", files)
    return project_with(
        root,
        function_spec("py", "handler.handle"),
        function_spec("web", "handler.handle", runtime="node24", root="web"),
        function_spec("shop", "handler.handle", runtime="php85", root="shop"),
        function_spec("api", "Handle", runtime="go126", root="api"),
        function_spec("image", "handle", runtime="rust196", root="image"),
    )


def test_five_languages_are_bundled_in_one_run(five_languages: Project, bundling: BundleRun) -> None:
    bundles = bundling.bundle_all(five_languages, kind="scaleway")
    assert [(one.runtime, [piece.function for piece in one.slices]) for one in bundles] == [
        ("go126", ["api"]),
        ("node24", ["web"]),
        ("php85", ["shop"]),
        ("python313", ["py"]),
        ("rust196", ["image"]),
    ]
    by_runtime = {one.runtime: one for one in bundles}
    assert member_names(by_runtime["node24"]) == {"handler.js"}
    assert {name for name in member_names(by_runtime["python313"]) if "/" not in name} == {"handler.py"}


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("web/handler.js", {"web"}),
        ("shop/handler.php", {"shop"}),
        ("api/a.go", {"api"}),
        ("image/src/lib.rs", {"image"}),
        ("handler.py", {"py"}),
        ("fnkit.toml", set()),
    ],
)
def test_edit_updates_the_functions_of_its_folder_only(
    five_languages: Project, bundling: BundleRun, edited: str, changed: set[str]
) -> None:
    def digests() -> dict[str, str]:
        bundles = bundling.bundle_all(five_languages, kind="scaleway")
        return {piece.function: piece.digest for one in bundles for piece in one.slices}

    before = digests()
    file = five_languages.root / edited
    file.write_text((file.read_text() if file.exists() else "") + "\n")
    after = digests()
    assert {name for name in before if before[name] != after[name]} == changed


def test_equal_content_gives_equal_bytes_in_another_place(
    five_languages: Project, tmp_path: Path, bundling: BundleRun
) -> None:
    first = bundling.bundle_all(five_languages, kind="scaleway")
    copy = tmp_path / "copy"
    shutil.copytree(five_languages.root, copy)
    moved = project_with(copy, *five_languages.functions)
    second = BundleRun(tmp_path / "elsewhere").bundle_all(moved, kind="scaleway")
    assert [one.path.read_bytes() for one in first] == [one.path.read_bytes() for one in second]
    assert [one.slices for one in first] == [one.slices for one in second]


def test_many_folders_of_one_runtime_keep_their_archives(tmp_path: Path, bundling: BundleRun) -> None:
    names = [f"f{number}" for number in range(8)]
    root = write_files(tmp_path / "project", {f"{name}/handler.js": f"exports.handle = '{name}'" for name in names})
    specs = [function_spec(name, "handler.handle", runtime="node24", root=name) for name in names]
    bundles = bundling.bundle_all(project_with(root, *specs), kind="scaleway")
    assert len(bundles) == len(names)
    assert all(one.path.is_file() for one in bundles)


@pytest.mark.long
def test_folder_above_the_limit_is_reported_with_its_largest_parts(tmp_path: Path, bundling: BundleRun) -> None:
    project = folder_project(tmp_path, "node", {"handler.js": "exports.handle = 1", "package.json": json.dumps({})})
    with (project.root / "f" / "large.bin").open("wb") as file:
        file.truncate(501 << 20)
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert raised.value.code == "archive-too-large"
    assert "large.bin (501.0 MiB)" in raised.value.message
