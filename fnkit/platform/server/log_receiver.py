"""Push of logs to Loki: ``--loki-url URL`` and credentials.

::

    http://HOST:3100                          /loki/api/v1/push is appended
    https://USER:PASSWORD@HOST                basic authentication, but visible in process listings
    FNKIT_LOGS_PUSH_USER, …_PASSWORD          basic authentication
    FNKIT_LOGS_PUSH_TOKEN                     a bearer token, as for Cockpit
    FNKIT_LOGS_PUSH_TENANT                    X-Scope-OrgID, for a Loki with several tenants
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from fnkit.errors import UsageError
from fnkit.platform.layout import LokiPushSettings

__all__ = ["loki_push_settings"]

_LOKI_PUSH_PATH: Final = "/loki/api/v1/push"
_LOKI_VARIABLE_PREFIX: Final = "FNKIT_LOGS_PUSH_"


def loki_push_settings(loki_url: str | None, environ: Mapping[str, str]) -> LokiPushSettings | None:
    """Return the settings of the push, ``None`` if it is off. Credentials in the URL win over the environment.

    Args:
        loki_url: The value of ``--loki-url``, if given.
        environ: The environment.

    Raises:
        UsageError: The URL or a variable is invalid. The message contains no secret.
    """
    if loki_url is None:
        return None
    try:
        parts = urlsplit(loki_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, valid = urlsplit(""), False
    if not valid or not loki_url.isascii() or any(c.isspace() for c in loki_url) or parts.fragment or parts.query:
        raise UsageError(
            "--loki-url is not a valid URL of Loki.", hint="Use its address, for example http://127.0.0.1:3100."
        )
    path = parts.path.rstrip("/")
    whole = path if path.endswith(_LOKI_PUSH_PATH) else path + _LOKI_PUSH_PATH
    url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], whole, "", ""))
    user = unquote(parts.username or "") or _loki_variable(environ, "USER")
    password = unquote(parts.password or "") or _loki_variable(environ, "PASSWORD")
    return LokiPushSettings(url=url, headers=_loki_headers(user, password, environ))


def _loki_headers(user: str, password: str, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    headers = []
    if token := _loki_variable(environ, "TOKEN"):
        headers.append(("Authorization", f"Bearer {token}"))
    elif user or password:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers.append(("Authorization", f"Basic {both}"))
    if tenant := _loki_variable(environ, "TENANT"):
        headers.append(("X-Scope-OrgID", tenant))
    return tuple(headers)


def _loki_variable(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(_LOKI_VARIABLE_PREFIX + name, "").strip()
    if not value.isascii() or not value.isprintable():
        raise UsageError(
            f"{_LOKI_VARIABLE_PREFIX}{name} contains characters that are not allowed in an HTTP header."
        )
    return value
