"""The operations of the Functions API, typed in and out. Every method raises ``ApiError``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Final, TypeVar

from fnkit.client.transport import Query, Transport
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

__all__ = [
    "CronsClient",
    "DomainsClient",
    "FunctionsClient",
    "NamespacesClient",
    "RuntimesClient",
    "TriggersClient",
]

T = TypeVar("T")
PAGE_SIZE: Final = 100  # the API's maximum


def _iterate_pages(fetch: Callable[[int], tuple[list[T], int]]) -> Iterator[T]:
    """Yield the items of all pages.

    Ends at ``total_count`` items or at an empty page, whichever is first: items deleted between two requests make
    the total of the first page too large.
    """
    seen = 0
    for page in count(1):
        items, total = fetch(page)
        yield from items
        seen += len(items)
        if not items or seen >= total:
            return


class NamespacesClient:
    """``/namespaces``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, name: str | None = None, project_id: str | None = None) -> list[Namespace]:
        """Return all matching namespaces. The API's ``name`` filter may match more than the exact name."""

        def fetch(page: int) -> tuple[list[Namespace], int]:
            query: Query = {"name": name, "project_id": project_id, "page": page, "page_size": PAGE_SIZE}
            response = self._transport.get("namespaces", ListNamespacesResponse, query)
            return response.namespaces, response.total_count

        return list(_iterate_pages(fetch))

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

        def fetch(page: int) -> tuple[list[Function], int]:
            query: Query = {"namespace_id": namespace_id, "page": page, "page_size": PAGE_SIZE}
            response = self._transport.get("functions", ListFunctionsResponse, query)
            return response.functions, response.total_count

        return list(_iterate_pages(fetch))

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

    def deploy(self, function_id: str) -> Function:
        """Build and start the uploaded archive."""
        return self._transport.write("POST", f"functions/{function_id}/deploy", Function)

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

        def fetch(page: int) -> tuple[list[Cron], int]:
            query: Query = {"function_id": function_id, "page": page, "page_size": PAGE_SIZE}
            response = self._transport.get("crons", ListCronsResponse, query)
            return response.crons, response.total_count

        return list(_iterate_pages(fetch))

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

        def fetch(page: int) -> tuple[list[Domain], int]:
            query: Query = {"function_id": function_id, "page": page, "page_size": PAGE_SIZE}
            response = self._transport.get("domains", ListDomainsResponse, query)
            return response.domains, response.total_count

        return list(_iterate_pages(fetch))

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

        def fetch(page: int) -> tuple[list[Trigger], int]:
            query: Query = {"function_id": function_id, "page": page, "page_size": PAGE_SIZE}
            response = self._transport.get("triggers", ListTriggersResponse, query)
            return response.triggers, response.total_count

        return list(_iterate_pages(fetch))

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
