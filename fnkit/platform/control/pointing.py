"""DNS verification of custom domains (``--verify-domains``)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

__all__ = ["DnsVerifier", "ResolvedHost", "resolve_host"]

ResolvedHost: TypeAlias = tuple[str, tuple[str, ...]]
"""A hostname's canonical name and its addresses. Both are empty if the name does not exist."""

_LOOKUP_TIMEOUT: Final = 10.0
_MAX_CONCURRENT_LOOKUPS: Final = 4


def resolve_host(hostname: str) -> ResolvedHost:
    """Look up a hostname with the system's resolver. Blocks until the resolver responds."""
    try:
        found = socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        return "", ()
    canonical = next((entry[3] for entry in found if entry[3]), "")
    return canonical.rstrip(".").lower(), tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class DnsVerifier:
    """Looks up hostnames in threads of its own, so that a slow name server does not block other work.

    The event loop's default executor would run out of threads, on which uploads depend.

    Args:
        resolver: Looks up a hostname; called in a thread.
    """

    def __init__(self, resolver: Callable[[str], ResolvedHost] = resolve_host) -> None:
        self._resolver = resolver
        self._executor = ThreadPoolExecutor(max_workers=_MAX_CONCURRENT_LOOKUPS, thread_name_prefix="names")

    async def points_here(self, hostname: str, domain_name: str) -> bool:
        """Return whether a hostname leads to this platform.

        That is the case if it is an alias of the function's domain name, or has one of its addresses, or one of
        this machine.

        Args:
            hostname: The custom hostname.
            domain_name: The function's default hostname.
        """
        canonical, addresses = await self._resolve(hostname)
        if canonical == domain_name:
            return True
        if any(map(_is_local_address, addresses)):
            return True
        _, ours = await self._resolve(domain_name)
        return not set(addresses).isdisjoint(ours)

    def close(self) -> None:
        """Shut down the threads without waiting for look-ups in progress."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _resolve(self, hostname: str) -> ResolvedHost:
        asking = asyncio.get_running_loop().run_in_executor(self._executor, self._resolver, hostname)
        try:
            return await asyncio.wait_for(asking, _LOOKUP_TIMEOUT)
        except TimeoutError:
            return "", ()


def _is_local_address(address: str) -> bool:
    """Return whether an interface of this machine has the address: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
