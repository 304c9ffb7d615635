"""Runtime tables, recorded from ``GET /runtimes``: 41 rows on 2026-07-03, and 34 rows on 2025-12-15.

Requests name a runtime by a string that is checked against the table. The code samples are fnkit's. A runtime that
is ``deprecated`` is accepted with a message, one at ``end_of_support`` cannot be used for new functions, and one at
``end_of_life`` not for updates either. Existing functions continue to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from fnkit.contract.enums import RuntimeStatus
from fnkit.contract.resources import Runtime

_LOGO_BASE_URL: Final = "https://scw-serverless-runtimes-logos-fr-par.s3.fr-par.scw.cloud"
_EXTENSIONS: Final = {"Node": "js", "Python": "py", "PHP": "php", "Go": "go", "Rust": "rs"}
_END_OF_LIFE_MESSAGE: Final = (
    "Runtime has reached its end of life. To update your function, please recreate it with a newer runtime"
)

_NODE_ESM_SAMPLE: Final = (
    'export function handle(event, context) {\n  return { statusCode: 200, body: "Hello from Node" };\n}\n'
)
_NODE_COMMONJS_SAMPLE: Final = (
    'exports.handle = function (event, context) {\n  return { statusCode: 200, body: "Hello from Node" };\n};\n'
)
_PYTHON_SAMPLE: Final = 'def handle(event, context):\n    return {"statusCode": 200, "body": "Hello from Python"}\n'
_PHP_SAMPLE: Final = (
    "<?php\n\nfunction handle($event, $context)\n{\n"
    '    return ["statusCode" => 200, "body" => "Hello from PHP"];\n}\n'
)
_COMMONJS_RUNTIMES: Final = ("node14", "node10", "node8")

_AVAILABLE: Final = RuntimeStatus.AVAILABLE
_END_OF_SUPPORT: Final = RuntimeStatus.END_OF_SUPPORT
_END_OF_LIFE: Final = RuntimeStatus.END_OF_LIFE


_ROWS: Final[tuple[tuple[str, str, str, RuntimeStatus], ...]] = (
    ("node26", "Node", "26", _AVAILABLE),
    ("node24", "Node", "24", _AVAILABLE),
    ("node22", "Node", "22", _AVAILABLE),
    ("node20", "Node", "20", _END_OF_SUPPORT),
    ("node19", "Node", "19", _END_OF_LIFE),
    ("node18", "Node", "18", _END_OF_SUPPORT),
    ("node17", "Node", "17", _END_OF_LIFE),
    ("node16", "Node", "16", _END_OF_LIFE),
    ("node14", "Node", "14", _END_OF_LIFE),
    ("node10", "Node", "10", _END_OF_LIFE),
    ("node8", "Node", "8", _END_OF_LIFE),
    ("python314", "Python", "3.14", _AVAILABLE),
    ("python313", "Python", "3.13", _AVAILABLE),
    ("python312", "Python", "3.12", _AVAILABLE),
    ("python311", "Python", "3.11", _AVAILABLE),
    ("python310", "Python", "3.10", _END_OF_SUPPORT),
    ("python39", "Python", "3.9", RuntimeStatus.DEPRECATED),
    ("python38", "Python", "3.8", _END_OF_SUPPORT),
    ("python37", "Python", "3.7", _END_OF_LIFE),
    ("python", "Python", "2.7", _END_OF_LIFE),
    ("python3", "Python", "", _END_OF_LIFE),
    ("php85", "PHP", "8.5", _AVAILABLE),
    ("php84", "PHP", "8.4", _AVAILABLE),
    ("php83", "PHP", "8.3", _END_OF_SUPPORT),
    ("php82", "PHP", "8.2", _END_OF_SUPPORT),
    ("go126", "Go", "1.26", _AVAILABLE),
    ("go125", "Go", "1.25", _AVAILABLE),
    ("go124", "Go", "1.24", _END_OF_SUPPORT),
    ("go123", "Go", "1.23", _END_OF_SUPPORT),
    ("go122", "Go", "1.22", _END_OF_SUPPORT),
    ("go121", "Go", "1.21", _END_OF_SUPPORT),
    ("go120", "Go", "1.20", _END_OF_SUPPORT),
    ("go119", "Go", "1.19", _END_OF_LIFE),
    ("go118", "Go", "1.18", _END_OF_LIFE),
    ("go117", "Go", "1.17", _END_OF_LIFE),
    ("go113", "Go", "1.13", _END_OF_LIFE),
    ("golang", "Go", "", _END_OF_LIFE),
    ("rust196", "Rust", "1.96", _AVAILABLE),
    ("rust185", "Rust", "1.85", _END_OF_SUPPORT),
    ("rust179", "Rust", "1.79", _END_OF_SUPPORT),
    ("rust165", "Rust", "1.65", _END_OF_LIFE),
)
"""Name, language, version and status of each runtime, in the order of the API."""

_OWN_MESSAGES: Final = {
    "node18": "Node 18 has reached end of support, please upgrade to Node >= 20",
    "python310": "Python 3.10 reached end of support, please upgrade to a newer Python 3 runtime",
    "python39": "Python 3.9 is deprecated, please upgrade to Python >= 3.11",
    "python38": "Python 3.8 has reached end of support, please upgrade to Python >= 3.11",
    "python": (
        "Python 2 language is not supported anymore, Python 2.7 runtime reached end of life, "
        "please migrate to a Python 3 runtime"
    ),
    "go121": "Go 1.21 has reached end of support, please upgrade to Go >= 1.22",
    "go120": "Go 1.20 has reached end of support, please upgrade to Go >= 1.22",
    "rust179": "Rust 1.79 has reached end of support, please upgrade to Rust >= 1.85",
}
"""Messages that differ from those of other runtimes with the same status."""


def _status_message(name: str, language: str, version: str, status: RuntimeStatus) -> str:
    if name in _OWN_MESSAGES:
        return _OWN_MESSAGES[name]
    if status is _END_OF_SUPPORT:
        return f"{language} {version} reached end of support, please upgrade to a newer {language} runtime"
    return _END_OF_LIFE_MESSAGE if status is _END_OF_LIFE else ""


def _default_handler(name: str, language: str) -> str:
    match language:
        case "Go":
            return "." if name in ("go113", "golang") else "Handle"
        case "Rust":
            return "handle"
        case _:
            return "handler.handle"


def _code_sample(name: str, language: str) -> str:
    match language:
        case "Node":
            return _NODE_COMMONJS_SAMPLE if name in _COMMONJS_RUNTIMES else _NODE_ESM_SAMPLE
        case "Python":
            return _PYTHON_SAMPLE
        case "PHP":
            return _PHP_SAMPLE
        case _:
            return ""  # the API returns no sample for Go and Rust


def _runtime(name: str, language: str, version: str, status: RuntimeStatus) -> Runtime:
    return Runtime(
        name=name,
        language=language,
        version=version,
        default_handler=_default_handler(name, language),
        code_sample=_code_sample(name, language),
        status=status.value,
        status_message=_status_message(name, language, version, status),
        extension=_EXTENSIONS[language],
        implementation="",
        logo_url=f"{_LOGO_BASE_URL}/{language}.png",
    )


RUNTIMES: Final[tuple[Runtime, ...]] = tuple(_runtime(*row) for row in _ROWS)
_BY_NAME: Final = {runtime.name: runtime for runtime in RUNTIMES}

_ADDED_SINCE_2025: Final = frozenset({"node26", "node24", "python314", "php85", "go126", "go125", "rust196"})
_AVAILABLE_IN_2025: Final = frozenset(
    {"node20", "python310", "php83", "php82", "go124", "go123", "go122", "rust185"}
)


@dataclass(frozen=True, slots=True)
class RuntimeTable:
    """The runtimes that existed on one day, with their statuses."""

    runtimes: tuple[Runtime, ...]

    def find(self, name: str) -> Runtime | None:
        """Return the runtime with this name, or ``None``."""
        return next((runtime for runtime in self.runtimes if runtime.name == name), None)


def _as_of_2025(runtime: Runtime) -> Runtime:
    if runtime.name not in _AVAILABLE_IN_2025:
        return runtime
    return msgspec.structs.replace(runtime, status=_AVAILABLE.value, status_message="")


RUNTIME_TABLES: Final = {
    "2026-07-03": RuntimeTable(RUNTIMES),
    "2025-12-15": RuntimeTable(
        tuple(_as_of_2025(runtime) for runtime in RUNTIMES if runtime.name not in _ADDED_SINCE_2025)
    ),
}
"""Tables by the day they were recorded, newest first. The older one matches the API document's enumeration."""


def find_runtime(name: str) -> Runtime | None:
    """Return the runtime with this name from the newest table, or ``None``."""
    return _BY_NAME.get(name)


def substitute_for(runtime: str, target: str) -> str:
    """Return what runs a runtime on a local platform in place of its own version; empty if it is that version.

    Args:
        runtime: Name of the runtime.
        target: What executes it, as the platform describes it: implementation, version, machine, and more.

    >>> substitute_for("python313", "cpython-3.11-x86_64-linux-gnu")
    'Python 3.11'
    >>> substitute_for("node24", "node-24.1-x86_64-linux-gnu")
    ''
    """
    row = find_runtime(runtime)
    version = target.partition("-")[2].partition("-")[0]
    if row is None or not version or not row.version[:1].isdecimal():
        return ""
    wanted = row.version.split(".")
    actual = version.split(".")[: len(wanted)]
    return "" if actual == wanted else f"{row.language} {'.'.join(actual)}"


def python_runtime(major: int, minor: int) -> str:
    """Return the name of the runtime for a Python version.

    >>> python_runtime(3, 13)
    'python313'
    """
    return f"python{major}{minor}"


def python_version(runtime: str) -> tuple[int, int] | None:
    """Return the ``(major, minor)`` version of a Python runtime; ``None`` if it is not one, or has no version."""
    row = _BY_NAME.get(runtime)
    if row is None or row.language != "Python" or "." not in row.version:
        return None
    major, minor = row.version.split(".")
    return int(major), int(minor)
