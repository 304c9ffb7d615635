"""Finds the logs of functions in Scaleway's Cockpit.

The operation and its fields are those of Scaleway's public SDKs (cockpit/v1). No traffic of it was recorded.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.client.transport import Transport

_PAGE_SIZE: Final = 100


class DataSource(msgspec.Struct, frozen=True):
    """A data source of Cockpit. Those of Scaleway's products have the origin ``scaleway``."""

    name: str = ""
    url: str = ""
    type: str = ""
    origin: str = ""


class _DataSourceList(msgspec.Struct, frozen=True):
    data_sources: list[DataSource]


def find_log_source(transport: Transport) -> DataSource | None:
    """Return the data source with the logs of Scaleway's products in the project and region, if there is one.

    Raises:
        ApiError: The key may not list data sources, or the API cannot be reached.
    """
    endpoint = transport.endpoint
    found = transport.request(
        "GET",
        f"/cockpit/v1/regions/{endpoint.region}/data-sources",
        _DataSourceList,
        query={
            "project_id": endpoint.project_id,
            "origin": "scaleway",
            "types": "logs",
            "page_size": _PAGE_SIZE,
        },
    )
    return next(
        (one for one in found.data_sources if one.type == "logs" and one.origin == "scaleway" and one.url), None
    )
