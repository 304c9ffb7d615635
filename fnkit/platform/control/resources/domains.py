"""Custom domains: their creation, verification and routes.

With ``--verify-domains`` a hostname must resolve to this machine before its domain becomes ready.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Never, TypeAlias

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.limits import DOMAINS_MAX, REGIONS
from fnkit.contract.requests import CreateDomain
from fnkit.contract.resources import Domain
from fnkit.platform.control.addresses import domain_name, is_default_hostname
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.deployments.routes import function_hosts
from fnkit.platform.control.errors import ControlError, already_exists, quota_exceeded
from fnkit.platform.control.resources import validation
from fnkit.platform.control.resources.kinds import DOMAINS, FUNCTIONS, build_view
from fnkit.platform.control.resources.resource import Resource
from fnkit.platform.model.records import DomainRecord, FunctionRecord, RecordChanges, transition

ResolvedHost: TypeAlias = tuple[str, tuple[str, ...]]
"""A hostname's canonical name and its addresses. Both are empty if the name does not exist."""

VERIFY_TIMEOUT: Final = 180  # platform time; published: 3 minutes, recorded: an error after 184 s

_LOOKUP_TIMEOUT: Final = 10.0
_MAX_CONCURRENT_LOOKUPS: Final = 4
_POLL_INTERVAL: Final = 5.0
_NANOSECONDS_PER_SECOND: Final = 10**9


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


class Domains(Resource[DomainRecord, Domain, CreateDomain, Never]):
    """The operations on domains."""

    def __init__(self, context: ControlContext, link: DataPlaneLink, dns_verifier: DnsVerifier) -> None:
        super().__init__(context, DOMAINS)
        self._link = link
        self._dns_verifier = dns_verifier

    async def create(self, region: str, request: CreateDomain) -> Domain:
        """Create a domain, which is returned as ``pending``.

        The function may be in any status but ``deleting``, also in ``error``, as recorded from the real API.

        Raises:
            ControlError: A field is invalid, the function does not exist, the hostname is taken or the function has
                too many domains.
        """
        store = self._context.store
        hostname = validation.hostname(request.hostname)
        function_id = validation.uuid_text("function_id", request.function_id)
        self._reject_default_hostname(hostname)
        with store.transaction():
            function = FUNCTIONS.require(store, region, function_id)
            self._check_available(function, hostname)
            record = DomainRecord(
                id=str(uuid.uuid4()),
                region=region,
                project_id=function.project_id,
                function_id=function.id,
                hostname=hostname,
                created_at=self._context.clock.now_ns(),
            )
            self._records.insert(record)
        self._make_ready_in_background(record)
        return self._view(record)

    async def make_ready(self, record: DomainRecord) -> None:
        """Make a pending domain ready, or put it into ``error`` if verification is required and fails."""
        must_verify = self._context.settings.verify_domains and not record.routed
        if must_verify and not await self._wait_until_points_here(record):
            await retry_until_written(lambda: self._mark_failed(record))
            return
        # Route the hostname before the domain becomes ready: a client that sees ``ready`` may call it at once.
        if await retry_until_written(
            lambda: self._update_unready(record, lambda current: msgspec.structs.replace(current, routed=True))
        ):
            await self._push_hosts(record.function_id)
            await super().make_ready(record)

    async def _resume_one(self, record: DomainRecord) -> None:
        self._make_ready_in_background(record)  # the verification may take minutes

    async def _stop(self, record: DomainRecord) -> None:
        if record.routed:
            await self._push_hosts(record.function_id)

    def _view(self, record: DomainRecord) -> Domain:
        # As recorded, the URL stays while a domain that was ready is deleted.
        return build_view(Domain, record, url=f"https://{record.hostname}" if record.was_ready else "")

    async def _push_hosts(self, function_id: str) -> None:
        function = self._context.store.functions.get(function_id)
        if function is not None and function.status is not Status.DELETING:
            await self._link.rename(function.id, function_hosts(self._context, function))

    async def _wait_until_points_here(self, record: DomainRecord) -> bool:
        """Resolve the hostname repeatedly until it points here, for up to three minutes of platform time."""
        clock = self._context.clock
        age = max(0.0, clock.now() - record.created_at / _NANOSECONDS_PER_SECOND)  # not 0 after a restart
        end = clock.elapsed() + VERIFY_TIMEOUT - age
        while (current := self._records.get(record.id)) is not None and current.status is Status.PENDING:
            function = FUNCTIONS.require(self._context.store, record.region, record.function_id)
            if await self._dns_verifier.points_here(record.hostname, self._default_hostname(function)):
                return True
            if (remaining := end - clock.elapsed()) <= 0:
                return False
            await clock.wait(min(remaining, _POLL_INTERVAL))
        return False

    def _mark_failed(self, record: DomainRecord) -> None:
        function = self._context.store.functions.get(record.function_id)
        if function is None:
            return
        text = (
            "failed to create domain: check that the domain correctly points to the function URL "
            f"(https://{self._default_hostname(function)})"
        )
        self._update_unready(record, lambda current: transition(current, Status.ERROR, error_message=text))

    def _ready_changes(self, _record: DomainRecord) -> RecordChanges:
        return {"was_ready": True}

    def _default_hostname(self, function: FunctionRecord) -> str:
        return domain_name(function.host_label, function.region, self._context.settings.domain_suffix)

    def _reject_default_hostname(self, hostname: str) -> None:
        """Reject a hostname that could become the default hostname of a function created later."""
        if any(is_default_hostname(hostname, region, self._context.settings.domain_suffix) for region in REGIONS):
            raise ControlError(400, f"could not validate domain [{hostname}]")

    def _check_available(self, function: FunctionRecord, hostname: str) -> None:
        if any(one.status is not Status.DELETING for one in self._records.all(hostname=hostname)):
            raise already_exists("Domain")
        current = self._records.count({"function_id": function.id, "region": function.region})
        if current >= DOMAINS_MAX:
            raise quota_exceeded("function_domains", DOMAINS_MAX, current)
