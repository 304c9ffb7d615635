"""Lock files written by the real resolvers with an index on loopback."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fnkit.bundler.bundle import lock_project
from fnkit.bundler.dependencies.certificates import system_certificates
from fnkit.bundler.dependencies.lockfile import Lock, read_lock
from fnkit.bundler.dependencies.resolver import _index_environment
from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError
from fnkit.project.model import Project, SourceLocation
from tests.support.bundle_projects import LOCAL, BundleRun, function_spec, project_with
from tests.support.package_index import PackageIndex, make_source_distribution, make_wheel, package_index
from tests.support.project_tree import write_files

MUSL = "cp313-cp313-musllinux_1_2_x86_64"
_CPYTHON = f"cp{sys.version_info[0]}{sys.version_info[1]}"
GNU = f"{_CPYTHON}-{_CPYTHON}-manylinux_2_17_x86_64"
LOCAL_TARGETS = {"python313": BundleTarget.parse("python313", LOCAL)}


def shop_project(tmp_path: Path, *requirements: str, source_builds: tuple[str, ...] = ()) -> Project:
    root = tmp_path / "project"
    write_files(root, {"handler.py": "def handle(event, context):\n    return 1\n"})
    return project_with(
        root, function_spec("h", "handler.handle"), requirements=requirements, source_builds=source_builds
    )


def scaleway_lock(project: Project, *, upgrade: bool = False) -> Lock:
    [lock] = lock_project(project, {}, kind="scaleway", upgrade=upgrade)
    return lock


def versions(lock: Lock) -> dict[str, str]:
    return {one.name: one.version for one in lock.packages}


def test_lock_records_the_targets_wheels_with_hashes(tmp_path: Path, index: PackageIndex) -> None:
    musl = make_wheel(index.folder, "fast", tag=MUSL, requires=("Pure-Lib>=1", "never; python_version < '3.13'"))
    make_wheel(index.folder, "fast", tag="cp313-cp313-manylinux_2_17_x86_64")
    make_wheel(index.folder, "pure_lib", "1.2")
    lock = scaleway_lock(shop_project(tmp_path, "fast"))
    assert versions(lock) == {"fast": "1.0", "pure-lib": "1.2"}
    assert lock.packages[0].filename == musl.name
    assert lock.packages[0].sha256 == hashlib.sha256(musl.read_bytes()).hexdigest()
    assert read_lock(lock.path) == lock


def test_unchanged_requirements_send_no_index_request(tmp_path: Path, index: PackageIndex) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path, "pure")
    lock = scaleway_lock(project)
    before = lock.path.stat()
    index.requests.clear()
    assert scaleway_lock(project) == lock
    assert index.requests == []
    assert lock.path.stat().st_mtime_ns == before.st_mtime_ns


def test_locked_versions_are_kept_until_upgrade(tmp_path: Path, index: PackageIndex) -> None:
    make_wheel(index.folder, "pure")
    make_wheel(index.folder, "more")
    scaleway_lock(shop_project(tmp_path, "pure"))
    make_wheel(index.folder, "pure", "2.0")
    kept = scaleway_lock(shop_project(tmp_path, "pure", "more"))
    assert versions(kept) == {"more": "1.0", "pure": "1.0"}
    upgraded = scaleway_lock(shop_project(tmp_path, "pure", "more"), upgrade=True)
    assert versions(upgraded) == {"more": "1.0", "pure": "2.0"}


def test_local_lock_follows_scaleway_lock_and_notes_differences(tmp_path: Path, index: PackageIndex) -> None:
    make_wheel(index.folder, "fast", "1.0", tag=MUSL)
    make_wheel(index.folder, "fast", "2.0", tag=GNU)
    make_wheel(index.folder, "pure", "1.0")
    project = shop_project(tmp_path, "fast", "pure")
    assert versions(scaleway_lock(project)) == {"fast": "1.0", "pure": "1.0"}
    make_wheel(index.folder, "pure", "3.0")
    [local] = lock_project(project, LOCAL_TARGETS, kind="local")
    assert versions(local) == {"fast": "2.0", "pure": "1.0"}
    assert local.notes == ("fast is locked to 2.0 here and to 1.0 for Scaleway.",)
    assert local.path.name == "fnkit.python313.local.lock"


def test_version_limited_by_c_library_is_noted(tmp_path: Path, index: PackageIndex) -> None:
    make_wheel(index.folder, "fast", "1.0", tag=MUSL)
    make_wheel(index.folder, "fast", "2.0", tag="cp313-cp313-manylinux_2_17_x86_64")
    assert scaleway_lock(shop_project(tmp_path, "fast")).notes == ("fast 1.0 is locked: 2.0 has no musl wheel.",)


@pytest.mark.parametrize(
    ("requirements", "code", "parts"),
    [
        (("absent-thing",), "unknown-package", ("absent-thing", "requirements.txt")),
        (("gnu-only",), "no-wheel", ("gnu-only", "Python 3.13", "musllinux_1_2_x86_64")),
        (("pure==1.0", "wants-two"), "requirements-conflict", ("pure==1.0",)),
        (("pure ===(",), "requirement-syntax", ("requirements.txt",)),
        (("pure @ file:///nowhere/at/all",), "requirement-not-lockable", ("requirements.txt",)),
    ],
)
def test_unlockable_requirement_error_gives_reason_and_hint(
    tmp_path: Path, index: PackageIndex, requirements: tuple[str, ...], code: str, parts: tuple[str, ...]
) -> None:
    make_wheel(index.folder, "gnu_only", tag="cp313-cp313-manylinux_2_17_x86_64")
    make_wheel(index.folder, "pure")
    make_wheel(index.folder, "pure", "2.0")
    make_wheel(index.folder, "wants_two", requires=("pure>=2",))
    project = shop_project(tmp_path, *requirements)
    with pytest.raises(BundleError) as raised:
        scaleway_lock(project)
    assert raised.value.code == code
    assert all(part in raised.value.message for part in parts), raised.value.message
    assert "fnkit-lock" not in raised.value.message
    assert "warning" not in raised.value.message
    assert raised.value.hint is not None
    assert not list(project.root.glob("*.lock"))


@pytest.mark.parametrize(
    ("requirements", "code", "hint"),
    [
        (("more", "pure>=99"), "no-such-version", "Correct the version in requirements.txt:2."),
        (("more", "pure==1.5"), "no-such-version", "Correct the version in requirements.txt:2."),
        (
            ("more", "pure==1.0", "wants-two"),
            "requirements-conflict",
            "Relax one of them: pure==1.0 (requirements.txt:2), wants-two (requirements.txt:3).",
        ),
        (("more", "gnu-only"), "no-wheel", 'allow building it: source_builds = ["gnu-only"] in [tool.fnkit]'),
        (("more", "absent-thing"), "unknown-package", "Check the spelling"),
    ],
)
def test_unlockable_requirement_error_has_its_line(
    tmp_path: Path, index: PackageIndex, requirements: tuple[str, ...], code: str, hint: str
) -> None:
    make_wheel(index.folder, "gnu_only", tag="cp313-cp313-manylinux_2_17_x86_64")
    make_wheel(index.folder, "more")
    make_wheel(index.folder, "pure")
    make_wheel(index.folder, "pure", "2.0")
    make_wheel(index.folder, "wants_two", requires=("pure>=2",))
    sources = tuple(SourceLocation("requirements.txt", number + 1) for number in range(len(requirements)))
    with pytest.raises(BundleError) as raised:
        scaleway_lock(replace(shop_project(tmp_path, *requirements), requirement_sources=sources))
    error = raised.value
    assert (error.code, error.file, error.line) == (code, "requirements.txt", 2), error.message
    assert hint in (error.hint or "")


@pytest.mark.usefixtures("index")
def test_locking_offline_without_cache_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(BundleError) as raised:
        scaleway_lock(shop_project(tmp_path, "pure"))
    assert raised.value.code == "offline"


@pytest.mark.usefixtures("index")
def test_unreachable_index_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with package_index(tmp_path / "stopped") as stopped:
        monkeypatch.setenv("UV_DEFAULT_INDEX", stopped.url)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(BundleError) as raised:
        scaleway_lock(shop_project(tmp_path, "pure"))
    assert raised.value.code == "index-unreachable"


def test_lock_contains_no_credentials_or_local_paths(
    tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure")
    make_wheel(tmp_path / "links", "linked")
    index.credentials = "someone:hidden-word"
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url_for(index.credentials))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    project = shop_project(tmp_path, "pure", "linked")
    lock = scaleway_lock(project)
    text = lock.path.read_text()
    assert "hidden-word" not in text
    assert str(tmp_path) not in text
    # pip downloads these files: it has the credentials and the links folder, and checks the hash.
    bundle = bundling.bundle(project, kind="scaleway")
    assert [one.name for one in bundle.dependencies] == ["linked", "pure"]


def test_uv_trusts_the_certificates_that_pip_trusts() -> None:
    found = system_certificates()
    assert found is None or Path(found).exists()
    assert _index_environment({}).get("UV_SYSTEM_CERTS") == ("true" if found is not None else None)
    assert _index_environment({"UV_SYSTEM_CERTS": "false"})["UV_SYSTEM_CERTS"] == "false"
    assert "UV_SYSTEM_CERTS" not in _index_environment({"SSL_CERT_FILE": "/company.pem"})
    assert _index_environment({"PIP_CERT": "/company.pem"})["SSL_CERT_FILE"] == "/company.pem"


def test_further_index_of_uv_is_not_confused_with_the_public_one(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(index.folder, "pure", "99.0")
    project = shop_project(tmp_path, "pure")
    with package_index(tmp_path / "private") as private:
        make_wheel(private.folder, "pure", "1.0")
        private.credentials = "someone:hidden-word"
        monkeypatch.setenv("UV_INDEX", "ours=" + private.url_for(private.credentials))
        with pytest.raises(BundleError) as raised:
            lock_project(project, LOCAL_TARGETS, kind="local", backend="pip-tools")
        assert raised.value.code == "pip-indexes"
        assert "hidden-word" not in raised.value.message
        bundle = bundling.bundle(project)  # pip fetches the file, with the credentials and from the private index
        assert [(one.name, one.version) for one in bundle.dependencies] == [("pure", "1.0")]
    environment = _index_environment({"UV_INDEX": "https://a.test", "UV_EXTRA_INDEX_URL": "https://b.test"})
    assert "PIP_EXTRA_INDEX_URL" not in environment
    assert _index_environment({"PIP_EXTRA_INDEX_URL": "https://a.test"})["UV_INDEX"] == "https://a.test"


def test_wrong_index_credentials_are_an_error_that_hides_them(
    tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(index.folder, "pure")
    index.credentials = "someone:hidden-word"
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url_for("someone:wrong-word"))
    with pytest.raises(BundleError) as raised:
        scaleway_lock(shop_project(tmp_path, "pure"))
    assert "wrong-word" not in raised.value.message + str(raised.value.hint)
    assert raised.value.code == "index-credentials"


@pytest.mark.long
def test_piptools_locks_for_an_installed_python(tmp_path: Path, index: PackageIndex) -> None:
    make_wheel(index.folder, "fast", tag=GNU, requires=("pure",))
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path, "fast")
    [lock] = lock_project(project, LOCAL_TARGETS, kind="local", backend="pip-tools")
    assert versions(lock) == {"fast": "1.0", "pure": "1.0"}
    [by_uv] = lock_project(project, LOCAL_TARGETS, kind="local", upgrade=True)
    assert [one.sha256 for one in by_uv.packages] == [one.sha256 for one in lock.packages]


@pytest.mark.long
def test_modules_of_a_repository_are_not_imported_by_resolvers_and_downloads(
    tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path, "pure")
    marker = tmp_path / "ran"
    modules = ("pip", "piptools", "click", "build", "sitecustomize", "usercustomize")
    write_files(project.root, {f"{name}.py": f"open({str(marker)!r}, 'w').close()\n" for name in modules})
    monkeypatch.chdir(project.root)
    lock_project(project, LOCAL_TARGETS, kind="local", backend="pip-tools")
    # uv locks a file behind a login without it, so pip downloads the file.
    index.credentials = "someone:word"
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url_for(index.credentials))
    lock_project(project, LOCAL_TARGETS, kind="local", upgrade=True)
    assert BundleRun(tmp_path).bundle(project).dependencies
    assert not marker.exists()


def test_relative_indexes_of_a_project_are_found(tmp_path: Path, index: PackageIndex) -> None:
    project = shop_project(tmp_path, "local-only")
    make_wheel(index.folder, "pure")
    links = project.root / "wheels"
    links.mkdir()
    make_wheel(links, "local_only", requires=("pure",))
    for settings in (
        'find-links = ["wheels"]',
        'find-links = ["./wheels"]',
        '[tool.uv.pip]\nfind-links = ["wheels"]',
    ):
        write_files(project.root, {"pyproject.toml": f"[tool.uv]\nprerelease = 'allow'\n{settings}\n"})
        assert versions(scaleway_lock(project, upgrade=True)) == {"local-only": "1.0", "pure": "1.0"}


@pytest.mark.long
def test_piptools_rejects_targets_it_cannot_lock_for(tmp_path: Path, index: PackageIndex) -> None:
    make_wheel(index.folder, "fast", tag=GNU)
    minor = sys.version_info[1]
    musl = BundleTarget.parse("python313", f"cpython-3.{minor}-x86_64-linux-musl")
    missing = BundleTarget.parse("python313", "cpython-3.99-x86_64-linux-gnu")
    for target, code in ((musl, "no-wheel"), (missing, "no-interpreter")):
        with pytest.raises(BundleError) as raised:
            lock_project(shop_project(tmp_path, "fast"), {"python313": target}, kind="local", backend="pip-tools")
        assert raised.value.code == code


def test_invalid_lock_file_error_names_the_file(tmp_path: Path) -> None:
    project = shop_project(tmp_path, "pure")
    for text in ("not toml [", "a = 1\n", '[tool.fnkit]\nversion = 99\nruntime=""\ntarget=""\nkey=""\n'):
        (project.root / "fnkit.python313.scaleway.lock").write_text(text)
        with pytest.raises(BundleError) as raised:
            scaleway_lock(project)
        assert raised.value.code == "lock-file"
        assert "fnkit.python313.scaleway.lock" in raised.value.message


def test_uv_constraints_apply_and_invalidate_the_lock(tmp_path: Path, index: PackageIndex) -> None:
    make_wheel(index.folder, "pure", "1.0")
    make_wheel(index.folder, "pure", "2.0")
    project = shop_project(tmp_path, "pure")
    assert versions(scaleway_lock(project)) == {"pure": "2.0"}
    write_files(
        project.root,
        {"pyproject.toml": '[tool.uv]\nconstraint-dependencies = ["pure<2"]\n'},
    )
    assert versions(scaleway_lock(project)) == {"pure": "1.0"}


@pytest.mark.parametrize(
    "settings",
    [
        'no-binary-package = ["evil"]',
        "no-binary = true",
        '[tool.uv.pip]\nno-binary = ["evil"]\nonly-binary = []',
        '[tool.uv.pip]\npython = "{folder}/python"',
        'cache-dir = "{folder}/cache"',
    ],
)
def test_settings_of_a_repository_run_no_code_and_write_no_files(
    tmp_path: Path, index: PackageIndex, settings: str
) -> None:
    marker = tmp_path / "chosen" / "ran"
    marker.parent.mkdir()
    make_source_distribution(index.folder, "evil", f"open({str(marker)!r}, 'w').close()\n")
    program = marker.parent / "python"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    project = shop_project(tmp_path, "evil")
    text = "[tool.uv]\n" + settings.format(folder=marker.parent)
    write_files(project.root, {"pyproject.toml": text})
    with pytest.raises(BundleError) as raised:
        scaleway_lock(project)
    assert raised.value.code == "no-wheel"
    assert [path.name for path in marker.parent.iterdir()] == ["python"]


def test_allowed_build_sees_no_keys_of_the_environment(
    tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    backend = f"import os\nopen({str(seen)!r}, 'w').write(repr(sorted(os.environ)))\nraise SystemExit(1)\n"
    make_source_distribution(index.folder, "sourced", backend)
    for name in (
        "SCW_SECRET_KEY",
        "CI_TOKEN",
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "DATABASE_URL",
        "UV_PUBLISH_TOKEN",
    ):
        monkeypatch.setenv(name, "hunter2")
    project = shop_project(tmp_path, "sourced", source_builds=("sourced",))
    with pytest.raises(BundleError, match="sourced"):
        lock_project(project, {}, kind="scaleway", allow_builds=lambda _: True)
    names = seen.read_text()
    assert "PATH" in names
    assert not [name for name in ("SCW_", "TOKEN", "AWS_", "DATABASE_URL") if name in names]


SHA256 = "0" * 64


@pytest.mark.parametrize(
    ("kind", "name", "url", "reason"),
    [
        ("sdist", "pure-1.0.tar.gz", "https://a.test/x", "built from source"),
        ("sdist", "../../x.tar.gz", "https://a.test/x", "not the name"),
        ("wheel", "../pure-1.0-py3-none-any.whl", "https://a.test/x", "not the name"),
        ("wheel", "other-1.0-py3-none-any.whl", "https://a.test/x", "not the name"),
        ("wheel", "pure-2.0-py3-none-any.whl", "https://a.test/x", "not the name"),
        ("wheel", "pure-1.0-py3-none-any.whl", "file:///etc/passwd", "URL"),
    ],
)
def test_foreign_lock_is_rejected_before_anything_is_fetched(
    tmp_path: Path, index: PackageIndex, kind: str, name: str, url: str, reason: str
) -> None:
    make_wheel(index.folder, "pure")
    file = f'{{ name = "{name}", url = "{url}", hashes = {{ sha256 = "{SHA256}" }} }}'
    package = f"sdist = {file}" if kind == "sdist" else f"wheels = [{file}]"
    project = shop_project(tmp_path, "pure")
    written = scaleway_lock(project)
    text = written.path.read_text()
    head, _, tail = text.partition("wheels = [")
    written.path.write_text(head + package + "\n" + tail.partition("\n")[2])
    index.requests.clear()
    with pytest.raises(BundleError, match=reason) as raised:
        scaleway_lock(project)
    assert raised.value.code == "lock-file"
    assert index.requests == []


def test_project_without_requirements_has_no_lock(tmp_path: Path) -> None:
    project = shop_project(tmp_path)
    assert lock_project(project, {}, kind="scaleway") == ()
    assert [path.name for path in project.root.iterdir()] == ["handler.py"]
