"""The Functions API as the kit uses it: the kit's only outbound HTTP."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from fnkit.client.deliveries import Deliveries
from fnkit.client.endpoint import Endpoint
from fnkit.client.resources import Crons, Domains, Functions, Namespaces, Runtimes, Triggers
from fnkit.client.transport import Transport
from fnkit.contract.platform import PLATFORM_PATH, PlatformInfo
from fnkit.errors import ApiUnreachable, NotFoundError

__all__ = ["FunctionsApi"]


class FunctionsApi:
    """One endpoint's operations, grouped by resource. A context manager; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint, *, user_agent: str = "fnkit") -> None:
        self.endpoint = endpoint
        self.transport = Transport(endpoint, user_agent=user_agent)
        self.namespaces = Namespaces(self.transport)
        self.functions = Functions(self.transport)
        self.crons = Crons(self.transport)
        self.domains = Domains(self.transport)
        self.triggers = Triggers(self.transport)
        self.runtimes = Runtimes(self.transport)
        self.deliveries = Deliveries(self.transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.close()

    def platform(self) -> PlatformInfo | None:
        """Return what our platform says of itself, or ``None`` for Scaleway's own API (decision 4).

        Raises:
            ApiError: it could not be asked.
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
