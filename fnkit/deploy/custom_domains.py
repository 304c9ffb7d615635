"""Custom hostnames of deployed functions, besides those that the code declares.

Scaleway validates a hostname when it is added: its DNS record must lead to the function's own domain name before.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from fnkit.client import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.requests import CreateDomain
from fnkit.contract.resources import Domain, Function
from fnkit.contract.text import natural_key
from fnkit.deploy.deployed import DeployedNamespace
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.errors import ApiError, DeployError, NotFoundError

_STATUS_BAD_REQUEST: Final = 400
_NOT_VALIDATED: Final = "could not validate domain"
"""How the API refuses a hostname whose DNS record does not lead to the function (yet), as recorded."""
_MAX_INTERVAL: Final = 5.0
_MAX_WORKERS: Final = 8


@dataclass(frozen=True, slots=True)
class FunctionDomain:
    """A custom hostname of a function."""

    domain: Domain
    function: Function

    @property
    def cname(self) -> str:
        """The name that the hostname's CNAME record must have."""
        return self.function.domain_name


def add_domain(
    api: FunctionsApi,
    function: Function,
    hostname: str,
    *,
    timeout_seconds: float,
    report: Callable[[str], None],
) -> FunctionDomain:
    """Add a hostname to a function and wait until it is ready.

    Args:
        api: The API.
        function: The live function.
        hostname: A lower-case hostname.
        timeout_seconds: How long to wait for the DNS record, and for the domain; 0 does not wait.
        report: Called with what is waited for.

    Raises:
        DeployError: ``domain-not-ready``: the record was not found in time, or the platform reports an error.
        ApiError: The API refused it for another reason.
    """
    limiter = AdaptiveLimiter()
    request = CreateDomain(hostname=hostname, function_id=function.id)

    def create() -> Domain | None:
        try:
            return api.domains.create(request)
        except ApiError as error:
            if error.status != _STATUS_BAD_REQUEST or _NOT_VALIDATED not in error.message:
                raise
            report("waiting for the DNS record")
            return None

    created = limiter.poll(create, timeout_seconds=timeout_seconds, max_interval=_MAX_INTERVAL)
    if created is None:
        raise _not_ready(function, hostname, "the platform does not find its DNS record")

    def settled() -> Domain | None:
        domain = limiter.call(partial(api.domains.get, created.id))
        report(domain.status)
        return domain if domain.status in (Status.READY, Status.ERROR) else None

    if timeout_seconds == 0:
        return FunctionDomain(created, function)
    domain = limiter.poll(settled, timeout_seconds=timeout_seconds, max_interval=_MAX_INTERVAL)
    if domain is None:
        raise _not_ready(function, hostname, f"it was not ready after {timeout_seconds:.0f} seconds")
    if domain.status == Status.ERROR:
        raise _not_ready(function, hostname, domain.error_message or "its status is error")
    return FunctionDomain(domain, function)


def list_domains(api: FunctionsApi, deployed: DeployedNamespace) -> tuple[FunctionDomain, ...]:
    """Return the custom hostnames of all functions, sorted by hostname."""
    limiter = AdaptiveLimiter()
    with ThreadPoolExecutor(max_workers=_MAX_WORKERS, thread_name_prefix="domains") as pool:
        lists = list(pool.map(lambda one: limiter.call(partial(api.domains.list, one.id)), deployed.functions))
    found = [
        FunctionDomain(domain, function)
        for function, domains in zip(deployed.functions, lists, strict=True)
        for domain in domains
        if domain.status != Status.DELETING
    ]
    return tuple(sorted(found, key=lambda one: natural_key(one.domain.hostname)))


def remove_domain(api: FunctionsApi, deployed: DeployedNamespace, hostname: str) -> FunctionDomain:
    """Remove a hostname from its function.

    Raises:
        NotFoundError: ``no-such-domain``: no function of the namespace has it.
    """
    found = list_domains(api, deployed)
    for one in found:
        if one.domain.hostname == hostname:
            api.domains.delete(one.domain.id)
            return one
    known = ", ".join(one.domain.hostname for one in found) or "none"
    raise NotFoundError(
        f"No function of namespace {deployed.namespace.name} has the domain {hostname}.",
        code="no-such-domain",
        hint=f"Its domains are: {known}.",
    )


def _not_ready(function: Function, hostname: str, reason: str) -> DeployError:
    return DeployError(
        f"The domain {hostname} of {function.name} is not ready: {reason}.",
        code="domain-not-ready",
        hint=f"Its DNS record must be: {hostname} CNAME {function.domain_name}. If it is new, wait and try again; "
        f"`fnkit domain remove {hostname}` removes the domain.",
    )
