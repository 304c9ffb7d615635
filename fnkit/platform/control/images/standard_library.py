"""The standard library of an interpreter for a layer, with bytecode that does not depend on times.

A layer has no file times, so the bytecode that Python keeps beside its modules would be considered outdated, and
each start would compile anew what it imports. Therefore modules are compiled here, by the interpreter itself, in a
temporary directory, to bytecode that is never compared with its source (PEP 552).
"""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from fnkit.platform.control.images.layer import EntryKind, LayerEntry
from fnkit.platform.control.images.machine_files import MachineFiles

_ISOLATED: Final = ("-S", "-s", "-B")
"""No site-packages, no user's packages, no bytecode written beside the machine's files. The environment is
empty, which makes ``-E`` unnecessary; with it the hash seed could not be fixed."""

_PROBE_PROGRAM: Final = """
import json, sys, sysconfig
try:
    import ssl
    found = ssl.get_default_verify_paths()
    certificates = [path for path in (found.openssl_cafile, found.openssl_capath) if path]
except ImportError:
    certificates = []
directories = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
directories.add(sysconfig.get_config_var("DESTSHARED"))
print(json.dumps({
    "directories": sorted(path for path in directories if path),
    "cache_tag": sys.implementation.cache_tag,
    "certificates": certificates,
}))
"""
_PROBE_TIMEOUT: Final = 30.0

_COMPILE_PROGRAM: Final = """
import json, os, py_compile, sys, warnings
warnings.simplefilter("ignore")
os.nice(5)
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for number, source in enumerate(json.load(sys.stdin)):
    try:
        py_compile.compile(source, str(number), dfile=source, doraise=True, optimize=0, invalidation_mode=mode)
    except Exception:
        pass
"""
_COMPILE_TIMEOUT: Final = 900.0
_HASH_SEED: Final = {"PYTHONHASHSEED": "0"}
"""Sets of constants would otherwise be written in another order each time (CPython before 3.11)."""

_SKIPPED_DIRECTORIES: Final = frozenset({
    "__pycache__", "dist-packages", "ensurepip", "idlelib", "site-packages", "test", "tests", "tkinter",
    "turtledemo",
})  # fmt: skip
_SKIPPED_FILES: Final = frozenset({"EXTERNALLY-MANAGED", "sitecustomize.py", "usercustomize.py"})
"""What administrators put there. The first is about pip, which the image does not have; the others run at each
start, on this machine."""
_SKIPPED_EXTENSIONS: Final = ("_tkinter.", "_test", "_ctypes_test.", "_xxtestfuzz.", "xxlimited")
_STATIC_LIBRARIES: Final = "config-"


class StandardLibrary(msgspec.Struct, frozen=True):
    """Where an interpreter has its parts.

    Attributes:
        directories: Those of modules and of extension modules, which may be the same or lie in each other.
        cache_tag: Part of the name of bytecode, such as ``cpython-311``.
        certificates: The file and the directory in which OpenSSL looks for certificate authorities.
    """

    directories: tuple[str, ...]
    cache_tag: str
    certificates: tuple[str, ...]


def find_standard_library(interpreter: str, working_directory: Path) -> StandardLibrary:
    """Ask an interpreter for its standard library.

    Args:
        interpreter: Its absolute path.
        working_directory: An empty directory, from which the interpreter could import modules.

    Raises:
        OSError: It cannot be run.
    """
    output = _run(interpreter, _PROBE_PROGRAM, working_directory, _PROBE_TIMEOUT)
    try:
        return msgspec.json.decode(output, type=StandardLibrary)
    except msgspec.MsgspecError:
        raise OSError("it does not say where its standard library is") from None


def add_standard_library(
    library: StandardLibrary, interpreter: str, files: MachineFiles, working_directory: Path
) -> list[str]:
    """Add the modules of a standard library and their bytecode. Packages for tests, Tk and pip are left out.

    Args:
        library: The library.
        interpreter: The absolute path of its interpreter.
        files: Receives the entries.
        working_directory: An empty directory that exists until the layer is written: the bytecode is there.

    Returns:
        The real paths of the extension modules.

    Raises:
        OSError: The interpreter cannot be run.
    """
    found: set[str] = set()
    for directory in library.directories:
        found.update(files.add_tree(directory, skip=_is_skipped, accepts=_is_part))
    sources = sorted(path for path in found if path.endswith(".py"))
    _run(interpreter, _COMPILE_PROGRAM, working_directory, _COMPILE_TIMEOUT, msgspec.json.encode(sources))
    for number, source in enumerate(sources):
        bytecode = working_directory / str(number)
        if bytecode.exists():
            path = PurePosixPath(source.lstrip("/"))
            cached = path.parent / "__pycache__" / f"{path.stem}.{library.cache_tag}.pyc"
            files.put(LayerEntry(path=str(cached), kind=EntryKind.FILE, mode=0o644, source=bytecode))
    return sorted(path for path in found if path.endswith(".so"))


def _is_skipped(name: str) -> bool:
    return name in _SKIPPED_DIRECTORIES or name.startswith(_STATIC_LIBRARIES)


def _is_part(path: Path) -> bool:
    is_extension_for_tests = path.suffix == ".so" and path.name.startswith(_SKIPPED_EXTENSIONS)
    return path.name not in _SKIPPED_FILES and path.suffix != ".a" and not is_extension_for_tests


def _run(interpreter: str, program: str, directory: Path, timeout: float, content: bytes = b"") -> bytes:
    try:
        result = subprocess.run(
            [interpreter, *_ISOLATED, "-c", program],
            cwd=directory,
            env=_HASH_SEED,
            input=content,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OSError("it does not answer") from None
    if result.returncode:
        last_line = result.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(f"it ended with status {result.returncode}: {last_line}")
    return result.stdout
