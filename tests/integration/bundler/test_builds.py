"""Build commands of functions: when they run, what they see, what ships, and what a plan knows without them."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fnkit.bundler.builds import command
from fnkit.bundler.builds.permission import BuildRequest
from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project.model import BuildCommand, Project
from tests.support.bundle_projects import BundleRun, call_handler, function_spec, project_with
from tests.support.package_index import PackageIndex
from tests.support.processes import is_alive
from tests.support.project_tree import write_files
from tests.support.waiting import wait_until

COMMAND = "mkdir -p dist && cat src/*.js > dist/app.js"


def allow(_request: BuildRequest) -> bool:
    return True


def refuse(_request: BuildRequest) -> bool:
    return False


def built_project(
    tmp_path: Path, line: str = COMMAND, *, inputs: tuple[str, ...] = (), output: str = "dist"
) -> Project:
    files = {
        "web/src/a.js": "exports.handle = () => 1;\n",
        "web/notes.txt": "1",
        "web/.env": "KEY=hunter2",
        "web/.gitignore": "dist/\nignored.txt\n",
        "web/ignored.txt": "",
    }
    root = write_files(tmp_path / "project", files)
    build = BuildCommand(command=line, inputs=inputs, output=output)
    return project_with(root, function_spec("web", "dist/app.handle", runtime="node24", root="web", build=build))


def content(bundle: Bundle) -> dict[str, bytes]:
    with zipfile.ZipFile(bundle.path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def failure(bundling: BundleRun, project: Project) -> BundleError:
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway", allow_builds=allow)
    return raised.value


def test_result_of_a_build_ships_at_its_place(tmp_path: Path, bundling: BundleRun) -> None:
    project = built_project(tmp_path)
    bundle = bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert content(bundle) == {
        "dist/app.js": b"exports.handle = () => 1;\n",
        "src/a.js": b"exports.handle = () => 1;\n",
        "notes.txt": b"1",
    }
    assert bundling.stages == ["build", "archive"]
    assert not (project.root / "web" / "dist").exists()


def test_build_needs_permission_for_its_command(tmp_path: Path, bundling: BundleRun) -> None:
    requests: list[BuildRequest] = []

    def record(request: BuildRequest) -> bool:
        requests.append(request)
        return True

    project = built_project(tmp_path)
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway", allow_builds=refuse)
    assert raised.value.code == "builds-not-allowed"
    assert COMMAND in raised.value.message
    bundling.bundle(project, kind="scaleway", allow_builds=record)
    write_files(project.root, {"web/src/a.js": "exports.handle = () => 2;\n"})
    bundling.bundle(project, kind="scaleway", allow_builds=record)
    bundling.bundle(built_project(tmp_path, COMMAND + " "), kind="scaleway", allow_builds=record)
    assert [request.commands for request in requests] == [(COMMAND,), (COMMAND,), (COMMAND + " ",)]
    assert requests[0].digests == requests[1].digests != requests[2].digests


def test_build_runs_once_for_equal_inputs(tmp_path: Path, bundling: BundleRun) -> None:
    project = built_project(tmp_path, f"echo >> {tmp_path}/runs; {COMMAND}", inputs=("src/",))
    for _ in range(2):
        bundling.bundle(project, kind="scaleway", allow_builds=allow)
    write_files(project.root, {"web/notes.txt": "2", "web/ignored.txt": "2"})
    bundling.bundle(project, kind="scaleway", allow_builds=refuse)
    assert (tmp_path / "runs").read_text() == "\n"
    write_files(project.root, {"web/src/b.js": ""})
    bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert (tmp_path / "runs").read_text() == "\n\n"


def test_damaged_result_is_built_again(tmp_path: Path, bundling: BundleRun) -> None:
    project = built_project(tmp_path)
    first = bundling.bundle(project, kind="scaleway", allow_builds=allow)
    [result] = (bundling.cache / "builds").iterdir()
    (result / "dist" / "app.js").write_text("damaged")
    first.path.unlink()
    assert content(bundling.bundle(project, kind="scaleway", allow_builds=allow))["dist/app.js"].startswith(
        b"exports"
    )


def test_plan_runs_nothing_and_knows_the_digests(tmp_path: Path, bundling: BundleRun) -> None:
    project = built_project(tmp_path, f"touch {tmp_path}/ran; {COMMAND}", inputs=("src/", "ignored.txt"))
    planned = bundling.bundle(project, kind="scaleway", allow_builds=None)
    assert planned.needs_build
    assert not planned.path.exists()
    assert not (tmp_path / "ran").exists()
    built = bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert (built.digest, built.slices, built.path) == (planned.digest, planned.slices, planned.path)
    assert not built.needs_build
    assert bundling.bundle(project, kind="scaleway", allow_builds=None) == built
    write_files(project.root, {"web/src/a.js": "exports.handle = () => 3;\n"})
    edited = bundling.bundle(project, kind="scaleway", allow_builds=None)
    assert edited.slice_of("web").digest != built.slice_of("web").digest
    changed = ("src/a.js",)
    assert (
        tuple(sorted({name for name, _ in set(edited.slice_of("web").files) ^ set(built.slice_of("web").files)}))
        == changed
    )


def test_input_that_does_not_ship_changes_the_digest(tmp_path: Path, bundling: BundleRun) -> None:
    project = replace(built_project(tmp_path), exclude=("/web/src/",))
    before = bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert set(content(before)) == {"dist/app.js", "notes.txt"}
    write_files(project.root, {"web/src/a.js": "exports.handle = () => 4;\n"})
    after = bundling.bundle(project, kind="scaleway", allow_builds=allow)
    assert before.slice_of("web").digest != after.slice_of("web").digest


def test_build_sees_its_inputs_and_no_secrets(
    tmp_path: Path, bundling: BundleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SCW_SECRET_KEY", "NPM_TOKEN", "GITHUB_TOKEN", "UV_INDEX_X_PASSWORD", "DATABASE_URL"):
        monkeypatch.setenv(name, "hunter2")
    line = "seen=$(find . -type f) && mkdir dist && env > dist/environment && echo $seen > dist/app.js"
    project = built_project(tmp_path, line, inputs=("src/", "*.txt", "!notes.txt"))
    made = content(bundling.bundle(project, kind="scaleway", allow_builds=allow))
    assert b"hunter2" not in made["dist/environment"]
    assert b"PATH=" in made["dist/environment"]
    assert made["dist/app.js"] == b"./src/a.js\n"


def test_all_made_and_changed_files_ship_without_an_output(tmp_path: Path, bundling: BundleRun) -> None:
    line = "mkdir -p dist node_modules/a && cp src/a.js dist/app.js"
    line += " && echo 2 > notes.txt && touch node_modules/a/b .env"
    made = content(bundling.bundle(built_project(tmp_path, line, output="."), kind="scaleway", allow_builds=allow))
    assert set(made) == {"dist/app.js", "src/a.js", "notes.txt"}
    assert made["notes.txt"] == b"2\n"


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (
            "echo first; echo 'cannot find module' >&2; exit 3",
            "build-command-failed",
            "exit code 3.\n  first\n  cannot find",
        ),
        ("kill -9 $$", "build-command-failed", "signal 9"),
        ("true", "build-output", "made no directory dist"),
        ("mkdir dist", "build-output", "left the directory dist empty"),
        ("ln -s /etc dist", "build-output", "made no directory dist"),
        ("mkdir dist && touch dist/other.js", "handler-not-shipped", "dist/app.js"),
        ("head -c 30000000 /dev/zero | tr '\\0' 'x'; exit 1", "build-command-failed", "exit code 1"),
    ],
)
def test_failed_build_is_reported(tmp_path: Path, bundling: BundleRun, line: str, code: str, words: str) -> None:
    error = failure(bundling, built_project(tmp_path, line))
    assert error.code == code
    assert words in error.message
    assert error.hint
    assert len(error.message) < 20_000
    assert not list((bundling.out).glob("*.zip"))


def test_links_out_of_the_result_do_not_ship(tmp_path: Path, bundling: BundleRun) -> None:
    links = {"passwd": "/etc/passwd", "root": "/", "self": ".", "again.js": "app.js"}
    line = "; ".join((COMMAND, *(f"ln -s {target} dist/{name}" for name, target in links.items())))
    made = content(bundling.bundle(built_project(tmp_path, line), kind="scaleway", allow_builds=allow))
    assert {name for name in made if name.startswith("dist/")} == {"dist/app.js", "dist/again.js"}


def test_build_that_does_not_end_is_stopped_with_its_children(
    tmp_path: Path, bundling: BundleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TIMEOUT_SECONDS", 1)
    error = failure(bundling, built_project(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; sleep 600"))
    assert error.code == "build-command-failed"
    assert "took longer" in error.message
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_alive(child))


def test_no_input_is_reported(tmp_path: Path, bundling: BundleRun) -> None:
    assert failure(bundling, built_project(tmp_path, inputs=("nothing/",))).code == "build-inputs"


def test_build_of_a_python_function(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    root = write_files(
        tmp_path / "project", {"app.py": "from generated import VALUE\n\ndef run(e, c):\n    return VALUE\n"}
    )
    build = BuildCommand(command="echo 'VALUE = 7' > generated.py", inputs=(), output=".")
    spec = function_spec("app", "app.run", build=build)
    project = project_with(root, spec, function_spec("plain", "plain.run"))
    write_files(root, {"plain.py": "def run(e, c):\n    return 1\n"})
    assert index.requests == []
    with_build, plain = bundling.bundle_all(project, kind="local", allow_builds=allow)
    assert [one.function for one in with_build.slices] == ["app"]
    with zipfile.ZipFile(with_build.path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert call_handler(tmp_path / "unpacked", "app.run") == "7"
    assert "generated.py" not in content(plain)


def test_permission_is_recorded_by_what_a_build_declares(tmp_path: Path, bundling: BundleRun) -> None:
    from fnkit.deploy.allowed_builds import AllowedBuilds

    allowed = AllowedBuilds({"XDG_STATE_HOME": os.fspath(tmp_path / "state")})
    seen: list[bool] = []

    def ask(request: BuildRequest) -> bool:
        seen.append(allowed.covers(request))
        allowed.add(request)
        return True

    project = built_project(tmp_path)
    bundling.bundle(project, kind="scaleway", allow_builds=ask)
    write_files(project.root, {"web/src/a.js": "exports.handle = () => 5;\n"})
    bundling.bundle(project, kind="scaleway", allow_builds=ask)
    bundling.bundle(built_project(tmp_path, "mkdir dist; touch dist/app.js"), kind="scaleway", allow_builds=ask)
    assert seen == [False, True, False]


def test_manifest_is_an_input_of_every_node_build(tmp_path: Path, bundling: BundleRun) -> None:
    project = built_project(tmp_path, "mkdir dist && cp package.json dist/app.js", inputs=("src/",))
    write_files(project.root, {"web/package.json": json.dumps({"type": "module"})})
    made = content(bundling.bundle(project, kind="scaleway", allow_builds=allow))
    assert json.loads(made["dist/app.js"]) == {"type": "module"}
