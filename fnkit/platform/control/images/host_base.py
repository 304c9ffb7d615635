"""A base image made of this machine's files: interpreters, and what they and their programs need.

Every base has Python, which runs the core runtime.

Everything has the path that it has here, so what was compiled or configured for an interpreter stays valid.
Packages of this machine (``site-packages``), its configuration and its private files are left out. Hosts and
resolvers are left to the container's runtime.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.errors import PlatformError
from fnkit.platform.control.images.layer import EntryKind, LayerEntry, write_layer
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.machine_files import MachineFiles
from fnkit.platform.control.images.other_interpreter import OtherInterpreter
from fnkit.platform.control.images.shared_libraries import ElfProgram, LibraryFinder, read_program
from fnkit.platform.control.images.standard_library import (
    add_standard_library,
    find_standard_library,
)
from fnkit.platform.model.images import BaseImage
from fnkit.worker.interpreters import INTERPRETERS

_FORMAT: Final = 1
"""Increased when the layer of the same interpreter becomes another one."""

_SHELL: Final = "/bin/sh"
_SYSTEM_LINKS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_CERTIFICATE_DIRECTORY: Final = "/etc/ssl/certs"
_DATA_TREES: Final = ("/usr/share/zoneinfo", "/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8")
_DATA_FILES: Final = ("/etc/mime.types", "/etc/os-release", "/etc/protocols", "/etc/services")
_EXPECTED_LIBRARIES: Final = (
    # glibc loads these itself: for name services, and when a thread ends.
    "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1",
    # Wheels for Linux may rely on these (PEP 600), and do not bring them.
    "libanl.so.1", "libatomic.so.1", "libcrypt.so.1", "libdl.so.2", "libexpat.so.1", "libm.so.6", "libmvec.so.1",
    "libnsl.so.1", "libpthread.so.0", "librt.so.1", "libstdc++.so.6", "libutil.so.1", "libz.so.1",
)  # fmt: skip
_C_LIBRARY: Final = "libc.so.6"
_PATH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_MAX_CERTIFICATES_BYTES: Final = 8 * 1024 * 1024
_APP_USER: Final = 1000

_USERS: Final = """\
app:x:1000:1000:app:/home/app:/bin/sh
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUPS: Final = """\
app:x:1000:
root:x:0:
nogroup:x:65534:
"""
_NAME_SERVICES: Final = """\
passwd: files
group: files
hosts: files dns
networks: files
protocols: files
services: files
"""
_FILES: Final = (("etc/passwd", _USERS), ("etc/group", _GROUPS), ("etc/nsswitch.conf", _NAME_SERVICES))
_DIRECTORIES: Final = (
    ("dev", 0o755), ("etc", 0o755), ("home", 0o755), ("proc", 0o555), ("root", 0o755), ("run", 0o755),
    ("sys", 0o555), ("tmp", 0o1777), ("var", 0o755), ("var/tmp", 0o1777),
)  # fmt: skip


def make_host_base(interpreter: str, store: LayerStore, other: OtherInterpreter | None = None) -> BaseImage:
    """Make a base image with interpreters of this machine. Blocks; call it in a thread.

    Args:
        interpreter: The real absolute path of a Python interpreter, which runs the core runtime.
        store: Receives the layer.
        other: The interpreter of the function if its language is another one.

    Raises:
        PlatformError: ``image-base``: an interpreter cannot be copied.
    """
    files = MachineFiles()
    with tempfile.TemporaryDirectory(prefix="fnkit-base-") as directory, _refusing(interpreter):
        program = read_program(interpreter)
        _add_system(files)
        _add_python(files, interpreter, program, Path(directory))
        if other is not None:
            with _refusing(other.path):
                _add_other(files, other)
        layer = store.add(lambda output: write_layer(files.entries, output))
    shown = other.path if other is not None else interpreter
    path = dict.fromkeys([str(PurePosixPath(shown).parent), *_PATH])
    environment = {"LANG": "C.UTF-8", "PATH": ":".join(path)}
    if other is not None:
        environment["FNKIT_INTERPRETER"] = other.path
    return BaseImage(
        interpreter=interpreter, layers=(layer,), environment=environment, architecture=program.architecture
    )


@contextmanager
def _refusing(interpreter: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PlatformError(
            f"The interpreter {interpreter} cannot be copied into an image: {reason}.",
            code="image-base",
            hint="Use an interpreter whose files everybody may read, or name a base image that has one.",
        ) from None


def host_base_key(interpreter: str, other: OtherInterpreter | None = None) -> str:
    """Return what changes when ``make_host_base`` may return something else. Takes milliseconds.

    It covers the interpreters, the installed libraries (each installation writes the loader's cache anew),
    certificates and time zones.

    Args:
        interpreter: The real absolute path of the Python interpreter.
        other: The other interpreter, if there is one.

    Raises:
        PlatformError: ``image-base``: the other interpreter cannot be copied.
    """
    prefix = Path(interpreter).parent.parent
    parts = [
        *sorted(str(path.parent) for path in prefix.glob("lib*/python3.*/os.py")),
        *sorted(str(path) for pattern in ("lib*", "lib*/*") for path in prefix.glob(f"{pattern}/libpython3*.so*")),
    ]
    system = ("/etc/ld.so.cache", f"{_CERTIFICATE_DIRECTORY}/ca-certificates.crt", *_DATA_TREES)
    described = [f"{_FORMAT}", *(_describe(path) for path in (os.path.realpath(interpreter), *parts, *system))]
    if other is not None:
        with _refusing(other.path):
            setup = other.read_setup()
        extensions = (f"{kind}={_describe(path)}" for kind, path in setup.extensions)
        described += [_describe(other.path), setup.configuration, *extensions]
    return hashlib.sha256("\0".join(described).encode(errors="surrogateescape")).hexdigest()


def _describe(path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError:
        return path
    return f"{path}:{status.st_size}:{status.st_mtime_ns}"


def _add_system(files: MachineFiles) -> None:
    for path in _SYSTEM_LINKS:
        if Path(path).is_symlink():
            files.add(path)
    files.put(*_skeleton())
    files.add(_SHELL)
    for path in _DATA_FILES:
        files.add(path)
    for path in _DATA_TREES:
        files.add_tree(path)
    _add_certificates(files, [_CERTIFICATE_DIRECTORY])


def _add_python(files: MachineFiles, interpreter: str, program: ElfProgram, working_directory: Path) -> None:
    _require(files, interpreter)
    library = find_standard_library(interpreter, working_directory)
    extensions = add_standard_library(library, interpreter, files, working_directory)
    if not any(f"{directory}/os.py" in files for directory in library.directories):
        raise OSError("its standard library is not readable by everybody")
    _add_names(files, interpreter, ("python3", "python"))
    _add_needed(files, program, interpreter, extensions)
    _add_certificates(files, library.certificates)


def _add_other(files: MachineFiles, other: OtherInterpreter) -> None:
    _require(files, other.path)
    setup = other.read_setup()
    extensions = setup.add_to(files)
    _add_names(files, other.path, (INTERPRETERS[other.language].name,))
    _add_needed(files, read_program(other.path), other.path, extensions)
    _add_certificates(files, setup.certificates)


def _add_needed(files: MachineFiles, program: ElfProgram, interpreter: str, extensions: list[str]) -> None:
    """Add the loader of an interpreter and the libraries that it needs, unless it is static."""
    if program.loader:
        _require(files, program.loader)
        add_libraries(files, LibraryFinder(program.loader), interpreter, extensions)


def _skeleton() -> Iterator[LayerEntry]:
    for path, mode in _DIRECTORIES:
        yield LayerEntry(path=path, kind=EntryKind.DIRECTORY, mode=mode)
    yield LayerEntry(path="home/app", kind=EntryKind.DIRECTORY, owner=_APP_USER)
    for path, text in _FILES:
        yield LayerEntry(path=path, kind=EntryKind.FILE, mode=0o644, content=text.encode())


def _require(files: MachineFiles, path: str) -> None:
    if not files.add(path):
        raise OSError(f"{path} is not readable by everybody")


def _add_names(files: MachineFiles, interpreter: str, names: tuple[str, ...]) -> None:
    """Add the shorter names of an interpreter in its directory."""
    for name in names:
        link = Path(interpreter).parent / name
        if os.path.realpath(link) == os.path.realpath(interpreter):
            files.add(str(link))


def add_libraries(files: MachineFiles, finder: LibraryFinder, interpreter: str, extensions: list[str]) -> None:
    """Add the libraries that an interpreter and its extension modules need, and those that wheels expect.

    Args:
        files: Receives the entries.
        finder: Asks the loader of the interpreter.
        interpreter: The absolute path of the interpreter.
        extensions: Those of its extension modules.

    Raises:
        OSError: A library of the interpreter is private, or the loader cannot be run.
    """
    needed = finder.needed_by(interpreter)
    for name, path in needed.items():
        if not files.add(path):
            raise OSError(f"its library {name} is not readable by everybody")
    for file in (interpreter, os.path.realpath(_SHELL), *extensions):
        preload = _EXPECTED_LIBRARIES if file == interpreter else ()
        found = finder.needed_by(file, preload=preload)
        found_without_cache = finder.needed_by(file, preload=preload, use_cache=False)
        for name, path in found.items():
            if files.add(path) and found_without_cache.get(name) != path and _C_LIBRARY in needed:
                # The image has no cache of the loader, which always looks where its C library is.
                directory = PurePosixPath(os.path.realpath(needed[_C_LIBRARY])).parent
                link = str(directory / name).lstrip("/")
                files.put_missing(LayerEntry(path=link, kind=EntryKind.LINK, target=path))
    for path in map(str, Path("/etc").glob("ld-musl-*.path")):
        files.add(path)


def _add_certificates(files: MachineFiles, paths: Iterable[str]) -> None:
    for path in paths:
        if Path(path).is_dir():
            files.add_tree(path, accepts=_has_only_certificates)
        else:
            files.add(path, _has_only_certificates)


def _has_only_certificates(path: Path) -> bool:
    # Debian's ssl-cert package makes this one for the machine's own host name.
    if path.name == "ssl-cert-snakeoil.pem" or path.stat().st_size > _MAX_CERTIFICATES_BYTES:
        return False
    content = path.read_bytes()
    return b"CERTIFICATE-----" in content and b"PRIVATE KEY-----" not in content
