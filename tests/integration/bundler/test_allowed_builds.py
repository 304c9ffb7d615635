"""Builds of source distributions run only if the user has allowed them, whatever the repository declares."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fnkit.bundler.builds.permission import BuildRequest
from fnkit.deploy.allowed_builds import AllowedBuilds
from fnkit.errors import BundleError
from fnkit.project.model import Project
from tests.support.bundle_projects import BundleRun, function_spec, project_with
from tests.support.command import FNKIT, Command
from tests.support.package_index import PackageIndex, make_source_distribution, make_wheel
from tests.support.platform import PlatformUnderTest
from tests.support.project_tree import write_files

_BACKEND = """
import zipfile
with open({marker!r}, "a") as file:
    file.write("ran\\n")
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(folder + "/sourced-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("sourced.py", "VALUE = 1\\n")
        metadata = "Metadata-Version: 2.1\\nName: sourced\\nVersion: 1.0\\n"
        archive.writestr("sourced-1.0.dist-info/METADATA", metadata)
        tags = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr("sourced-1.0.dist-info/WHEEL", tags)
        archive.writestr("sourced-1.0.dist-info/RECORD", "")
    return "sourced-1.0-py3-none-any.whl"
"""
_HANDLER = "import sourced\nfrom fnkit import function\n\n@function\ndef hello(event, context):\n    return 1\n"


@dataclass(frozen=True)
class DeclaredBuild:
    """A project that declares a build, and the file that the build writes when it runs."""

    project: Project
    marker: Path

    def has_run(self) -> bool:
        return self.marker.exists()


@pytest.fixture
def declared(tmp_path: Path, index: PackageIndex) -> DeclaredBuild:
    marker = tmp_path / "ran"
    make_source_distribution(index.folder, "sourced", _BACKEND.format(marker=os.fspath(marker)))
    root = tmp_path / "project"
    settings = 'name = "shop"\nsource_builds = ["sourced"]\n'
    write_files(root, {"main.py": _HANDLER, "fnkit.toml": settings, "requirements.txt": "sourced\n"})
    spec = function_spec("hello", "main.hello")
    project = project_with(root, spec, requirements=("sourced",), source_builds=("sourced",))
    return DeclaredBuild(project, marker)


def allow_all(_request: BuildRequest) -> bool:
    return True


def refused(bundling: BundleRun, project: Project) -> BundleError:
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project, kind="scaleway")
    assert raised.value.code == "builds-not-allowed"
    return raised.value


def test_declared_build_is_refused_when_resolving_and_when_bundling(
    declared: DeclaredBuild, bundling: BundleRun, index: PackageIndex
) -> None:
    assert "sourced" in refused(bundling, declared.project).message
    assert index.requests == []
    bundling.bundle(declared.project, kind="scaleway", allow_builds=allow_all)
    declared.marker.unlink()
    for path in (bundling.cache / "layers").iterdir():
        path.unlink()
    bundling.bundle(declared.project, kind="scaleway")  # reuses the wheel that was built
    assert not declared.has_run()
    for path in [*(bundling.cache / "layers").iterdir(), *(bundling.cache / "wheels").iterdir()]:
        path.unlink()
    assert "sourced 1.0" in refused(bundling, declared.project).message
    assert not declared.has_run()


def test_damaged_built_wheel_is_not_built_again_without_permission(
    declared: DeclaredBuild, bundling: BundleRun
) -> None:
    bundling.bundle(declared.project, kind="scaleway", allow_builds=allow_all)
    declared.marker.unlink()
    for path in (bundling.cache / "layers").iterdir():
        path.unlink()
    [wheel] = (bundling.cache / "wheels").glob("*.built.whl")
    wheel.write_bytes(b"")
    refused(bundling, declared.project)
    assert not declared.has_run()


def test_permission_covers_one_directory_and_one_declaration(
    declared: DeclaredBuild, bundling: BundleRun, tmp_path: Path
) -> None:
    environ = {"XDG_STATE_HOME": os.fspath(tmp_path / "state")}
    requests: list[BuildRequest] = []

    def allow_and_record(request: BuildRequest) -> bool:
        requests.append(request)
        AllowedBuilds(environ).add(request)
        return True

    bundling.bundle(declared.project, kind="scaleway", allow_builds=allow_and_record)
    assert [request.packages for request in requests] == [("sourced",), ("sourced 1.0",)]
    allowed = AllowedBuilds(environ)
    assert all(allowed.covers(request) for request in requests)
    for request in requests:
        elsewhere = BuildRequest(root=tmp_path, packages=request.packages, digests=request.digests)
        assert not allowed.covers(elsewhere)
    [record] = (tmp_path / "state" / "fnkit" / "allowed-builds").iterdir()
    assert record.stat().st_mode & 0o777 == 0o600
    record.write_text("{")
    assert not allowed.covers(requests[0])


def build_requests(project: Project, bundling: BundleRun) -> list[BuildRequest]:
    """Bundle with an empty cache, and return the first request for a build, which is refused."""
    requests: list[BuildRequest] = []

    def refuse_and_record(request: BuildRequest) -> bool:
        requests.append(request)
        return False

    shutil.rmtree(bundling.cache, ignore_errors=True)
    with pytest.raises(BundleError, match="not allowed"):
        bundling.bundle(project, kind="scaleway", allow_builds=refuse_and_record)
    return requests


def test_changed_declaration_needs_permission_again(
    declared: DeclaredBuild, bundling: BundleRun, tmp_path: Path
) -> None:
    project = declared.project
    allowed = AllowedBuilds({"XDG_STATE_HOME": os.fspath(tmp_path / "state")})

    def allow_and_record(request: BuildRequest) -> bool:
        allowed.add(request)
        return True

    bundling.bundle(project, kind="scaleway", allow_builds=allow_and_record)
    [unchanged] = build_requests(project, bundling)
    assert allowed.covers(unchanged)
    for changed in (
        replace(project, source_builds=("other", "sourced")),
        replace(project, requirements=("sourced<2",)),
    ):
        [request] = build_requests(changed, bundling)
        assert not allowed.covers(request)
    [request] = build_requests(replace(project, requirements=("sourced", "pure")), bundling)
    assert allowed.covers(request)  # a requirement that is not built
    lock = project.root / "fnkit.python313.scaleway.lock"
    lock.write_text(lock.read_text().replace("http://127.0.0.1", "http://localhost"))
    [request] = build_requests(project, bundling)
    assert not allowed.covers(request)
    write_files(project.root, {"uv.toml": 'extra-index-url = ["http://127.0.0.1:9/simple"]\n'})
    [request] = build_requests(project, bundling)
    assert not allowed.covers(request)


def run_on_terminal(
    root: Path, *arguments: str, answer: str, state: str, cache: Path | None = None
) -> tuple[str, int]:
    """Run fnkit with a terminal as its standard input, and return its output and exit code."""
    main, terminal = pty.openpty()
    try:
        environ = {**os.environ, "XDG_STATE_HOME": state, "FNKIT_CACHE": os.fspath(cache or root.parent / "cache")}
        with subprocess.Popen(
            [FNKIT, *arguments, "-C", root],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            text=True,
        ) as process:
            os.write(main, answer.encode())
            output, _ = process.communicate(timeout=60)
            return output, process.returncode
    finally:
        os.close(main)
        os.close(terminal)


@pytest.mark.long
def test_question_on_a_terminal_is_asked_once(declared: DeclaredBuild, tmp_path: Path) -> None:
    root, state = declared.project.root, os.fspath(tmp_path / "state")
    output, code = run_on_terminal(root, "bundle", answer="n\n", state=state)
    assert (code, output.count("Allow it?")) == (1, 1), output
    assert "not allowed" in output
    assert not declared.has_run()
    output, code = run_on_terminal(root, "bundle", answer="y\n", state=state)
    assert (code, output.count("Allow it?")) == (0, 1), output
    assert declared.has_run()
    output, code = run_on_terminal(root, "bundle", answer="n\n", state=state, cache=tmp_path / "empty")
    assert (code, output.count("Allow it?")) == (0, 0), output


@pytest.mark.long
@pytest.mark.parametrize("flag", [("--allow-builds",), ()])
def test_flag_or_variable_allows_builds_without_a_terminal(
    declared: DeclaredBuild, fnkit: Command, tmp_path: Path, flag: tuple[str, ...]
) -> None:
    places = {"XDG_STATE_HOME": os.fspath(tmp_path / "state"), "FNKIT_CACHE": os.fspath(tmp_path / "cache")}
    command = Command({**fnkit.environment, **places})
    directory = ("-C", os.fspath(declared.project.root))
    done = command("bundle", "--json", *directory)
    assert done.json()["error"]["code"] == "builds-not-allowed"
    assert not declared.has_run()
    variable = None if flag else "1"
    command("bundle", *flag, *directory, FNKIT_ALLOW_BUILDS=variable).ok()
    assert declared.has_run()
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_plan_and_status_never_build(declared: DeclaredBuild, platform: PlatformUnderTest) -> None:
    root = declared.project.root
    local = ("--local", "--json", "-C", os.fspath(root))
    done = platform.command("plan", *local, FNKIT_ALLOW_BUILDS="1")
    assert done.json()["error"]["code"] == "builds-not-allowed"
    status = platform.command("status", *local, FNKIT_ALLOW_BUILDS="1")
    assert "source" in status.stdout + status.stderr
    assert not declared.has_run()
    platform.command("bundle", "--target", "local", "--allow-builds", *local[1:]).ok()
    declared.marker.unlink()
    assert platform.command("plan", *local).ok().json()["summary"]["create"] == 2
    assert not declared.has_run()


def test_requirement_at_a_url_is_not_built_unless_declared(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    marker = tmp_path / "ran"
    make_wheel(index.folder, "pure")
    make_source_distribution(index.folder, "evil", _BACKEND.format(marker=os.fspath(marker)))
    root = tmp_path / "project"
    write_files(root, {"main.py": "def hello(event, context): ...\n"})
    url = index.url.replace("/simple", "").rstrip("/")
    requirement = f"evil @ {url}/files/evil-1.0.tar.gz"
    project = project_with(root, function_spec("hello", "main.hello"), requirements=(requirement,))
    with pytest.raises(BundleError):
        bundling.bundle(project, kind="scaleway")
    assert not marker.exists()
