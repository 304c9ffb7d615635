"""TypeScript handlers: compiled by the project's build script or esbuild, and found where their strings point."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from fnkit.bundler.builds.permission import BuildRequest
from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project.model import Project
from tests.support.bundle_projects import BundleRun, function_spec, project_with
from tests.support.project_tree import write_files
from tests.support.toolchains import missing_toolchain, require_program

SOURCE = "import { name } from './name';\n\nexport const handle = (event: unknown): string => `hello ${name}`;\n"
COMPILED_MODULE = "export const handle = () => 'compiled';\n"
COMPILED = "exports.handle = () => 'compiled';\n"


def allow(_request: BuildRequest) -> bool:
    return True


def typescript_project(tmp_path: Path, manifest: dict[str, object], **files: str) -> Project:
    root = tmp_path / "project"
    write_files(root / "ts", {"src/handler.ts": SOURCE, "src/name.ts": "export const name: string = 'types';\n"})
    write_files(root / "ts", {"package.json": json.dumps(manifest), **files})
    return project_with(root, function_spec("ts", "src/handler.handle", runtime="node22", root="ts"))


def member_names(bundle: Bundle) -> set[str]:
    with zipfile.ZipFile(bundle.path) as archive:
        return set(archive.namelist())


def call(bundle: Bundle, folder: Path) -> str:
    """Load the handler as the platform does, by the path without an extension."""
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(folder)
    program = "import('./src/handler.js').then(m => console.log((m.handle ?? m.default.handle)({})))"
    node = require_program("node")
    done = subprocess.run([node, "-e", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("made", "kind", "compiled"),
    [
        ("src/handler.js", "commonjs", COMPILED),
        ("dist/handler.js", "commonjs", COMPILED),
        ("out/src/handler.js", "commonjs", COMPILED),
        ("dist/handler.js", "module", COMPILED_MODULE),
        ("dist/handler.mjs", "module", COMPILED_MODULE),
        ("dist/handler.cjs", "module", COMPILED),
    ],
)
def test_build_script_compiles_the_handler(
    tmp_path: Path, bundling: BundleRun, made: str, kind: str, compiled: str
) -> None:
    require_program("npm")
    script = f"mkdir -p {Path(made).parent} && cp compiled {made}"
    project = typescript_project(tmp_path, {"type": kind, "scripts": {"build": script}}, compiled=compiled)
    bundle = bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert {made, "src/handler.js", "src/handler.ts", "package.json"} <= member_names(bundle)
    assert call(bundle, tmp_path / "unpacked") == "compiled"


def test_compiling_needs_permission_and_a_plan_does_not(tmp_path: Path, bundling: BundleRun) -> None:
    requests: list[BuildRequest] = []

    def refuse(request: BuildRequest) -> bool:
        requests.append(request)
        return False

    manifest: dict[str, object] = {"scripts": {"build": "touch src/handler.js"}}
    project = typescript_project(tmp_path, manifest)
    planned = bundling.bundle(project, kind="scaleway", allow_builds=None)
    assert planned.needs_build
    for script in ("touch src/handler.js", "touch src/handler.js; touch other"):
        write_files(project.root / "ts", {"package.json": json.dumps({"scripts": {"build": script}})})
        with pytest.raises(BundleError) as raised:
            bundling.bundle(project, kind="scaleway", allow_builds=refuse)
        assert raised.value.code == "builds-not-allowed"
    assert [request.commands for request in requests] == [
        ("npm run build: touch src/handler.js",),
        ("npm run build: touch src/handler.js; touch other",),
    ]
    assert requests[0].digests != requests[1].digests


def test_script_that_does_not_compile_the_handler_is_reported(tmp_path: Path, bundling: BundleRun) -> None:
    require_program("npm")
    project = typescript_project(tmp_path, {"scripts": {"build": "echo > other.js"}})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert raised.value.code == "handler-not-shipped"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({}, "has neither a build script nor esbuild"),
        ({"devDependencies": {"esbuild": "1"}}, "has esbuild, but no lock file beside it"),
    ],
)
def test_missing_compiler_is_reported(
    tmp_path: Path, bundling: BundleRun, manifest: dict[str, object], words: str
) -> None:
    with pytest.raises(BundleError) as raised:
        bundling.bundle(typescript_project(tmp_path, manifest), kind="scaleway", allow_builds=allow)
    assert raised.value.code == "typescript-tool"
    assert words in raised.value.message


def test_javascript_beside_the_source_needs_no_compiler(tmp_path: Path, bundling: BundleRun) -> None:
    project = typescript_project(tmp_path, {}, **{"src/handler.js": COMPILED, ".gitignore": "*.js\n"})
    bundle = bundling.bundle(project, kind="scaleway")
    assert call(bundle, tmp_path / "unpacked") == "compiled"


@pytest.mark.long
@pytest.mark.parametrize("kind", ["module", "commonjs"])
def test_esbuild_bundles_the_handler_with_a_source_map(tmp_path: Path, bundling: BundleRun, kind: str) -> None:
    npm = require_program("npm")
    manifest: dict[str, object] = {"type": kind, "devDependencies": {"esbuild": "^0.17.18", "is-odd": "3.0.1"}}
    manifest["dependencies"] = {"ms": "2.1.3"}
    alias = {"compilerOptions": {"baseUrl": ".", "paths": {"@own/*": ["src/*"]}}}
    project = typescript_project(tmp_path, manifest, **{"tsconfig.json": json.dumps(alias)})
    imports = "import ms from 'ms';\nimport isOdd from 'is-odd';\nimport { name } from '@own/name';\n"
    handler = "export const handle = (): string => `hello ${name} ${ms(1000)} ${isOdd(3)}`;\n"
    write_files(project.root / "ts", {"src/handler.ts": imports + handler})
    lock = subprocess.run(
        [npm, "install", "--package-lock-only", "--ignore-scripts", "--no-audit"],
        cwd=project.root / "ts",
        capture_output=True,
        text=True,
        check=False,
    )
    if lock.returncode != 0:
        missing_toolchain(f"esbuild cannot be locked: {lock.stderr[-300:]}")
    bundle = bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert bundling.stages == ["install", "layer", "build", "archive"]
    expected = {"src/handler.js", "src/handler.js.map", "src/handler.ts", "src/name.ts", "package.json"}
    own = {name for name in member_names(bundle) if not name.startswith("node_modules/ms/")}
    assert own == {*expected, "tsconfig.json"}
    assert call(bundle, tmp_path / "unpacked") == "hello types 1s true"
    broken = project.root / "ts" / "src" / "handler.ts"
    broken.write_text("export const handle = (\n")
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert raised.value.code == "build-command-failed"
    assert "src/handler.ts:2" in raised.value.message


@pytest.mark.slow
def test_node_and_npm_beside_fnkit_compile(
    tmp_path: Path, bundling: BundleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "mkdir", "cp"):
        (tools / name).symlink_to(require_program(name))
    scripts = {"build": "npm run copy", "copy": "mkdir dist && cp compiled dist/handler.js && node -p 1"}
    project = typescript_project(tmp_path, {"scripts": scripts}, compiled=COMPILED)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tools))
        bundle = bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert "dist/handler.js" in member_names(bundle)
