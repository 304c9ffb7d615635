"""DNS verification of custom domains."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fnkit.platform.control.resources.domains import DnsVerifier, ResolvedHost, resolve_host

GATEWAY_HOST = "label-hello.functions.fnc.fr-par.example.net"
NAMES: dict[str, ResolvedHost] = {
    GATEWAY_HOST: (GATEWAY_HOST, ("198.51.100.7",)),
    "cname.example.com": (GATEWAY_HOST, ("198.51.100.7",)),
    "flattened.example.com": ("flattened.example.com", ("203.0.113.1", "198.51.100.7")),
    "loopback.example.com": ("loopback.example.com", ("127.0.0.1",)),
    "elsewhere.example.com": ("elsewhere.example.com", ("192.0.2.77", "2001:db8::1")),
}


def points_here(hostname: str, names: dict[str, ResolvedHost]) -> bool:
    verifier = DnsVerifier(lambda name: names.get(name, ("", ())))
    try:
        return asyncio.run(verifier.points_here(hostname, GATEWAY_HOST))
    finally:
        verifier.close()


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("cname.example.com", True),
        ("flattened.example.com", True),
        ("loopback.example.com", True),
        ("elsewhere.example.com", False),
        ("unknown.example.com", False),
    ],
)
def test_name_points_here_by_cname_or_address(hostname: str, *, expected: bool) -> None:
    assert points_here(hostname, NAMES) is expected


def test_name_without_addresses_does_not_point_here() -> None:
    assert not points_here("unknown.example.com", {})


def test_unresolvable_name_has_no_addresses() -> None:
    assert resolve_host("unknown.invalid") == ("", ())
    assert resolve_host("a..b") == ("", ())


def test_localhost_is_resolved() -> None:
    canonical, addresses = resolve_host("localhost")
    assert canonical
    assert set(addresses) & {"127.0.0.1", "::1"}


def test_lookup_does_not_block_the_event_loop() -> None:
    started, release = threading.Event(), threading.Event()

    def slow(_name: str) -> ResolvedHost:
        started.set()
        release.wait(60)
        return "", ()

    async def main() -> bool:
        verifier = DnsVerifier(slow)
        lookup = asyncio.ensure_future(verifier.points_here("a.example.com", GATEWAY_HOST))
        await asyncio.to_thread(started.wait, 20)
        assert not lookup.done()
        release.set()
        found = await lookup
        verifier.close()
        return found

    assert asyncio.run(main()) is False
