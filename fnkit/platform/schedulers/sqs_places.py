"""Where an SQS trigger listens: its source and the brokers' settings → a queue, and what signs requests (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from fnkit.platform.brokers.model import SqsBroker
from fnkit.platform.records.trigger import QueueSource, SqsSource

__all__ = ["SqsAccess", "SqsPlace", "place_anywhere", "place_at_broker", "signing_region"]

_HOSTS: Final = (
    re.compile(r"sqs\.mnq\.([a-z]+-[a-z]+)\.scaleway\.com"),
    re.compile(r"sqs(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"),
    re.compile(r"([a-z0-9-]+)\.queue\.amazonaws\.com(?:\.cn)?"),
    re.compile(r"[a-z0-9-]+\.sqs\.([a-z0-9-]+)\.vpce\.amazonaws\.com(?:\.cn)?"),
    re.compile(r"sqs\.([a-z0-9-]+)\.localhost\.localstack\.cloud"),
)


@dataclass(frozen=True, slots=True)
class SqsAccess:
    """An SQS service and the keys to it. region_name: what requests are signed for."""

    endpoint: str
    region_name: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def host(self) -> str:
        """The service as messages name it."""
        return urlsplit(self.endpoint).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class SqsPlace:
    """One queue there. url: ``""`` where the service is to be asked for it by the queue's name."""

    access: SqsAccess
    queue: str
    url: str = ""


def place_at_broker(source: QueueSource, broker: SqsBroker) -> SqsPlace:
    """Return where a queue of Scaleway's is, by its project and region."""
    url = broker.queue_url
    for name, value in (("queue", source.queue), ("project", source.project_id), ("region", source.region)):
        url = url.replace(f"{{{name}}}", value)
    access = SqsAccess(broker.endpoint, broker.region_name, broker.access_key, broker.secret_key)
    return SqsPlace(access, source.queue, url)


def place_anywhere(source: SqsSource, secret_key: str, region: str) -> SqsPlace:
    """Return where a queue anywhere is. region: the trigger's own, for endpoints that name none."""
    signed_for = signing_region(source.endpoint, region)
    access = SqsAccess(source.endpoint, signed_for, source.access_key, secret_key)
    return SqsPlace(access, source.queue_url.rstrip("/").rpartition("/")[2], source.queue_url)


def signing_region(endpoint: str, otherwise: str) -> str:
    """Return the region that an endpoint's name says, which is what its requests must be signed for."""
    host = urlsplit(endpoint).hostname or ""
    for pattern in _HOSTS:
        if found := pattern.fullmatch(host):
            return found.group(1)
    return otherwise
