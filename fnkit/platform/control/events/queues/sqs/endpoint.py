"""The endpoints of SQS queues: which service, keys and queue a trigger's source refers to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from fnkit.platform.brokers.model import SqsBroker
from fnkit.platform.model.records import QueueSource, SqsSource

_REGIONAL_HOSTS: Final = (
    re.compile(r"sqs\.mnq\.([a-z]+-[a-z]+)\.scaleway\.com"),
    re.compile(r"sqs(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"),
    re.compile(r"([a-z0-9-]+)\.queue\.amazonaws\.com(?:\.cn)?"),
    re.compile(r"[a-z0-9-]+\.sqs\.([a-z0-9-]+)\.vpce\.amazonaws\.com(?:\.cn)?"),
    re.compile(r"sqs\.([a-z0-9-]+)\.localhost\.localstack\.cloud"),
)


@dataclass(frozen=True, slots=True)
class SqsClientConfig:
    """Configuration of a client: the service, the region that requests are signed for, and the keys."""

    endpoint: str
    region_name: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def host(self) -> str:
        """The service as it appears in messages."""
        return urlsplit(self.endpoint).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class SqsEndpoint:
    """A queue.

    Attributes:
        config: The service and the keys.
        queue: The name of the queue.
        url: Its URL; empty if it must be looked up by the name.
        is_created: Whether the queue is created if it does not exist.
    """

    config: SqsClientConfig
    queue: str
    url: str = ""
    is_created: bool = False


def endpoint_at_broker(source: QueueSource, broker: SqsBroker) -> SqsEndpoint:
    """Return the endpoint of a queue of Scaleway at the broker for its project and region."""
    url = broker.queue_url
    for name, value in (("queue", source.queue), ("project", source.project_id), ("region", source.region)):
        url = url.replace(f"{{{name}}}", value)
    access = SqsClientConfig(broker.endpoint, broker.region_name, broker.access_key, broker.secret_key)
    return SqsEndpoint(access, source.queue, url, broker.creates_queues)


def endpoint_of_source(source: SqsSource, secret_key: str, region: str) -> SqsEndpoint:
    """Return the endpoint of a queue that the source describes completely.

    Args:
        source: The source of the trigger.
        secret_key: The decrypted secret key.
        region: The trigger's region, to sign requests for endpoints whose host name contains none.
    """
    region_name = signing_region(source.endpoint, region)
    access = SqsClientConfig(source.endpoint, region_name, source.access_key, secret_key)
    return SqsEndpoint(access, source.queue_url.rstrip("/").rpartition("/")[2], source.queue_url)


def signing_region(endpoint: str, default: str) -> str:
    """Return the region in the host name of an endpoint, or the default.

    Services verify that requests are signed for their own region.
    """
    host = urlsplit(endpoint).hostname or ""
    for pattern in _REGIONAL_HOSTS:
        if match := pattern.fullmatch(host):
            return match.group(1)
    return default
