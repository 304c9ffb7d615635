"""Packages of Node functions: installed by the project's package manager from its lock file, for the target."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project.model import Project
from tests.support.bundle_projects import BundleRun, function_spec, project_with
from tests.support.node_registry import NodeRegistry, node_registry
from tests.support.project_tree import write_files
from tests.support.toolchains import hide_packaged_programs, missing_toolchain, require_program

ENVIRONMENT = dict(os.environ)
"""The machine's, whose registry brings package managers."""
HANDLER = 'exports.handle = () => `${require("left")} ${require("native")}`;\n'
MANIFEST: dict[str, object] = {
    "name": "app",
    "dependencies": {"left": "^1.0.0", "native": "1.0.0"},
    "devDependencies": {"tool": "1.0.0"},
}
LOCAL = "node-22.0.0-x86_64-linux-gnu"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeRegistry]:
    require_program("npm")
    with node_registry() as server:
        for name in [name for name in os.environ if name.lower().startswith(("npm_config_", "yarn_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("npm_config_registry", server.url)
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
        monkeypatch.setenv("npm_config_store_dir", str(tmp_path / "pnpm-store"))
        monkeypatch.setenv("YARN_CACHE_FOLDER", str(tmp_path / "yarn-cache"))
        monkeypatch.setenv("YARN_GLOBAL_FOLDER", str(tmp_path / "yarn-global"))
        monkeypatch.setenv("YARN_REGISTRY", server.url)
        monkeypatch.setenv("YARN_NPM_REGISTRY_SERVER", server.url)
        monkeypatch.setenv("YARN_UNSAFE_HTTP_WHITELIST", "127.0.0.1")
        server.add("left", scripts={"postinstall": "touch ran"})
        server.add("tool", bin={"tool": "index.js"})
        for libc in ("musl", "glibc"):
            server.add(f"native-{libc}", os=["linux"], cpu=["x64"], libc=[libc])
        server.add("native-darwin", os=["darwin"], cpu=["arm64"])
        variants = {f"native-{name}": "1.0.0" for name in ("musl", "glibc", "darwin")}
        server.add("native", optionalDependencies=variants)
        yield server


@dataclass(frozen=True)
class Tool:
    """A package manager: the package that brings it, and how it writes its lock file."""

    package: str
    program: str
    lock_command: tuple[str, ...]
    lock_file: str


TOOLS = {
    "npm": Tool("", "npm", ("npm", "install", "--package-lock-only", "--ignore-scripts"), "package-lock.json"),
    "pnpm": Tool("pnpm@10", "pnpm", ("pnpm", "install", "--lockfile-only", "--ignore-scripts"), "pnpm-lock.yaml"),
    "yarn": Tool("yarn@1", "yarn", ("yarn", "install", "--ignore-scripts", "--non-interactive"), "yarn.lock"),
    "yarn-berry": Tool("@yarnpkg/cli-dist@4", "yarn", ("yarn", "install", "--mode=update-lockfile"), "yarn.lock"),
}


def write_lock(tool: Tool, folder: Path, manifest: dict[str, object] | None = None) -> None:
    """Write the manifest of a project and lock it, without the other files of the package manager."""
    write_files(folder, {"package.json": json.dumps(manifest or MANIFEST)})
    environ = dict(
        os.environ, npm_config_audit="false", npm_config_fund="false", YARN_ENABLE_IMMUTABLE_INSTALLS="false"
    )
    done = subprocess.run(tool.lock_command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert (folder / tool.lock_file).is_file(), done.stdout + done.stderr
    subprocess.run(["rm", "-rf", "node_modules", ".yarn", ".pnp.cjs"], cwd=folder, check=True)


def node_project(tmp_path: Path, handler: str = HANDLER) -> Project:
    root = tmp_path / "project"
    write_files(root, {"web/handler.js": handler})
    return project_with(root, function_spec("web", "handler.handle", runtime="node22", root="web"))


def member_names(bundle: Bundle) -> set[str]:
    with zipfile.ZipFile(bundle.path) as archive:
        return set(archive.namelist())


def packages_of(bundle: Bundle) -> set[str]:
    return {name.split("/")[1] for name in member_names(bundle) if name.startswith("node_modules/")}


def call(bundle: Bundle, folder: Path) -> str:
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(folder)
    program = 'console.log(require("./handler.js").handle())'
    done = subprocess.run(["node", "-e", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def tool_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("package-managers")


@pytest.fixture
def tool(request: pytest.FixtureRequest, tool_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """A package manager, installed from the machine's registry and first on PATH."""
    chosen = TOOLS[request.param]
    if chosen.package:
        prefix = tool_folder / request.param
        bin_folder = prefix / "node_modules" / ".bin"
        if not bin_folder.is_dir():
            npm = require_program("npm")
            command = [npm, "install", "--prefix", str(prefix), "--no-audit", "--no-fund", chosen.package]
            done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                missing_toolchain(f"{chosen.package} cannot be installed: {done.stderr[-300:]}")
        monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    return chosen


@pytest.mark.long
@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("tool", TOOLS, indirect=True)
def test_production_packages_are_installed_for_the_target(tool: Tool, tmp_path: Path, bundling: BundleRun) -> None:
    project = node_project(tmp_path)
    write_lock(tool, project.root / "web")
    before = sorted(path.name for path in (project.root / "web").iterdir())
    bundle = bundling.bundle(project, kind="scaleway")
    assert packages_of(bundle) == {"left", "native", "native-musl"}
    names = member_names(bundle)
    assert {"handler.js", "package.json", "node_modules/left/index.js"} <= names
    assert not {"node_modules/left/ran", tool.lock_file} & names
    assert not any("/." in name for name in names)
    assert call(bundle, tmp_path / "unpacked") == "left native"
    assert [one.name for one in bundle.dependencies] == ["left", "native", "native-musl"]
    assert sorted(path.name for path in (project.root / "web").iterdir()) == before
    local = bundling.bundle(project, kind="local", target=LOCAL)
    assert packages_of(local) == {"left", "native", "native-glibc"}
    elsewhere = bundling.bundle(project, kind="local", target="node-22.0.0-arm64-darwin")
    assert packages_of(elsewhere) == {"left", "native", "native-darwin"}


@pytest.mark.long
@pytest.mark.parametrize("tool", TOOLS, indirect=True)
def test_lock_file_that_does_not_fit_is_reported(
    tool: Tool, registry: NodeRegistry, tmp_path: Path, bundling: BundleRun
) -> None:
    project = node_project(tmp_path)
    write_lock(tool, project.root / "web")
    registry.add("more")
    changed = {**MANIFEST, "dependencies": {"left": "^1.0.0", "native": "1.0.0", "more": "1.0.0"}}
    write_files(project.root, {"web/package.json": json.dumps(changed)})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert raised.value.code == "node-lock-stale", raised.value.message
    assert f"{tool.program} install" in (raised.value.hint or "")


@pytest.fixture
def locked(registry: NodeRegistry, tmp_path: Path) -> Project:
    """A project that npm has locked."""
    assert registry.url
    project = node_project(tmp_path)
    write_lock(TOOLS["npm"], project.root / "web")
    return project


def test_packages_are_installed_once_for_each_lock_file_and_target(
    locked: Project, registry: NodeRegistry, bundling: BundleRun
) -> None:
    first = bundling.bundle(locked, kind="scaleway")
    assert bundling.stages == ["install", "layer", "archive"]
    registry.requests.clear()
    assert bundling.bundle(locked, kind="scaleway") == first
    write_files(locked.root, {"web/handler.js": f"{HANDLER}// edited\n"})
    edited = bundling.bundle(locked, kind="scaleway")
    assert bundling.stages == ["archive"]
    assert registry.requests == []
    assert edited.slice_of("web").digest != first.slice_of("web").digest


@pytest.mark.long
def test_digest_depends_on_the_lock_file_and_not_on_the_cache(
    locked: Project, tmp_path: Path, bundling: BundleRun
) -> None:
    first = bundling.bundle(locked, kind="scaleway")
    elsewhere = BundleRun(tmp_path / "elsewhere")
    again = elsewhere.bundle(locked, kind="scaleway")
    assert (again.digest, again.slices) == (first.digest, first.slices)
    assert again.path.read_bytes() == first.path.read_bytes()
    lock = locked.root / "web" / "package-lock.json"
    lock.write_text(lock.read_text().replace('"lockfileVersion": 3', '"lockfileVersion":  3'))
    assert bundling.bundle(locked, kind="scaleway").slice_of("web").digest != first.slice_of("web").digest


@pytest.mark.long
def test_unreachable_registry_is_reported(
    locked: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundling: BundleRun
) -> None:
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "empty-cache"))
    monkeypatch.setenv("npm_config_registry", "http://user:hunter2@127.0.0.1:9/")
    monkeypatch.setenv("npm_config_replace_registry_host", "always")
    with pytest.raises(BundleError) as raised:
        bundling.bundle(locked, kind="scaleway")
    assert raised.value.code == "node-registry", raised.value.message
    assert "hunter2" not in str(raised.value)


@pytest.mark.long
@pytest.mark.parametrize("is_missing", [True, False])
def test_package_that_is_gone_or_differs_is_reported(
    locked: Project,
    registry: NodeRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bundling: BundleRun,
    *,
    is_missing: bool,
) -> None:
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "empty-cache"))
    registry.add("left", forged=True)
    if is_missing:
        registry.tarballs.clear()
    with pytest.raises(BundleError) as raised:
        bundling.bundle(locked, kind="scaleway")
    assert raised.value.code == ("node-package" if is_missing else "hash-mismatch"), raised.value.message
    assert ("-1.0.0.tgz" if is_missing else "sha512-") in raised.value.message


def test_missing_package_manager_is_reported(
    locked: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundling: BundleRun
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    hide_packaged_programs(tmp_path / "empty", monkeypatch)
    with pytest.raises(BundleError) as raised:
        bundling.bundle(locked, kind="scaleway")
    assert raised.value.code == "node-tool-missing"
    assert "npm" in raised.value.message


@pytest.mark.parametrize(
    ("content", "code"),
    [("{", "package-json"), ("[]", "package-json"), ("\xff", "package-json"),
     ('{"dependencies": {"left": "1"}}', "node-lock-missing"),
     ('{"dependencies": {"left": "file:../left"}}', "node-lock-missing")],
)  # fmt: skip
def test_unusable_manifest_is_reported(tmp_path: Path, bundling: BundleRun, content: str, code: str) -> None:
    project = node_project(tmp_path)
    (project.root / "web" / "package.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert (raised.value.code, raised.value.file) == (code, "web/package.json")
    assert raised.value.hint


def test_package_outside_of_the_folder_is_reported(tmp_path: Path, bundling: BundleRun) -> None:
    project = node_project(tmp_path)
    manifest = {"dependencies": {"left": "file:../left"}}
    write_files(project.root, {"web/package.json": json.dumps(manifest), "web/package-lock.json": "{}"})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert raised.value.code == "dependency-outside"


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("package-lock.json", '{\n"packages": {"node_modules/left": {"resolved": "file:../../home"}}}'),
        ("package-lock.json", '{\n"packages": {"node_modules/left": {"resolved": "file:lib/../../home"}}}'),
        ("package-lock.json", '{\n"packages": {"node_modules/left": {"resolved": "file:/etc"}}}'),
        ("pnpm-lock.yaml", "packages:\n  left@file:../left:\n"),
        ("pnpm-lock.yaml", "packages:\n  left: {resolution: {directory: ../left, type: directory}}\n"),
        ("yarn.lock", '# yarn\n"left@file:../left":\n  version "1.0.0"\n'),
    ],
)
def test_lock_file_that_names_other_directories_is_rejected(
    tmp_path: Path, bundling: BundleRun, name: str, lock: str
) -> None:
    project = node_project(tmp_path)
    write_files(project.root / "web", {"package.json": json.dumps(MANIFEST), name: lock})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert (raised.value.code, raised.value.file, raised.value.line) == ("dependency-outside", f"web/{name}", 2)


@pytest.mark.long
@pytest.mark.usefixtures("registry")
def test_package_in_the_folder_ships_as_files(tmp_path: Path, bundling: BundleRun) -> None:
    project = node_project(tmp_path, 'exports.handle = () => require("inner");\n')
    inner = {
        "lib/package.json": '{"name": "inner", "version": "1.0.0"}',
        "lib/index.js": 'module.exports = "in";\n',
    }
    write_files(project.root / "web", inner)
    write_lock(TOOLS["npm"], project.root / "web", {"dependencies": {"inner": "file:lib"}})
    bundle = bundling.bundle(project, kind="scaleway")
    assert call(bundle, tmp_path / "unpacked") == "in"
    write_files(project.root / "web", {"lib/index.js": 'module.exports = "changed";\n'})
    assert call(bundling.bundle(project, kind="scaleway"), tmp_path / "again") == "changed"


@pytest.mark.parametrize("manifest", [None, "{}", '{"type": "module", "devDependencies": {"left": "1"}}'])
def test_nothing_is_installed_without_production_packages(
    tmp_path: Path, bundling: BundleRun, manifest: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    project = node_project(tmp_path, "exports.handle = () => 1;\n")
    write_files(
        project.root / "web", {"README.md": "", "app.ts": "", **({"package.json": manifest} if manifest else {})}
    )
    expected = {"handler.js", "README.md", "app.ts"} | ({"package.json"} if manifest else set())
    assert member_names(bundling.bundle(project, kind="scaleway")) == expected


def test_committed_packages_without_lock_file_ship_with_a_note(tmp_path: Path, bundling: BundleRun) -> None:
    project = node_project(tmp_path)
    own = {
        "package.json": json.dumps(MANIFEST),
        "node_modules/left/index.js": 'module.exports = "left";\n',
        "node_modules/native/index.js": 'module.exports = "native";\n',
        "node_modules/.bin/tool": "",
        "node_modules/.package-lock.json": "{}",
    }
    write_files(project.root / "web", own)
    bundle = bundling.bundle(project, kind="scaleway")
    assert call(bundle, tmp_path / "unpacked") == "left native"
    assert not any("/." in name for name in member_names(bundle))
    assert [note for note in bundle.notes if note.startswith("web/node_modules ships as it is")]
    write_files(project.root, {".gitignore": "node_modules\n"})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert raised.value.code == "node-lock-missing"


@pytest.mark.usefixtures("registry")
def test_settings_of_the_repository_neither_run_code_nor_redirect_writes(
    tmp_path: Path, bundling: BundleRun
) -> None:
    project = node_project(tmp_path, "exports.handle = () => 1;\n")
    marker = tmp_path / "ran"
    manifest = {
        "dependencies": {"left": "1.0.0"},
        "scripts": {"preinstall": f"touch {marker}", "install": f"touch {marker}"},
    }
    write_lock(TOOLS["npm"], project.root / "web", {"dependencies": {"left": "1.0.0"}})
    hostile = f"ignore-scripts=false\nprefix={tmp_path}/elsewhere\nnode-options=--require=/nothing\n"
    write_files(project.root / "web", {".npmrc": hostile, "package.json": json.dumps(manifest)})
    bundle = bundling.bundle(project, kind="scaleway")
    assert "node_modules/left/index.js" in member_names(bundle)
    assert "web/.npmrc" in " ".join(bundle.notes)
    assert not marker.exists()
    assert not (tmp_path / "elsewhere").exists()


def test_functions_of_one_folder_share_an_archive_and_others_do_not(tmp_path: Path, bundling: BundleRun) -> None:
    root = write_files(
        tmp_path / "project", {"a/x.js": "exports.run = 1", "a/y.js": "exports.run = 1", "b/x.js": ""}
    )
    spec = function_spec("ax", "x.run", runtime="node22", root="a")
    project = project_with(root, spec, replace(spec, name="ay", handler="y.run"), replace(spec, name="b", root="b"))
    bundles = bundling.bundle_all(project, kind="scaleway")
    assert [sorted(one.function for one in bundle.slices) for bundle in bundles] == [["ax", "ay"], ["b"]]
    assert bundles[0].slice_of("ax").digest != bundles[0].slice_of("ay").digest
    assert len({bundle.path for bundle in bundles}) == 2
