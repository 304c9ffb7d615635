"""DNS verification of custom domains (``--verify-domains``)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

__all__ = ["Pointing", "Resolved", "resolve"]

Resolved: TypeAlias = tuple[str, tuple[str, ...]]
"""A hostname's canonical name and its addresses. Both are empty if the name does not exist."""

_SECONDS: Final = 10.0
_LOOKUPS_AT_ONCE: Final = 4


def resolve(hostname: str) -> Resolved:
    """Look up a hostname with the system's resolver. Blocks until the resolver responds."""
    try:
        found = socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        return "", ()
    canonical = next((entry[3] for entry in found if entry[3]), "")
    return canonical.rstrip(".").lower(), tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class Pointing:
    """Looks up hostnames in threads of its own, so that a slow name server does not block other work.

    The event loop's default executor would run out of threads, on which uploads depend.

    Args:
        resolver: Looks up a hostname; called in a thread.
    """

    def __init__(self, ask: Callable[[str], Resolved] = resolve) -> None:
        self._ask = ask
        self._threads = ThreadPoolExecutor(max_workers=_LOOKUPS_AT_ONCE, thread_name_prefix="names")

    async def leads_here(self, hostname: str, domain_name: str) -> bool:
        """Return whether a hostname leads to this platform.

        That is the case if it is an alias of the function's domain name, or has one of its addresses, or one of
        this machine.

        Args:
            hostname: The custom hostname.
            domain_name: The function's default hostname.
        """
        canonical, addresses = await self._asked(hostname)
        if canonical == domain_name:
            return True
        if any(map(_is_ours, addresses)):
            return True
        _, ours = await self._asked(domain_name)
        return not set(addresses).isdisjoint(ours)

    def close(self) -> None:
        """Shut down the threads without waiting for look-ups in progress."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _asked(self, hostname: str) -> Resolved:
        asking = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, hostname)
        try:
            return await asyncio.wait_for(asking, _SECONDS)
        except TimeoutError:
            return "", ()


def _is_ours(address: str) -> bool:
    """Return whether an interface of this machine has the address: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
