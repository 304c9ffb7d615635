"""The operations of the Functions API and of the local platform's own API, typed in and out.

Every method raises ``ApiError`` when the API rejects the request or cannot be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import GenericAlias
from typing import Final, Generic, Never, Self, TypeVar

import msgspec

from fnkit.client.endpoint import Endpoint
from fnkit.client.transport import Transport
from fnkit.contract.deliveries import (
    DeliveryPage,
    DeliveryView,
    ReplayRequest,
    ReplayResponse,
    SendMessage,
    SentMessage,
)
from fnkit.contract.platform import PLATFORM_PATH, EditCode, EditResult, PlatformInfo
from fnkit.contract.requests import (
    CreateCron,
    CreateDomain,
    CreateFunction,
    CreateNamespace,
    CreateToken,
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
    ListRuntimesResponse,
    Namespace,
    Runtime,
    SignedUrl,
    Token,
    Trigger,
)
from fnkit.errors import ApiError, ApiUnreachable, NotFoundError

ResourceT = TypeVar("ResourceT", bound=msgspec.Struct)
CreateT = TypeVar("CreateT", bound=msgspec.Struct)
UpdateT = TypeVar("UpdateT", bound=msgspec.Struct)
_PAGE_SIZE: Final = 100  # the API's maximum
_MAX_PAGES: Final = 100


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
        self,
        kind: str,
        source_id: str,
        *,
        statuses: Sequence[str] = (),
        limit: int = 20,
        before: str | None = None,
    ) -> DeliveryPage:
        """Return one page of deliveries, newest first.

        Args:
            kind: ``crons`` or ``triggers``.
            source_id: Id of the cron or trigger.
            statuses: Statuses to include; empty for all.
            limit: Maximum number of deliveries.
            before: ``next`` of the page before; ``None`` for the first page.
        """
        query = {"status": ",".join(statuses) or None, "limit": limit, "before": before}
        return self._transport.request("GET", self._path(kind, source_id, "deliveries"), DeliveryPage, query=query)

    def get(self, kind: str, source_id: str, delivery_id: str) -> DeliveryView:
        """Return one delivery, with its body as far as it was stored."""
        path = self._path(kind, source_id, f"deliveries/{delivery_id}")
        return self._transport.request("GET", path, DeliveryView)

    def replay(self, kind: str, source_id: str, request: ReplayRequest) -> ReplayResponse:
        """Deliver messages again. The outcome is recorded in the new deliveries."""
        return self._transport.request("POST", self._path(kind, source_id, "replay"), ReplayResponse, body=request)

    def send_message(self, trigger_id: str, message: SendMessage) -> SentMessage:
        """Send a message to where a trigger receives from, through the broker."""
        return self._transport.request(
            "POST", self._path("triggers", trigger_id, "send"), SentMessage, body=message
        )

    def run_cron(self, cron_id: str) -> DeliveryView:
        """Run a cron now. Does not affect its schedule."""
        return self._transport.request("POST", self._path("crons", cron_id, "fire"), DeliveryView)

    def _path(self, kind: str, source_id: str, rest: str) -> str:
        if not self.is_available:
            raise ApiError(
                "Scaleway does not record the deliveries of crons and triggers.",
                code="no-delivery-log",
                hint="For the platform on this machine add --local. The functions' logs are in Scaleway's Cockpit.",
            )
        return f"/fnkit/v1/regions/{self._transport.endpoint.region}/{kind}/{source_id}/{rest}"


class ResourceClient(Generic[ResourceT, CreateT, UpdateT]):
    """The operations on one kind of resource: ``/crons`` and ``/crons/{id}``.

    Args:
        transport: Sends the requests.
        path: The kind's path, which is also the name of the items in a page.
        resource_type: Type of one resource.
        filter_name: The query parameter of the positional argument of ``list``.
    """

    def __init__(
        self, transport: Transport, path: str, resource_type: type[ResourceT], filter_name: str = "function_id"
    ) -> None:
        self._transport = transport
        self._path = path
        self._resource_type = resource_type
        items_type = GenericAlias(list, (resource_type,))
        self._page_type = msgspec.defstruct("Page", [(path, items_type), ("total_count", int)])
        self._filter_name = filter_name

    def list(self, parent_id: str | None = None, **filters: str | None) -> list[ResourceT]:
        """Return all resources of a parent, or all that match the filters.

        The API's ``name`` filter may match more than the exact name. Ends at ``total_count`` items or at an empty
        page, whichever is first: items deleted between two requests make the total of the first page too large.

        Raises:
            ApiUnreachable: ``endless-list``: there are more than 100 pages.
        """
        found: list[ResourceT] = []
        query = {self._filter_name: parent_id, **filters, "page_size": str(_PAGE_SIZE)}
        for number in range(1, _MAX_PAGES + 1):
            page = self._transport.request("GET", self._path, self._page_type, query={**query, "page": number})
            items, total = msgspec.structs.astuple(page)
            found += items
            if not items or len(found) >= total:
                return found
        raise ApiUnreachable(
            f"The list of {self._path} at {self._transport.endpoint.api_url} has more than {_MAX_PAGES} pages.",
            code="endless-list",
            hint="Check --api-url and SCW_API_URL: it may not be the Functions API.",
        )

    def get(self, resource_id: str) -> ResourceT:
        """Return one resource."""
        return self._transport.request("GET", f"{self._path}/{resource_id}", self._resource_type)

    def create(self, request: CreateT) -> ResourceT:
        """Create a resource. A domain's DNS record must point to the function first."""
        return self._transport.request("POST", self._path, self._resource_type, body=request)

    def update(self, resource_id: str, request: UpdateT) -> ResourceT:
        """Update a resource. The API also deploys an updated function."""
        return self._transport.request("PATCH", f"{self._path}/{resource_id}", self._resource_type, body=request)

    def delete(self, resource_id: str) -> ResourceT:
        """Delete a resource and all that belongs to it. Its status is ``deleting`` until it is gone."""
        return self._transport.request("DELETE", f"{self._path}/{resource_id}", self._resource_type)


class FunctionsClient(ResourceClient[Function, CreateFunction, UpdateFunction]):
    """``/functions``. The status of a new function is ``created`` until the first deploy."""

    def upload_url(self, function_id: str, content_length: int) -> SignedUrl:
        """Return a signed URL to PUT an archive of exactly ``content_length`` bytes to."""
        return self._transport.request(
            "GET", f"functions/{function_id}/upload-url", SignedUrl, query={"content_length": content_length}
        )

    def edit_code(self, function_id: str, edit: EditCode) -> EditResult:
        """Change files of the code that serves; return when it serves. Only the local platform has this operation.

        Raises:
            ConflictError: The function has other code, or code that has to be built.
        """
        path = f"/fnkit/v1/regions/{self._transport.endpoint.region}/functions/{function_id}/code"
        return self._transport.request("PUT", path, EditResult, body=edit)


class FunctionsApi:
    """The operations of one endpoint, grouped by resource. A context manager; thread-safe.

    Args:
        endpoint: The endpoint.
        transport: Sends the requests; by default a new one.
    """

    def __init__(self, endpoint: Endpoint, transport: Transport | None = None) -> None:
        self.endpoint = endpoint
        self.transport = transport or Transport(endpoint)
        self.namespaces = ResourceClient[Namespace, CreateNamespace, UpdateNamespace](
            self.transport, "namespaces", Namespace, "project_id"
        )
        self.functions = FunctionsClient(self.transport, "functions", Function, "namespace_id")
        self.crons = ResourceClient[Cron, CreateCron, UpdateCron](self.transport, "crons", Cron)
        self.domains = ResourceClient[Domain, CreateDomain, Never](self.transport, "domains", Domain)
        self.triggers = ResourceClient[Trigger, CreateTrigger, UpdateTrigger](self.transport, "triggers", Trigger)
        self.tokens = ResourceClient[Token, CreateToken, Never](self.transport, "tokens", Token)
        self.deliveries = DeliveryLogClient(self.transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.transport.close()

    def list_runtimes(self) -> list[Runtime]:
        """Return all runtimes."""
        return self.transport.request("GET", "runtimes", ListRuntimesResponse).runtimes

    def platform_info(self) -> PlatformInfo | None:
        """Return the local platform's description, or ``None`` for Scaleway's API.

        Scaleway's own host is never asked. At any other host a 404 means an API without this operation.

        Raises:
            ApiError: The endpoint rejected the request or could not be reached.
        """
        if self.endpoint.is_scaleway:
            return None
        try:
            return self.transport.request("GET", PLATFORM_PATH, PlatformInfo)
        except NotFoundError:
            return None
        except ApiUnreachable as error:
            if error.code == "not-the-api" and error.status == 404:  # noqa: PLR2004  HTTP's own number
                return None
            raise
