"""The environment of builds, which run code of strangers: what tools need, and no keys or tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_KEPT_VARIABLES: Final = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TERM", "TZ", "TMPDIR", "TEMP", "TMP", "SHELL",
        "SYSTEMROOT", "APPDATA", "LOCALAPPDATA", "USERPROFILE",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
        "PYENV_ROOT", "DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH", "SOURCE_DATE_EPOCH",
    }
)  # fmt: skip
_KEPT_PREFIXES: Final = ("LC_", "XDG_")
_PYTHON_PREFIXES: Final = ("UV_", "PIP_")
_REMOVED_PREFIX: Final = "UV_PUBLISH_"
_TOOL_VARIABLES: Final = frozenset(
    {
        "NODE_EXTRA_CA_CERTS", "NVM_DIR", "VOLTA_HOME", "FNM_DIR", "PNPM_HOME", "COREPACK_HOME",
        "GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "GOTOOLCHAIN", "GONOSUMDB", "GOPRIVATE", "GOSUMDB",
        "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "COMPOSER_HOME",
    }
)  # fmt: skip


def build_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for builds of Python packages, with the settings of uv and pip."""
    return {
        name: value
        for name, value in environ.items()
        if name.upper() in _KEPT_VARIABLES
        or (
            name.upper().startswith((*_KEPT_PREFIXES, *_PYTHON_PREFIXES))
            and not name.upper().startswith(_REMOVED_PREFIX)
        )
    }


def command_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a command of a project, with the directories of toolchains."""
    return {
        name: value
        for name, value in environ.items()
        if name.upper() in _KEPT_VARIABLES | _TOOL_VARIABLES or name.upper().startswith(_KEPT_PREFIXES)
    }
