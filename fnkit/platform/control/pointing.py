"""Whether a hostname leads to this machine, as far as the resolver knows (``--verify-domains``)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

__all__ = ["Pointing", "Resolved", "resolve"]

Resolved: TypeAlias = tuple[str, tuple[str, ...]]
"""A name's canonical name, and its addresses; both empty where there is no such name."""

_SECONDS: Final = 10.0
_LOOKUPS_AT_ONCE: Final = 4


def resolve(hostname: str) -> Resolved:
    """Ask the system's resolver; blocks for as long as that takes."""
    try:
        found = socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        return "", ()
    canonical = next((entry[3] for entry in found if entry[3]), "")
    return canonical.rstrip(".").lower(), tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class Pointing:
    """Looks names up in threads of its own: a dead name server holds nothing else up."""

    def __init__(self, ask: Callable[[str], Resolved] = resolve) -> None:
        self._ask = ask
        self._threads = ThreadPoolExecutor(max_workers=_LOOKUPS_AT_ONCE, thread_name_prefix="names")

    async def leads_here(self, hostname: str, domain_name: str) -> bool:
        """Whether ``hostname`` is a name for ``domain_name``, or has an address of its or of this machine."""
        canonical, addresses = await self._asked(hostname)
        if canonical == domain_name:
            return True
        if any(map(_is_ours, addresses)):
            return True
        _, ours = await self._asked(domain_name)
        return not set(addresses).isdisjoint(ours)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _asked(self, hostname: str) -> Resolved:
        asking = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, hostname)
        try:
            return await asyncio.wait_for(asking, _SECONDS)
        except TimeoutError:
            return "", ()


def _is_ours(address: str) -> bool:
    """Whether one of this machine's interfaces has the address: nobody else can bind it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
