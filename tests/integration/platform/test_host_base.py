"""The base of an image that is made of this machine's files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fnkit.contract.runtimes import RUNTIMES, python_version
from fnkit.errors import PlatformError
from fnkit.platform.control.images.host_base import host_base_key, make_host_base
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.machine_files import MachineFiles
from fnkit.platform.control.images.standard_library import StandardLibrary, add_standard_library
from fnkit.platform.model.images import BaseImage
from fnkit.toolchains.interpreter import Interpreter
from fnkit.toolchains.resolution import Toolchains

needs_chroot = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changing the root directory needs root on Linux"
)
IMPORTS = (
    "import ssl, sqlite3, ctypes, decimal, hashlib, lzma, bz2, zoneinfo, asyncio, multiprocessing, subprocess, "
    "getpass, socket, json, locale, os, readline, sys, uuid"
)


def interpreters() -> list[Interpreter]:
    """Return the interpreters of this machine, the oldest first."""
    toolchains = Toolchains()
    found: dict[str, Interpreter] = {}
    for runtime in RUNTIMES:
        if python_version(runtime.name) is not None:
            with suppress(PlatformError):
                interpreter = toolchains.resolve(runtime.name).interpreter
                found[interpreter.path] = interpreter
    return sorted(found.values(), key=lambda one: one.version)


class HostBase:
    """A base made of this machine's files, in a store, and unpacked."""

    def __init__(self, interpreter: str, folder: Path) -> None:
        self.store = LayerStore(folder / "store")
        self.image: BaseImage = make_host_base(interpreter, self.store)
        self.root = folder / "root"
        with self.archive() as archive:
            archive.extractall(self.root, filter="fully_trusted")  # noqa: S202 - our own layer

    @contextmanager
    def archive(self) -> Iterator[tarfile.TarFile]:
        with (
            self.store.open(self.image.layers[0].digest) as stored,
            tarfile.open(fileobj=stored, mode="r:gz") as archive,
        ):
            yield archive

    def run(self, program: str, *, user: str = "1000:1000", **environment: str) -> str:
        """Run a program with the interpreter where nothing but the base exists, and return its output."""
        command = ["/usr/sbin/chroot", f"--userspec={user}", str(self.root), self.image.interpreter, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module", params=["oldest", "newest"])
def host_base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HostBase:
    interpreter = interpreters()[0 if request.param == "oldest" else -1]
    return HostBase(interpreter.path, tmp_path_factory.mktemp(request.param))


@needs_chroot
@pytest.mark.long
class TestHostBase:
    def test_interpreter_imports_its_library_as_the_user_of_instances(self, host_base: HostBase) -> None:
        program = "print(getpass.getuser(), os.path.expanduser('~'), os.access(os.path.expanduser('~'), os.W_OK))"
        assert host_base.run(f"{IMPORTS}\n{program}") == "app /home/app True"
        assert host_base.run(f"{IMPORTS}\n{program}", user="0:0") == "root /root True"

    def test_all_modules_that_can_be_imported_here_can_be_imported_there(self, host_base: HostBase) -> None:
        with host_base.archive() as archive:
            files = [name.rpartition("/")[2] for name in archive.getnames() if "/lib-dynload/" in name]
        extensions = {name.partition(".")[0] for name in files if name.endswith(".so")}
        program = f"""
import importlib
for name in {sorted(extensions)}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, error)
"""
        here = subprocess.run(
            [host_base.image.interpreter, "-B", "-S", "-c", program],
            env={}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert len(extensions) > 20
        assert host_base.run(program) == here.stdout.strip()

    def test_programs_find_a_shell_temporary_directories_names_and_a_locale(self, host_base: HostBase) -> None:
        program = f"""{IMPORTS}
import tempfile
print(subprocess.run("echo x", shell=True, capture_output=True, text=True).stdout.strip())
print(tempfile.gettempdir(), os.stat("/tmp").st_mode & 0o7777 == 0o1777, os.access("/var/tmp", os.W_OK))
print(locale.setlocale(locale.LC_ALL, "C.UTF-8"), socket.gethostbyname("127.0.0.1"))
print(zoneinfo.ZoneInfo("Europe/Paris"), os.path.exists("/etc/os-release"))
"""
        lines = host_base.run(program, **host_base.image.environment).splitlines()
        zone = f"Europe/Paris {Path('/etc/os-release').exists()}"
        assert lines == ["x", "/tmp True True", "C.UTF-8 127.0.0.1", zone]

    def test_tls_trusts_the_authorities_that_this_machine_trusts(self, host_base: HostBase) -> None:
        program = (
            "import ssl; found = ssl.create_default_context().get_ca_certs(); "
            "print(sorted({one['serialNumber'] for one in found}))"
        )
        command = [host_base.image.interpreter, "-B", "-S", "-c", program]
        here = subprocess.run(command, env={}, capture_output=True, text=True, check=True).stdout.strip()
        if here == "[]":
            pytest.skip("this machine has no certificate authorities")
        assert host_base.run(program) == here

    def test_layer_contains_nothing_private_and_no_packages(self, host_base: HostBase) -> None:
        with host_base.archive() as archive:
            members = archive.getmembers()
            names = [member.name for member in members]
            assert [one.name for one in members if one.isfile() and not one.mode & 0o004] == []
            assert [one.name for one in members if one.isdir() and one.mode & 0o005 != 0o005] == []
            assert [one.name for one in members if one.mode & 0o6000 or one.mtime] == []
            assert [name for name in names if "-packages" in name or "sitecustomize" in name] == []
            assert [name for name in names if "/private/" in name or name.endswith((".key", ".a"))] == []
            contents = (archive.extractfile(one) for one in members if one.isfile() and "/ssl/" in one.name)
            assert not any(b"PRIVATE KEY-----" in content.read() for content in contents if content is not None)
            links = [one for one in members if one.issym()]
        assert [link.name for link in links if not self.leads_somewhere(host_base.root, link.name)] == []

    @staticmethod
    def leads_somewhere(root: Path, name: str) -> bool:
        """Return whether a link has a target where ``root`` is the root directory."""
        path, links = Path("/", name), 0
        while (root / str(path).lstrip("/")).is_symlink() and links < 40:
            target = str((root / str(path).lstrip("/")).readlink())
            path, links = Path(os.path.normpath(path.parent / target)), links + 1
        return (root / str(path).lstrip("/")).exists()

    def test_modules_are_imported_from_bytecode_whatever_the_source_is(self, host_base: HostBase) -> None:
        path = host_base.run("import colorsys; print(colorsys.__file__)")
        (host_base.root / path.lstrip("/")).write_text("raise SystemExit(9)")
        assert host_base.run("import colorsys; print(colorsys.__file__)") == path

    def test_same_files_give_the_same_layer(self, host_base: HostBase, tmp_path: Path) -> None:
        again = make_host_base(host_base.image.interpreter, LayerStore(tmp_path / "again"))
        assert again == host_base.image


def test_standard_library_is_taken_without_tests_packages_and_what_administrators_added(tmp_path: Path) -> None:
    library, work = tmp_path.resolve() / "python3.12", tmp_path / "work"
    for name in (
        "os.py", "broken.py", "sitecustomize.py", "json/tool.py", "test/support.py", "unittest/test/x.py",
        "site-packages/x.py", "config-3.12/libpython.a", "lib-dynload/_json.so", "lib-dynload/_testcapi.so",
        "__pycache__/os.cpython-312.pyc", "data.txt",
    ):  # fmt: skip
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("1 +" if name == "broken.py" else "")
    work.mkdir()
    files = MachineFiles()
    described = StandardLibrary((str(library),), "cpython-312", ())
    extensions = add_standard_library(described, os.path.realpath(sys.executable), files, work)
    paths = {entry.path.removeprefix(f"{library}/".lstrip("/")) for entry in files.entries if entry.source}
    assert extensions == [str(library / "lib-dynload" / "_json.so")]
    assert paths == {
        "os.py", "broken.py", "json/tool.py", "lib-dynload/_json.so", "data.txt",
        "__pycache__/os.cpython-312.pyc", "json/__pycache__/tool.cpython-312.pyc",
    }  # fmt: skip
    assert all((library / name).read_bytes() == b"" for name in ("__pycache__/os.cpython-312.pyc", "os.py"))


COLLECT = """
import sys
from pathlib import Path
from fnkit.platform.control.images.host_base import add_libraries
from fnkit.platform.control.images.layer import write_layer
from fnkit.platform.control.images.machine_files import MachineFiles
from fnkit.platform.control.images.shared_libraries import LibraryFinder, read_program

program, layer = sys.argv[1:]
files = MachineFiles()
files.add(program)
files.add("/lib64")
loader = read_program(program).loader
files.add(loader)
add_libraries(files, LibraryFinder(loader), program, [])
with Path(layer).open("wb") as output:
    write_layer(files.entries, output)
"""


@needs_chroot
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_library_that_only_the_cache_of_the_loader_knows_is_found(tmp_path: Path) -> None:
    (tmp_path / "part.c").write_text("int part(void) { return 42; }")
    (tmp_path / "main.c").write_text("int part(void); int main(void) { return part(); }")
    (tmp_path / "part").mkdir()
    library, program, cache = tmp_path / "part" / "libpart.so.1", tmp_path / "program", tmp_path / "cache"
    gcc = ["gcc", "-Wl,-soname,libpart.so.1"]
    subprocess.run([*gcc, "-shared", "-o", library, tmp_path / "part.c"], check=True)
    subprocess.run(["gcc", "-o", program, tmp_path / "main.c", library], check=True)
    directories = tmp_path / "directories"
    directories.write_text(f"{library.parent}\n")
    subprocess.run(["/usr/sbin/ldconfig", "-X", "-C", cache, "-f", directories], check=True)
    in_namespace = f'mount --bind {cache} /etc/ld.so.cache && exec "$@"'
    command = [sys.executable, "-c", COLLECT, str(program), str(tmp_path / "layer")]
    subprocess.run(["unshare", "--mount", "sh", "-c", in_namespace, "sh", *command], check=True)
    with tarfile.open(tmp_path / "layer", mode="r:gz") as archive:
        archive.extractall(tmp_path / "root", filter="fully_trusted")  # noqa: S202 - our own layer
    assert subprocess.run(["/usr/sbin/chroot", tmp_path / "root", program], env={}, check=False).returncode == 42


def test_interpreter_that_cannot_be_copied_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    private = tmp_path / "python3"
    shutil.copyfile(os.path.realpath(sys.executable), private)
    private.chmod(0o700)
    for path, reason in (
        (tmp_path / "nothing", "No such file or directory"),
        (script, "it is not an ELF executable"),
        (private, f"{private} is not readable by everybody"),
    ):
        with pytest.raises(PlatformError) as raised:
            make_host_base(str(path), LayerStore(tmp_path / "store"))
        assert (raised.value.code, raised.value.message) == (
            "image-base",
            f"The interpreter {path} cannot be copied into an image: {reason}.",
        )
        assert raised.value.hint
    assert LayerStore(tmp_path / "store").sizes() == {}


def test_key_of_a_base_changes_with_the_interpreter(tmp_path: Path) -> None:
    interpreter = tmp_path / "bin" / "python3.12"
    library = tmp_path / "lib" / "python3.12"
    for directory in (interpreter.parent, library):
        directory.mkdir(parents=True)
    keys = [host_base_key(str(interpreter))]
    for path in (interpreter, library / "os.py", tmp_path / "lib" / "libpython3.12.so.1.0", library / "new.py"):
        path.write_text(path.name)
        keys.append(host_base_key(str(interpreter)))
    assert len(set(keys)) == len(keys)
    assert host_base_key(str(interpreter)) == keys[-1]
