"""Which server has the logs of an endpoint's functions, and the token that it accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from fnkit.client import FunctionsApi
from fnkit.client.cockpit import find_log_source
from fnkit.client.loki import LogServer
from fnkit.errors import ApiError, NotFoundError, UsageError

_PREFIX: Final = "FNKIT_LOKI"
URL_VARIABLE: Final = f"{_PREFIX}_URL"
TOKEN_VARIABLE: Final = f"{_PREFIX}_TOKEN"
_LOKI_PATH: Final = re.compile(r"/(loki/api/v1(/.*)?)?$")


def find_log_server(
    api: FunctionsApi, environ: Mapping[str, str], *, url: str | None = None, token: str | None = None
) -> LogServer:
    """Return the log server of an endpoint.

    A local platform serves its logs itself and accepts its secret key. For Scaleway it is the data source of
    Cockpit in the project and region, whose tokens are separate from API keys. The variables are for Scaleway only,
    so that they do not redirect a local platform's logs.

    Args:
        api: The API of the functions.
        environ: May have ``FNKIT_LOKI_URL`` and ``FNKIT_LOKI_TOKEN``.
        url: Another Loki server, which is never sent the secret key.
        token: Its token.

    Raises:
        UsageError: ``no-log-token``: Scaleway's logs need a token. ``bad-loki-url``, ``bad-log-token``.
        NotFoundError: ``no-log-source``: the project has no logs in Cockpit.
        ApiError: Cockpit cannot be asked for the URL.
    """
    endpoint = api.endpoint
    if url:
        return LogServer(
            url=_check_url(url), token=_check_token(token or environ.get(TOKEN_VARIABLE, "")), is_platform=False
        )
    if not endpoint.is_scaleway:
        return LogServer(url=endpoint.api_url, token=token or endpoint.secret_key, is_platform=True)
    found_token = token or environ.get(TOKEN_VARIABLE, "")
    if not found_token:
        raise UsageError(
            "Reading logs from Scaleway's Cockpit needs a token.",
            code="no-log-token",
            hint=f"Create one with `scw cockpit token create name=fnkit token-scopes.0=read_only_logs "
            f"region={endpoint.region}` and set {TOKEN_VARIABLE}.",
        )
    source_url = environ.get(URL_VARIABLE) or _cockpit_url(api)
    return LogServer(url=_check_url(source_url), token=_check_token(found_token), is_platform=False)


def _cockpit_url(api: FunctionsApi) -> str:
    endpoint = api.endpoint
    try:
        source = find_log_source(api.transport)
    except ApiError as error:
        raise ApiError(
            f"Cockpit's data source for logs could not be looked up: {error.message}",
            status=error.status,
            code="no-log-source",
            hint=f"Set {URL_VARIABLE} to its URL, which the Scaleway console shows under Cockpit, Data sources.",
        ) from None
    if source is None:
        raise NotFoundError(
            f"Project {endpoint.project_id} has no logs of Scaleway products in Cockpit in {endpoint.region}.",
            code="no-log-source",
            hint="Functions write there after their first call. Check --region and --project-id.",
        )
    return source.url


def _check_url(url: str) -> str:
    shown = url.partition("?")[0]
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise UsageError(
            f"{shown.rpartition('@')[2]!r} is not the URL of a log server.",
            code="bad-loki-url",
            hint="Example: https://logs.cockpit.fr-par.scw.cloud. Give the token separately.",
        )
    return _LOKI_PATH.sub("", url)


def _check_token(token: str) -> str:
    if not token.isascii() or not (token == "" or token.isprintable()) or token != token.strip():
        raise UsageError(
            "The token of the log server contains invalid characters.",
            code="bad-log-token",
            hint="Check for a stray space or line break.",
        )
    return token
