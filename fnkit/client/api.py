"""The operations of the Functions API and of the local platform's own API, typed in and out.

Every method raises ``ApiError`` when the API rejects the request or cannot be reached.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from fnkit.client.deliveries import DeliveryLogClient
from fnkit.client.endpoint import Endpoint
from fnkit.client.resources import (
    CronsClient,
    DomainsClient,
    FunctionsClient,
    NamespacesClient,
    RuntimesClient,
    TriggersClient,
)
from fnkit.client.transport import Transport
from fnkit.contract.platform import PLATFORM_PATH, PlatformInfo
from fnkit.errors import ApiUnreachable, NotFoundError

__all__ = ["FunctionsApi"]


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
