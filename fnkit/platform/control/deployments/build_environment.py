"""What build tools get of the environment of the user who runs the platform: how to reach registries.

A list of names is passed on, and nothing else. Credentials in URLs are removed: build scripts are strangers' code.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from fnkit.contract.toml_value import toml_value
from fnkit.platform.model.settings import BUILD_PREFIX

_PROXIES: Final = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_COMMON: Final = (*_PROXIES, *(name.lower() for name in _PROXIES), "SSL_CERT_DIR", "SSL_CERT_FILE")
GO_VARIABLES: Final = ("GOINSECURE", "GONOPROXY", "GONOSUMDB", "GOPRIVATE", "GOPROXY", "GOSUMDB")
"""Read with ``go env``, so that those in the user's configuration count as well."""
CARGO_VARIABLES: Final = (
    "CARGO_HTTP_CAINFO",
    "CARGO_HTTP_MULTIPLEXING",
    "CARGO_HTTP_PROXY",
    "CARGO_HTTP_TIMEOUT",
    "CARGO_NET_OFFLINE",
    "CARGO_NET_RETRY",
)
_CARGO_TABLES: Final = ("http", "net", "registries", "registry", "source")
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s,|]*@")
_PROBE_TIMEOUT: Final = 10


def registry_environment(*names: str) -> dict[str, str]:
    """Return the variables for proxies and certificates, and others by name, without credentials."""
    found = {name: os.environ.get(BUILD_PREFIX + name, os.environ.get(name)) for name in (*_COMMON, *names)}
    return {name: _without_credentials(value) for name, value in found.items() if value}


def certificate_paths() -> list[str]:
    """Return the certificates that the variables name: build tools have to read them."""
    names = ("SSL_CERT_DIR", "SSL_CERT_FILE", "CARGO_HTTP_CAINFO")
    return [os.environ[name] for name in names if os.environ.get(name, "").startswith("/")]


def _without_credentials(value: str) -> str:
    return _CREDENTIALS.sub("", value)


@functools.cache
def go_environment(go: str) -> dict[str, str]:
    """Return how the user's ``go`` reaches modules."""
    try:
        answer = subprocess.run(
            [go, "env", "-json", *GO_VARIABLES],
            capture_output=True,
            timeout=_PROBE_TIMEOUT,
            check=True,
            cwd="/",
            env=os.environ | {"GOTOOLCHAIN": "local"},
        )
        values = msgspec.json.decode(answer.stdout, type=dict[str, str])
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError):
        return {}
    return {name: _without_credentials(value) for name, value in values.items() if value}


def cargo_options() -> list[str]:
    """Return the user's configuration of registries as options of cargo, without credentials."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    for name in ("config.toml", "config"):
        try:
            settings = tomllib.loads((home / name).read_text())
        except (OSError, ValueError):
            continue
        tables = {table: settings[table] for table in _CARGO_TABLES if isinstance(settings.get(table), dict)}
        return [part for option in _flatten(tables, ()) for part in ("--config", option)]
    return []


def _flatten(table: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    for name, value in table.items():
        path = (*keys, name)
        if isinstance(value, dict):
            yield from _flatten(value, path)
        elif name not in ("token", "secret-key", "credential-provider", "global-credential-providers"):
            yield f"{'.'.join(toml_value(key) for key in path)} = {_without_credentials(toml_value(value))}"
