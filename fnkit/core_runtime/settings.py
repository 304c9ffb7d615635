"""The settings of the core runtime: environment variables."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fnkit.contract.invocation.environment import CODE_DIRECTORY
from fnkit.contract.invocation.native_request import NATIVE_LANGUAGES
from fnkit.contract.limits import DEFAULT_TIMEOUT_SECONDS

OWN_PREFIX: Final = "FNKIT_"
"""Variables with this prefix are for the core runtime, not for the function."""

INSTANCE_KEY: Final = "FNKIT_INSTANCE_KEY"
"""If this variable is set, the client is a platform's gateway, which knows the key in it."""

WITHHELD: Final = "FNKIT_WITHHELD_VARIABLES"
"""Names of further variables that are not for the function, separated by commas."""

LANGUAGE: Final = "FNKIT_LANGUAGE"
"""The language of the function, as the API's list of runtimes names it. Images set it."""

INTERPRETER: Final = "FNKIT_INTERPRETER"
"""The path of the interpreter of a language other than Python, if it is not to be looked for on ``PATH``."""

_LANGUAGES: Final = frozenset({"Python", "Node", "PHP"}) | NATIVE_LANGUAGES
_PORT_MAX: Final = 65535
_REQUEST_SECONDS: Final = 60  # the ReadHeaderTimeout of Scaleway's core runtime
_IDLE_SECONDS: Final = 300


class InvalidSetting(Exception):
    """A setting is missing or has no usable value. The message states which one."""


@dataclass(frozen=True)
class CoreRuntimeSettings:
    """How a function is served.

    Attributes:
        port: The TCP port.
        language: The language of the function.
        interpreter: Absolute path of its interpreter; empty for the first on ``PATH``. Of no meaning for Python.
        handler: The handler as ``dir/file.name``.
        root: The directory of the function's code.
        function_name: The name of the function, for the context and for messages.
        memory: Memory in MiB.
        allow_favicon: The value of ``SCW_ALLOW_FAVICON``.
        timeout: Seconds that a request may take, waiting for its turn included.
        request_seconds: Seconds in which a request must arrive, and a response be read, except for large bodies.
        idle_seconds: Seconds after which a connection without a request is closed.
        withheld: Names of variables that the function does not get, besides those of the core runtime.
        instance_key: If not empty, requests must carry this key, and their bodies are events.
    """

    port: int
    language: str
    interpreter: str
    handler: str
    root: str
    function_name: str
    memory: int
    allow_favicon: str
    timeout: float
    request_seconds: float
    idle_seconds: float
    withheld: frozenset[str]
    instance_key: bytes = field(repr=False)

    @property
    def home(self) -> str:
        """The directory above the code, which has the program of an interpreter other than Python."""
        return os.path.dirname(self.root)

    @property
    def is_native(self) -> bool:
        """Whether the function answers HTTP itself, because it is written in Go or Rust."""
        return self.language in NATIVE_LANGUAGES

    @property
    def has_gateway(self) -> bool:
        """Whether the client is a platform's gateway, which builds the events and reads the log."""
        return bool(self.instance_key)


def read_settings(environment: Mapping[str, str]) -> CoreRuntimeSettings:
    """Return the settings.

    Raises:
        InvalidSetting: One of them is missing or wrong.
    """
    root = environment.get("FNKIT_CODE_DIRECTORY") or CODE_DIRECTORY
    return CoreRuntimeSettings(
        port=_integer(environment, "PORT", 8080, _PORT_MAX),
        language=_language(environment),
        interpreter=environment.get(INTERPRETER, ""),
        handler=_handler(environment, root),
        root=root,
        function_name=_required(environment, "SCW_APPLICATION_NAME"),
        memory=_integer(environment, "SCW_APPLICATION_MEMORY"),
        allow_favicon=environment.get("SCW_ALLOW_FAVICON", ""),
        timeout=_seconds(environment, "FNKIT_TIMEOUT_SECONDS", DEFAULT_TIMEOUT_SECONDS),
        request_seconds=_seconds(environment, "FNKIT_REQUEST_SECONDS", _REQUEST_SECONDS),
        idle_seconds=_seconds(environment, "FNKIT_IDLE_SECONDS", _IDLE_SECONDS),
        withheld=frozenset(environment.get(WITHHELD, "").split(",")),
        instance_key=_instance_key(environment),
    )


def _language(environment: Mapping[str, str]) -> str:
    language = environment.get(LANGUAGE) or "Python"
    if language not in _LANGUAGES:
        raise InvalidSetting(f"{LANGUAGE}={language!r} is none of {', '.join(sorted(_LANGUAGES))}")
    return language


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise InvalidSetting(f"the environment variable {name} is missing")
    return value


def _integer(environment: Mapping[str, str], name: str, default: int = 0, maximum: int = 1 << 31) -> int:
    text = environment.get(name, "") if default else _required(environment, name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:20]) <= maximum:
        raise InvalidSetting(f"{name}={text!r} is not a number from 1 to {maximum}")
    return int(text)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    try:
        seconds = float(text or default)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidSetting(f"{name}={text!r} is not a positive number of seconds")
    return seconds


def _handler(environment: Mapping[str, str], root: str) -> str:
    """Return ``dir/file.name`` for the path of a handler below the root, or below its place in an image."""
    path, name = _required(environment, "SCW_HANDLER_PATH"), _required(environment, "SCW_HANDLER_NAME")
    for directory in (root, CODE_DIRECTORY):
        relative = path[len(directory) :]
        if path.startswith(directory) and relative[:1] in ("", "/"):
            return f"{relative.strip('/')}.{name}"
    raise InvalidSetting(f"SCW_HANDLER_PATH={path!r} is not below {root}")


def _instance_key(environment: Mapping[str, str]) -> bytes:
    key = environment.get(INSTANCE_KEY)
    if key == "":  # serving everybody would be wrong
        raise InvalidSetting(f"the environment variable {INSTANCE_KEY} is empty")
    return (key or "").encode()
