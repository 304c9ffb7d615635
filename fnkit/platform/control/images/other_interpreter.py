"""An interpreter of another language than Python, with what it needs of this machine.

The configuration of this machine stays here, because it may contain secrets: of the files that PHP reads at its
start, an image has the lines that load extensions, with PHP's own defaults for everything else.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.images.layer import EntryKind, LayerEntry
from fnkit.platform.control.images.machine_files import MachineFiles

_PHP_PROBE: Final = """
$certificates = function_exists("openssl_get_cert_locations") ? openssl_get_cert_locations() : [];
$scanned = explode(",", (string) php_ini_scanned_files());
echo json_encode([
    "files" => array_values(array_filter(array_map("trim", [(string) php_ini_loaded_file(), ...$scanned]))),
    "extension_directory" => (string) ini_get("extension_dir"),
    "configuration_directory" => PHP_CONFIG_FILE_PATH,
    "certificates" => array_values(array_filter([
        $certificates["default_cert_file"] ?? "", $certificates["default_cert_dir"] ?? "",
    ])),
]);
"""
_PROBE_TIMEOUT: Final = 30.0
_MAX_INI_BYTES: Final = 1024 * 1024
_EXTENSION_LINE: Final = re.compile(r"""^[ \t]*((?:zend_)?extension)[ \t]*=[ \t]*["']?([^"';\s]+)""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class OtherInterpreter:
    """An interpreter of this machine.

    Attributes:
        language: Its language, as the API names it.
        path: Its real absolute path.
    """

    language: str
    path: str

    def read_setup(self) -> InterpreterSetup:
        """Return what it needs besides its libraries.

        Raises:
            OSError: It cannot be run.
        """
        return _read_php_setup(self.path) if self.language == "PHP" else InterpreterSetup()


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpreterSetup:
    """What an interpreter needs besides its libraries.

    Attributes:
        extensions: How each extension is loaded, ``extension`` or ``zend_extension``, and its absolute path, in the
            order in which they are loaded.
        configuration: The file with which an image loads them; empty if it has none.
        certificates: The files and directories in which it looks for certificate authorities.
    """

    extensions: tuple[tuple[str, str], ...] = ()
    configuration: str = ""
    certificates: tuple[str, ...] = ()

    def add_to(self, files: MachineFiles) -> list[str]:
        """Add the extensions that everybody may read, and the file that loads them.

        Returns:
            Their paths.
        """
        added = [(kind, path) for kind, path in self.extensions if files.add(path)]
        if self.configuration:
            text = "".join(f"{kind}={path}\n" for kind, path in added)
            path = self.configuration.lstrip("/")
            files.put(LayerEntry(path=path, kind=EntryKind.FILE, mode=0o644, content=text.encode()))
        return [path for _, path in added]


class _PhpFacts(msgspec.Struct, frozen=True):
    files: list[str]
    extension_directory: str
    configuration_directory: str
    certificates: list[str]


def _read_php_setup(program: str) -> InterpreterSetup:
    try:
        result = subprocess.run(
            [program, "-d", "display_errors=0", "-r", _PHP_PROBE],
            cwd="/",
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT,
            check=False,
        )
        facts = msgspec.json.decode(result.stdout, type=_PhpFacts)
    except subprocess.TimeoutExpired:
        raise OSError("it does not answer") from None
    except msgspec.MsgspecError:
        raise OSError("it does not say where its configuration is") from None
    lines = (line for file in facts.files for line in _extension_lines(Path(file)))
    extensions = {
        path: kind for kind, name in lines if (path := _find_extension(name, facts.extension_directory)) is not None
    }
    return InterpreterSetup(
        extensions=tuple((kind, path) for path, kind in extensions.items()),
        configuration=f"{facts.configuration_directory}/php.ini",
        certificates=tuple(facts.certificates),
    )


def _extension_lines(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of a file that load extensions: how, and which."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as opened:
            text = opened.read(_MAX_INI_BYTES)
    except OSError:  # PHP itself goes on without it
        return
    for match in _EXTENSION_LINE.finditer(text):
        yield match[1], match[2]


def _find_extension(name: str, directory: str) -> str | None:
    """Return the path of an extension, which may be named without its directory and without ``.so``."""
    path = name if "/" in name else f"{directory}/{name}"
    return next((one for one in (path, f"{path}.so") if Path(one).is_file()), None)
