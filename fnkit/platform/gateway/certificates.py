"""Which certificate a TLS client is shown: that of the name it asks for where it is routed, else the gateway's own.

Certificates are made when they are asked for, kept in memory, and made again before they end.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fnkit.platform.gateway.leaves import LeafIssuer

__all__ = ["Certificates"]

_KEPT: Final = 512  # 20 KiB each
_RENEWED_SECONDS: Final = 30 * 86400.0
_log = logging.getLogger(__name__)


class Certificates:
    """See the module.

    authority: key and certificate, PEM. folder: private, for a file that exists for a moment, since OpenSSL
    takes certificates from files alone. own_names: the gateway's names and addresses. is_routed: whether a
    function answers for a name. now: real time in Unix seconds. kept: how many
    certificates at a time.
    """

    def __init__(
        self,
        authority: Path,
        folder: Path,
        *,
        own_names: Iterable[str],
        is_routed: Callable[[bytes], object],
        now: Callable[[], float] = time.time,
        kept: int = _KEPT,
    ) -> None:
        self._authority = authority
        self._folder = folder
        self._own_names = tuple(dict.fromkeys(own_names))
        self._is_routed = is_routed
        self._now = now
        self._most = kept
        self._issuer: LeafIssuer | None = None
        self._loading: asyncio.Future[LeafIssuer] | None = None
        self._doors: dict[str, ssl.SSLContext] = {}
        self._kept: OrderedDict[str, tuple[ssl.SSLContext, float]] = OrderedDict()

    async def for_address(self, address: str) -> ssl.SSLContext:
        """Return the context for connections to this address of ours, which changes with the name asked for.

        Raises:
            OSError, ValueError: the authority cannot be read.
        """
        if self._issuer is None:
            self._issuer = await self._load()
        context = self._doors.get(address)
        if context is None:
            context = _server_context()
            context.sni_callback = self._chooser(address)
            self._doors[address] = context
        return context

    async def _load(self) -> LeafIssuer:
        """Read the authority once, in a thread: what that imports takes 50 ms, and others wait for answers."""
        if self._loading is None:
            self._loading = asyncio.get_running_loop().run_in_executor(None, _read, self._authority)
        try:
            return await asyncio.shield(self._loading)
        except (OSError, ValueError) as error:
            self._loading = None
            _log.error("TLS cannot be served: %s", error)
            raise

    def _chooser(
        self, address: str
    ) -> Callable[[ssl.SSLSocket | ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
        def choose(
            connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext
        ) -> int | None:
            wanted = (name or "").lower().rstrip(".")
            try:
                routed = bool(wanted) and bool(self._is_routed(wanted.encode("latin-1", "replace")))
                connection.context = self._context(wanted) if routed else self._own(address)
            except (OSError, ValueError) as error:
                _log.error("no certificate for %s: %s", wanted or address, error)
                return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
            return None

        return choose

    def _own(self, address: str) -> ssl.SSLContext:
        return self._context(address, *self._own_names)

    def _context(self, *names: str) -> ssl.SSLContext:
        """Return the context that shows a certificate for these names; the first one tells it from others."""
        now = self._now()
        found = self._kept.get(names[0])
        if found is not None and found[1] - now > _RENEWED_SECONDS:
            self._kept.move_to_end(names[0])
            return found[0]
        if self._issuer is None:
            raise ValueError("the authority was not read")
        pem, end = self._issuer.issue(tuple(dict.fromkeys(names)), now)
        context = _server_context()
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="leaf-") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        self._kept[names[0]] = context, end
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return context


def _read(authority: Path) -> LeafIssuer:
    from fnkit.platform.gateway.leaves import LeafIssuer

    return LeafIssuer(authority)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
