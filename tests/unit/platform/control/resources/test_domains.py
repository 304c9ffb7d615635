"""Whether a hostname leads to this machine."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fnkit.platform.control.resources.domains import DnsVerifier, ResolvedHost, resolve_host

OURS = "label-hello.functions.fnc.fr-par.example.net"
NAMES: dict[str, ResolvedHost] = {
    OURS: (OURS, ("198.51.100.7",)),
    "cname.example.com": (OURS, ("198.51.100.7",)),
    "flattened.example.com": ("flattened.example.com", ("203.0.113.1", "198.51.100.7")),
    "loopback.example.com": ("loopback.example.com", ("127.0.0.1",)),
    "elsewhere.example.com": ("elsewhere.example.com", ("192.0.2.77", "2001:db8::1")),
}


def leads_here(hostname: str, names: dict[str, ResolvedHost]) -> bool:
    pointing = DnsVerifier(lambda name: names.get(name, ("", ())))
    try:
        return asyncio.run(pointing.points_here(hostname, OURS))
    finally:
        pointing.close()


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("cname.example.com", True),
        ("flattened.example.com", True),
        ("loopback.example.com", True),
        ("elsewhere.example.com", False),
        ("nobody.example.com", False),
    ],
)
def test_a_name_or_an_address_of_ours_leads_here(hostname: str, *, expected: bool) -> None:
    assert leads_here(hostname, NAMES) is expected


def test_two_names_without_addresses_do_not_lead_to_each_other() -> None:
    assert not leads_here("nobody.example.com", {})


def test_what_cannot_be_looked_up_has_no_address() -> None:
    assert resolve_host("nobody.invalid") == ("", ())
    assert resolve_host("a..b") == ("", ())


def test_this_machine_s_own_name_is_found() -> None:
    canonical, addresses = resolve_host("localhost")
    assert canonical
    assert set(addresses) & {"127.0.0.1", "::1"}


def test_a_look_up_does_not_hold_the_event_loop_up() -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(_name: str) -> ResolvedHost:
        asked.set()
        answer.wait(60)
        return "", ()

    async def main() -> bool:
        pointing = DnsVerifier(slow)
        looking = asyncio.ensure_future(pointing.points_here("a.example.com", OURS))
        await asyncio.to_thread(asked.wait, 20)
        assert not looking.done()
        answer.set()
        found = await looking
        pointing.close()
        return found

    assert asyncio.run(main()) is False
