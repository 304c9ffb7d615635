"""The operations of the Functions API and of the local platform's own API, typed in and out.

Every method raises ``ApiError`` when the API rejects the request or cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from types import TracebackType
from typing import Final, Self, TypeVar

from fnkit.client.endpoint import Endpoint
from fnkit.client.transport import Transport
from fnkit.contract.deliveries import DeliveryPage, DeliveryView, ReplayRequest, ReplayResponse
from fnkit.contract.platform import PLATFORM_PATH, PlatformInfo
from fnkit.contract.requests import (
    CreateCron,
    CreateDomain,
    CreateFunction,
    CreateNamespace,
    CreateTrigger,
    UpdateCron,
    UpdateFunction,
    UpdateNamespace,
    UpdateTrigger,
)
from fnkit.contract.resources import (
    Cron,
    Domain,
    Function,
    ListCronsResponse,
    ListDomainsResponse,
    ListFunctionsResponse,
    ListNamespacesResponse,
    ListRuntimesResponse,
    ListTriggersResponse,
    Namespace,
    Runtime,
    Trigger,
    UploadUrl,
)
from fnkit.errors import ApiError, ApiUnreachable, NotFoundError

__all__ = [
    "CronsClient",
    "DeliveryLogClient",
    "DomainsClient",
    "FunctionsApi",
    "FunctionsClient",
    "NamespacesClient",
    "RuntimesClient",
    "TriggersClient",
]

T = TypeVar("T")
PageT = TypeVar(
    "PageT",
    ListCronsResponse,
    ListDomainsResponse,
    ListFunctionsResponse,
    ListNamespacesResponse,
    ListTriggersResponse,
)
_PAGE_SIZE: Final = 100  # the API's maximum


class DeliveryLogClient:
    """``/fnkit/v1/regions/{region}/{crons|triggers}/{id}/…``.

    The argument ``kind`` is ``crons`` or ``triggers``. Every method raises ``ApiError``; at Scaleway its code is
    ``no-delivery-log``.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def is_available(self) -> bool:
        """Whether the endpoint has a delivery log."""
        return not self._transport.endpoint.is_scaleway

    def list_page(
        self, kind: str, source_id: str, *, statuses: Sequence[str] = (), limit: int = 20, before: str | None = None
    ) -> DeliveryPage:
        """Return one page of deliveries, newest first.

        Args:
            kind: ``crons`` or ``triggers``.
            source_id: Id of the cron or trigger.
            statuses: Statuses to include; empty for all.
            limit: Maximum number of deliveries.
            before: ``next`` of the preceding page.
        """
        query = {"status": ",".join(statuses) or None, "limit": limit, "before": before}
        return self._transport.get_absolute(self._path(kind, source_id, "deliveries"), DeliveryPage, query)

    def get(self, kind: str, source_id: str, delivery_id: str) -> DeliveryView:
        """Return one delivery, with its body as far as it was stored."""
        path = self._path(kind, source_id, f"deliveries/{delivery_id}")
        return self._transport.get_absolute(path, DeliveryView)

    def replay(self, kind: str, source_id: str, request: ReplayRequest) -> ReplayResponse:
        """Deliver messages again. The outcome is recorded in the new deliveries."""
        return self._transport.post_absolute(self._path(kind, source_id, "replay"), ReplayResponse, request)

    def run_cron(self, cron_id: str) -> DeliveryView:
        """Run a cron now. Does not affect its schedule."""
        return self._transport.post_absolute(self._path("crons", cron_id, "fire"), DeliveryView)

    def _path(self, kind: str, source_id: str, rest: str) -> str:
        if not self.is_available:
            raise ApiError(
                "Scaleway does not record the deliveries of crons and triggers.",
                code="no-delivery-log",
                hint="For the platform on this machine add --local. The functions' logs are in Scaleway's Cockpit.",
            )
        return f"/fnkit/v1/regions/{self._transport.endpoint.region}/{kind}/{source_id}/{rest}"


def _list_all(
    transport: Transport,
    path: str,
    page_type: type[PageT],
    items_of: Callable[[PageT], list[T]],
    **filters: str | None,
) -> list[T]:
    """Return the items of all pages.

    Ends at ``total_count`` items or at an empty page, whichever is first: items deleted between two requests make
    the total of the first page too large.
    """
    found: list[T] = []
    for number in count(1):
        page = transport.get(path, page_type, {**filters, "page": number, "page_size": _PAGE_SIZE})
        items = items_of(page)
        found += items
        if not items or len(found) >= page.total_count:
            break
    return found


class NamespacesClient:
    """``/namespaces``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str | None = None, project_id: str | None = None) -> list[Namespace]:
        """Return all matching namespaces. The API's ``name`` filter may match more than the exact name."""
        return _list_all(
            self._transport,
            "namespaces",
            ListNamespacesResponse,
            lambda page: page.namespaces,
            name=name,
            project_id=project_id,
        )

    def get(self, namespace_id: str) -> Namespace:
        """Return one namespace."""
        return self._transport.get(f"namespaces/{namespace_id}", Namespace)

    def create(self, request: CreateNamespace) -> Namespace:
        """Create a namespace. Its initial status is ``pending``."""
        return self._transport.write("POST", "namespaces", Namespace, request)

    def update(self, namespace_id: str, request: UpdateNamespace) -> Namespace:
        """Update a namespace."""
        return self._transport.write("PATCH", f"namespaces/{namespace_id}", Namespace, request)

    def delete(self, namespace_id: str) -> Namespace:
        """Delete a namespace and everything in it. Its status is ``deleting`` until it is gone."""
        return self._transport.write("DELETE", f"namespaces/{namespace_id}", Namespace)


class FunctionsClient:
    """``/functions``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, namespace_id: str) -> list[Function]:
        """Return all functions of a namespace."""
        return _list_all(
            self._transport,
            "functions",
            ListFunctionsResponse,
            lambda page: page.functions,
            namespace_id=namespace_id,
        )

    def get(self, function_id: str) -> Function:
        """Return one function."""
        return self._transport.get(f"functions/{function_id}", Function)

    def create(self, request: CreateFunction) -> Function:
        """Create a function. Its status is ``created`` until the first deploy."""
        return self._transport.write("POST", "functions", Function, request)

    def update(self, function_id: str, request: UpdateFunction) -> Function:
        """Update a function; the API also deploys it."""
        return self._transport.write("PATCH", f"functions/{function_id}", Function, request)

    def delete(self, function_id: str) -> Function:
        """Delete a function and its crons, triggers, domains and tokens."""
        return self._transport.write("DELETE", f"functions/{function_id}", Function)

    def upload_url(self, function_id: str, content_length: int) -> UploadUrl:
        """Return a signed URL to PUT an archive of exactly ``content_length`` bytes to."""
        return self._transport.get(
            f"functions/{function_id}/upload-url", UploadUrl, {"content_length": content_length}
        )


class CronsClient:
    """``/crons``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, function_id: str) -> list[Cron]:
        """Return all crons of a function."""
        return _list_all(
            self._transport, "crons", ListCronsResponse, lambda page: page.crons, function_id=function_id
        )

    def get(self, cron_id: str) -> Cron:
        """Return one cron."""
        return self._transport.get(f"crons/{cron_id}", Cron)

    def create(self, request: CreateCron) -> Cron:
        """Create a cron."""
        return self._transport.write("POST", "crons", Cron, request)

    def update(self, cron_id: str, request: UpdateCron) -> Cron:
        """Update a cron."""
        return self._transport.write("PATCH", f"crons/{cron_id}", Cron, request)

    def delete(self, cron_id: str) -> Cron:
        """Delete a cron."""
        return self._transport.write("DELETE", f"crons/{cron_id}", Cron)


class DomainsClient:
    """``/domains``. A hostname cannot be updated, only deleted and created again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, function_id: str) -> list[Domain]:
        """Return all domains of a function."""
        return _list_all(
            self._transport, "domains", ListDomainsResponse, lambda page: page.domains, function_id=function_id
        )

    def get(self, domain_id: str) -> Domain:
        """Return one domain."""
        return self._transport.get(f"domains/{domain_id}", Domain)

    def create(self, request: CreateDomain) -> Domain:
        """Bind a hostname. Its DNS record must point to the function first."""
        return self._transport.write("POST", "domains", Domain, request)

    def delete(self, domain_id: str) -> Domain:
        """Delete a domain."""
        return self._transport.write("DELETE", f"domains/{domain_id}", Domain)


class TriggersClient:
    """``/triggers``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, function_id: str) -> list[Trigger]:
        """Return all triggers of a function."""
        return _list_all(
            self._transport, "triggers", ListTriggersResponse, lambda page: page.triggers, function_id=function_id
        )

    def get(self, trigger_id: str) -> Trigger:
        """Return one trigger."""
        return self._transport.get(f"triggers/{trigger_id}", Trigger)

    def create(self, request: CreateTrigger) -> Trigger:
        """Create a trigger."""
        return self._transport.write("POST", "triggers", Trigger, request)

    def update(self, trigger_id: str, request: UpdateTrigger) -> Trigger:
        """Update a trigger's name or description."""
        return self._transport.write("PATCH", f"triggers/{trigger_id}", Trigger, request)

    def delete(self, trigger_id: str) -> Trigger:
        """Delete a trigger."""
        return self._transport.write("DELETE", f"triggers/{trigger_id}", Trigger)


class RuntimesClient:
    """``/runtimes``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> list[Runtime]:
        """Return all runtimes."""
        return self._transport.get("runtimes", ListRuntimesResponse).runtimes


class FunctionsApi:
    """The operations of one endpoint, grouped by resource. A context manager; thread-safe."""

    def __init__(self, endpoint: Endpoint, *, user_agent: str = "fnkit") -> None:
        self.endpoint = endpoint
        self.transport = Transport(endpoint, user_agent=user_agent)
        self.namespaces = NamespacesClient(self.transport)
        self.functions = FunctionsClient(self.transport)
        self.crons = CronsClient(self.transport)
        self.domains = DomainsClient(self.transport)
        self.triggers = TriggersClient(self.transport)
        self.runtimes = RuntimesClient(self.transport)
        self.deliveries = DeliveryLogClient(self.transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.close()

    def platform_info(self) -> PlatformInfo | None:
        """Return the local platform's description, or ``None`` for Scaleway's API.

        Scaleway's own host is never asked. At any other host a 404 means an API without this operation.

        Raises:
            ApiError: The endpoint rejected the request or could not be reached.
        """
        if self.endpoint.is_scaleway:
            return None
        try:
            return self.transport.get_absolute(PLATFORM_PATH, PlatformInfo)
        except NotFoundError:
            return None
        except ApiUnreachable as error:
            if error.code == "not-the-api" and error.status == 404:  # noqa: PLR2004  HTTP's own number
                return None
            raise
