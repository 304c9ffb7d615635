"""Where logs are sent: ``--loki-url URL``, and who we are to the receiver.

::

    http://HOST:3100                          /loki/api/v1/push is added
    https://USER:PASSWORD@HOST                basic authentication; in the environment it is in no listing
    FNKIT_LOGS_PUSH_USER, …_PASSWORD          basic authentication
    FNKIT_LOGS_PUSH_TOKEN                     a bearer token, as Cockpit's
    FNKIT_LOGS_PUSH_TENANT                    X-Scope-OrgID, for a Loki with several tenants
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from fnkit.errors import UsageError
from fnkit.platform.layout import LogPushSettings

__all__ = ["log_push_settings"]

_PATH: Final = "/loki/api/v1/push"
_PREFIX: Final = "FNKIT_LOGS_PUSH_"


def log_push_settings(given: str | None, environ: Mapping[str, str]) -> LogPushSettings | None:
    """Return where logs are sent, ``None`` for nowhere. given: what the command line says.

    Raises:
        UsageError: no URL, or a variable that cannot be sent. No message holds a secret.
    """
    if given is None:
        return None
    try:
        parts = urlsplit(given)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, valid = urlsplit(""), False
    if not valid or not given.isascii() or any(c.isspace() for c in given) or parts.fragment or parts.query:
        raise UsageError(
            "--loki-url is not the URL of a Loki.", hint="Give its address, for example http://127.0.0.1:3100."
        )
    path = parts.path.rstrip("/")
    whole = path if path.endswith(_PATH) else path + _PATH
    url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], whole, "", ""))
    user = unquote(parts.username or "") or _variable(environ, "USER")
    password = unquote(parts.password or "") or _variable(environ, "PASSWORD")
    return LogPushSettings(url=url, headers=_headers(user, password, environ))


def _headers(user: str, password: str, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    headers = []
    if token := _variable(environ, "TOKEN"):
        headers.append(("Authorization", f"Bearer {token}"))
    elif user or password:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers.append(("Authorization", f"Basic {both}"))
    if tenant := _variable(environ, "TENANT"):
        headers.append(("X-Scope-OrgID", tenant))
    return tuple(headers)


def _variable(environ: Mapping[str, str], what: str) -> str:
    value = environ.get(_PREFIX + what, "").strip()
    if not value.isascii() or not value.isprintable():
        raise UsageError(f"{_PREFIX}{what} holds characters that no header can hold.")
    return value
