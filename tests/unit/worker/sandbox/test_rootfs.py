"""Root directories where the file system of the data directory or the kernel refuses overlays; the skeleton."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit.worker.sandbox import skeleton

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="roots are Linux only")

PROGRAM = """
import json, os, pwd, sys
from fnkit.worker.sandbox import namespaces, rootfs, syscalls

folder, storage, trial = sys.argv[1], sys.argv[2], sys.argv[3]
namespaces.enter_zygote_namespaces("namespaces")
root = rootfs.RootFilesystem(folder + "/base", folder + "/codes")
root.build()
root.detect_storage(trial)
detected = root.storage
root.storage = getattr(rootfs, storage)
syscalls.unshare(syscalls.CLONE_NEWNS)
root.mount(folder + "/disk")
root.enter()
root.mount_code("mine", 0)
root.leave_outside()
written = []
for directory in ("/", "/etc", "/usr/local", "/opt", "/home/app", "/home/app/function", "/tmp", "/dev/shm"):
    try:
        with open(directory + "/file", "w") as file:
            file.write("x")
        written.append(directory)
    except OSError:
        pass
code = open("/home/app/function/handler.py").read()
seen = [os.listdir("/run/fnkit"), os.path.exists("/etc/os-release"), pwd.getpwuid(os.getuid()).pw_name]
print(json.dumps([detected, written, code, seen]))
"""


def enter_root(folder: Path, storage: str, trial: str) -> list[object]:
    for name in ("base", "disk", "codes/mine"):
        (folder / name).mkdir(parents=True)
    (folder / "codes/mine/handler.py").write_text("code")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, storage, trial],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "unshare" in done.stderr:
        pytest.skip("this machine refuses namespaces")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, list)
    return answer


def test_upper_layers_are_in_memory_if_the_disk_is_unsuitable(tmp_path: Path) -> None:
    detected, written, code, seen = enter_root(tmp_path, "MEMORY", "/proc/unsuitable")
    assert detected == 1
    assert written == [
        "/", "/etc", "/usr/local", "/opt", "/home/app", "/home/app/function", "/tmp", "/dev/shm",
    ]  # fmt: skip
    assert (code, seen) == ("code", [[], True, "app"])
    assert list((tmp_path / "disk").iterdir()) == []
    assert [path.name for path in (tmp_path / "codes/mine").iterdir()] == ["handler.py"]


def test_home_and_tmp_are_writable_without_overlays(tmp_path: Path) -> None:
    _, written, code, seen = enter_root(tmp_path, "READ_ONLY", "/proc/unsuitable")
    assert written == ["/home/app", "/tmp", "/dev/shm"]
    assert (code, seen) == ("code", [[], True, "app"])


def test_only_what_everybody_may_read_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("ssl/certs", "ssl/private"):
        (source / name).mkdir(parents=True)
    for name, mode in (("ssl/certs/public", 0o644), ("ssl/certs/key", 0o640), ("ssl/private/key", 0o644)):
        (source / name).write_text(name)
        (source / name).chmod(mode)
    (source / "ssl/private").chmod(0o750)
    (source / "ssl/certs/link").symlink_to("../private/key")
    target.mkdir()
    skeleton.mirror_directory(str(source), str(target))
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "ssl", "ssl/certs", "ssl/certs/link", "ssl/certs/public",
    ]  # fmt: skip
    assert (target / "ssl/certs/link").is_symlink()


def test_of_a_large_directory_only_directories_are_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "lib").mkdir(parents=True)
    target.mkdir()
    with (source / "lib/large").open("wb") as file:
        file.truncate(9 << 20)
    skeleton.mirror_directory(str(source), str(target))
    assert [path.name for path in target.rglob("*")] == ["lib"]
