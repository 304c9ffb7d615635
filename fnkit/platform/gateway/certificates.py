"""TLS certificates of the gateway, issued on demand by the platform's certificate authority.

A client that requests the host name of a function by SNI gets a certificate for that name, every other client one
for the gateway's own names. Certificates are kept in memory and reissued before they expire. They share one private
key, which each data plane generates anew and never stores.
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
    """Server contexts by host name, with an LRU cache of certificates. Lives on one event loop.

    Args:
        ca_file: PEM file with the key and the certificate of the certificate authority.
        temporary_dir: Private directory for temporary files: ``ssl`` loads certificates only from files.
        gateway_names: Host names and addresses of the gateway.
        is_routed: Returns whether a function has this host name.
        now: Returns real time in Unix seconds.
        max_cached: Size of the cache.
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
        """Return the context for connections to this local address; its SNI callback selects the certificate.

        Raises:
            OSError: The file of the certificate authority cannot be read.
            ValueError: The file has other content.
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
        """Load the certificate authority once, in a thread: importing ``cryptography`` takes 50 ms."""
        if self._loading is None:
            self._loading = asyncio.get_running_loop().run_in_executor(None, _read, self._authority)
        try:
            # Shielded, since several connections wait for this future and each may be cancelled.
            return await asyncio.shield(self._loading)
        except (OSError, ValueError) as error:
            self._loading = None
            _log.error("cannot serve TLS: %s", error)
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
                _log.error("cannot issue a certificate for %s: %s", wanted or address, error)
                return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
            return None

        return choose

    def _own(self, address: str) -> ssl.SSLContext:
        return self._context(address, *self._own_names)

    def _context(self, *names: str) -> ssl.SSLContext:
        """Return a context with a certificate for these names. The first name is the cache key."""
        now = self._now()
        found = self._kept.get(names[0])
        if found is not None and found[1] - now > _RENEWED_SECONDS:
            self._kept.move_to_end(names[0])
            return found[0]
        if self._issuer is None:
            raise ValueError("the certificate authority is not loaded")
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
