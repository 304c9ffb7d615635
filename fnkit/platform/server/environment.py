"""The environment of the platform's processes: the user's variables that programs need, without credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["child_environment"]

_ALLOWED_NAMES: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "TMP", "TEMP"),
        *("LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8"),
        *("PYENV_ROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "CARGO_HOME", "RUSTUP_HOME", "NVM_DIR"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    }
)
_ALLOWED_PREFIXES: Final = ("LC_", "XDG_", "COVERAGE_")


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the platform's processes inherit.

    This is an allow-list, since the names of variables with secrets cannot be enumerated. ``PYTHONUNBUFFERED`` is
    set so that the log contains the last output of a process that is killed.
    """
    allowed = {
        name: value
        for name, value in environ.items()
        if name in _ALLOWED_NAMES or name.startswith(_ALLOWED_PREFIXES)
    }
    return allowed | {"PYTHONUNBUFFERED": "1"}
