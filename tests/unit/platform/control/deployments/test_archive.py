"""Unpacking untrusted archives: no path escapes the target, the size is limited, and a failure leaves no files."""

from __future__ import annotations

import dataclasses
import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from fnkit.platform.control.deployments.build import build
from fnkit.platform.control.deployments.build_job import STEPS, BuildFailed, BuildJob, BuildLog, BuildStopped


def zipped(*members: tuple[str, bytes, int]) -> bytes:
    """Return a zip archive of members, each a name, content and Unix mode (0: no mode)."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, data)
    return content.getvalue()


def job(tmp_path: Path, content: bytes, *, runtime: str = "python311", steps: list[str] | None = None) -> BuildJob:
    return BuildJob(
        runtime=runtime,
        handler="handler.handle",
        archive=io.BytesIO(content),
        target=tmp_path / "deployments" / "f-1",
        uid=0,
        log=BuildLog(tmp_path / "logs", 1, lambda: "2026-01-01T00:00:00.000000Z"),
        progress=(steps if steps is not None else []).append,
    )


def test_files_folders_and_modes_are_unpacked(tmp_path: Path) -> None:
    steps: list[str] = []
    one = job(
        tmp_path,
        zipped(
            ("handler.py", b"x", 0o600), ("bin/run", b"#!", 0o755), ("empty/", b"", 0), ("package/a.py", b"", 0)
        ),
        steps=steps,
    )
    build(one)

    assert (one.target / "handler.py").stat().st_mode & 0o777 == 0o644
    assert (one.target / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (one.target / "empty").is_dir()
    assert one.target.stat().st_mode & 0o777 == 0o700
    assert steps == list(STEPS)
    assert [entry.name for entry in one.target.parent.iterdir()] == ["f-1"]


@pytest.mark.parametrize(
    "members",
    [
        (("/etc/passwd", b"", 0),),
        (("../up", b"", 0),),
        (("a/../../up", b"", 0),),
        (("link", b"/etc", stat.S_IFLNK | 0o777),),
        (("link", b"..", stat.S_IFLNK | 0o777),),
        (("here", b".", stat.S_IFLNK | 0o777), ("here/up", b"..", stat.S_IFLNK | 0o777)),
        (("a/b/c", b"", 0), ("one", b"a/b", stat.S_IFLNK | 0o777), ("two", b"one/../../..", stat.S_IFLNK | 0o777)),
        (("pipe", b"", stat.S_IFIFO | 0o644),),
        (("both", b"", 0), ("both/in", b"", 0)),
        (("both/in", b"", 0), ("both", b"", 0)),
        (("link", b"\xff\xfe", stat.S_IFLNK | 0o777),),
        (("n" * 300, b"", 0),),
        (("link", b"", stat.S_IFLNK | 0o777),),
        (("both/in", b"", 0), ("both", b"in", stat.S_IFLNK | 0o777)),
        (("file", b"", 0), ("file/link", b".", stat.S_IFLNK | 0o777)),
        (("loop", b"loop", stat.S_IFLNK | 0o777),),
        (("../up/link", b".", stat.S_IFLNK | 0o777),),
        (("x/" * 201 + "file", b"", 0),),
    ],
    ids=lambda members: members[-1][0][:20],
)
def test_unsafe_or_invalid_member_is_rejected_and_leaves_no_files(
    tmp_path: Path, members: tuple[tuple[str, bytes, int], ...]
) -> None:
    one = job(tmp_path, zipped(*members))

    with pytest.raises(BuildFailed):
        build(one)

    assert list((tmp_path / "deployments").iterdir()) == []
    assert {entry.name for entry in tmp_path.iterdir()} <= {"deployments", "logs"}


def test_links_within_the_archive_are_created(tmp_path: Path) -> None:
    one = job(tmp_path, zipped(("lib/tool.js", b"x", 0), ("bin/tool", b"../lib/tool.js", stat.S_IFLNK | 0o777)))
    build(one)

    assert os.readlink(one.target / "bin/tool") == "../lib/tool.js"  # noqa: PTH115 - compares the exact link text


@pytest.mark.parametrize("target", ["../../outside", "{outside}"])
def test_directory_is_not_created_through_a_link(tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = target.format(outside=outside).encode()
    members = [("d", link, stat.S_IFLNK | 0o777), ("d/new/x", b"y", stat.S_IFLNK | 0o777)]
    for order in (members, members[::-1]):
        with pytest.raises(BuildFailed):
            build(job(tmp_path, zipped(*order)))
        assert list(outside.iterdir()) == []


def test_build_can_be_stopped_while_links_are_created(tmp_path: Path) -> None:
    members = [(f"{'d/' * 190}{number}", b"x", stat.S_IFLNK | 0o777) for number in range(20)]
    one = job(tmp_path, zipped(*members))
    checks = iter(range(25))

    def stop_after_all_members() -> bool:
        return next(checks, None) is None

    one.stop.is_set = stop_after_all_members  # type: ignore[method-assign]  # counts the checks
    with pytest.raises(BuildStopped):
        build(one)
    assert list((tmp_path / "deployments").iterdir()) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_member_of_any_compression_fails_the_build(tmp_path: Path, method: int) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as target:
        target.writestr("handler.py", os.urandom(5000))
    damaged = bytearray(content.getvalue())
    damaged[60:200] = bytes(140)

    with pytest.raises(BuildFailed):
        build(job(tmp_path, bytes(damaged)))


def test_zip_bomb_is_stopped_at_the_size_limit_and_leaves_no_files(tmp_path: Path) -> None:
    content = zipped(("a", bytes(600 * 1024), 0), ("b", bytes(600 * 1024), 0))
    assert len(content) < 5000

    with pytest.raises(BuildFailed) as failure:
        build(dataclasses.replace(job(tmp_path, content), unpacked_max=1024 * 1024))

    assert "larger than" in failure.value.detail
    assert list((tmp_path / "deployments").iterdir()) == []
    build(dataclasses.replace(job(tmp_path, content), unpacked_max=1200 * 1024))


@pytest.mark.parametrize("damage", ["truncated", "corrupted", "not a zip", "empty"])
def test_damaged_archive_fails_with_the_recorded_message(tmp_path: Path, damage: str) -> None:
    whole = zipped(("handler.py", os.urandom(5000), 0))
    damaged = {
        "truncated": whole[:-40],
        "corrupted": whole[:200] + bytes(200) + whole[400:],
        "not a zip": b"PK but not a zip",
        "empty": b"",
    }[damage]

    with pytest.raises(BuildFailed) as failure:
        build(job(tmp_path, damaged))

    assert failure.value.message == "an error occurred during function source code build step"
    assert failure.value.detail


def test_encrypted_member_is_rejected(tmp_path: Path) -> None:
    content = bytearray(zipped(("handler.py", b"x", 0)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1

    with pytest.raises(BuildFailed):
        build(job(tmp_path, bytes(content)))


def test_stopped_build_leaves_no_files(tmp_path: Path) -> None:
    one = job(tmp_path, zipped(("handler.py", b"x", 0)))
    one.stop.set()

    with pytest.raises(BuildStopped):
        build(one)

    assert list((tmp_path / "deployments").iterdir()) == []


def test_unsupported_language_error_names_the_runtime(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="the runtime cobol is not available on this platform"):
        build(job(tmp_path, zipped(("a", b"", 0)), runtime="cobol"))


def test_build_without_handler_file_succeeds_and_logs_a_warning(tmp_path: Path) -> None:
    build(job(tmp_path, zipped(("main.py", b"", 0))))

    assert "handler.py, which is not in the archive" in (tmp_path / "logs/build.jsonl").read_text()


def test_build_log_size_is_limited(tmp_path: Path) -> None:
    log = BuildLog(tmp_path, 1, lambda: "now")
    for _ in range(40):
        log.write("x" * 60_000)

    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2.3 * 1024 * 1024
