"""The configured brokers, and the selection of the broker for an API object.

Each entry may select a NATS account, a project and a region. It matches an object that has all the values that the
entry names. If several entries match, the most specific one wins: the one that names more values, and among those
that name equally many, account takes precedence over project, and project over region.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """The objects that an entry applies to. ``None`` matches any value; ``account`` is only used for NATS."""

    account: str | None = None
    project: str | None = None
    region: str | None = None

    def matches(self, account: str | None, project: str, region: str) -> bool:
        """Return whether an object with these values matches."""
        return self.account in (None, account) and self.project in (None, project) and self.region in (None, region)

    @property
    def specificity(self) -> tuple[int, bool, bool, bool]:
        """A sort key: of two different selectors that match the same object, the more specific one is greater."""
        named = (self.account is not None, self.project is not None, self.region is not None)
        return (sum(named), *named)


class NatsBroker(msgspec.Struct, frozen=True, kw_only=True):
    """A NATS server, or several servers of one cluster. At most one kind of credentials is set.

    Attributes:
        url: The URL; several are separated by commas.
        selector: The objects that the broker is used for.
        user: User name, together with ``password``.
        password: Password of ``user``.
        token: Authentication token.
        credentials: Path of a ``.creds`` file.
        nkey: A user's seed (``SU…``), or the path of a file that contains it.
        certificate: Path of the CA certificate of the server, if the system does not trust it.
        client_certificate: Path of the client certificate.
        client_key: Path of its private key; empty if the key is in the same file.
    """

    url: str
    selector: Selector = Selector()
    user: str = ""
    password: str = ""
    token: str = ""
    credentials: str = ""
    nkey: str = ""
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""

    def __repr__(self) -> str:
        """Omit credentials, and the URL, which may contain some."""
        return f"NatsBroker({self.selector})"

    @property
    def urls(self) -> list[str]:
        """The URL of each server."""
        return split_urls(self.url)


class SqsBroker(msgspec.Struct, frozen=True, kw_only=True):
    """An SQS service.

    Attributes:
        endpoint: URL of the service.
        region_name: The region that requests are signed for.
        access_key: Access key id.
        secret_key: Secret access key.
        selector: The objects that the service is used for.
        queue_url: URL of a queue, with the placeholders ``{queue}``, ``{project}`` and ``{region}``. If empty,
            the URL is looked up by the name of the queue (``GetQueueUrl``).
        creates_queues: Whether a queue that does not exist is created when a trigger names it.
    """

    endpoint: str
    region_name: str
    access_key: str
    secret_key: str
    selector: Selector = Selector()
    queue_url: str = ""
    creates_queues: bool = False

    def __repr__(self) -> str:
        """Omit credentials."""
        return f"SqsBroker({self.selector})"


class Brokers(msgspec.Struct, frozen=True, kw_only=True):
    """All configured brokers."""

    nats: tuple[NatsBroker, ...] = ()
    sqs: tuple[SqsBroker, ...] = ()

    def nats_for(self, account: str, project: str, region: str) -> NatsBroker | None:
        """Return the broker of a NATS trigger, or ``None`` if no entry matches."""
        return most_specific(self.nats, account, project, region)

    def sqs_for(self, project: str, region: str) -> SqsBroker | None:
        """Return the service of a queue, or ``None`` if no entry matches."""
        return most_specific(self.sqs, None, project, region)


Broker = TypeVar("Broker", bound=NatsBroker | SqsBroker)


def most_specific(brokers: Iterable[Broker], account: str | None, project: str, region: str) -> Broker | None:
    """Return the most specific of the brokers that match an object, or ``None`` if none matches."""
    matching = [broker for broker in brokers if broker.selector.matches(account, project, region)]
    return max(matching, key=lambda broker: broker.selector.specificity, default=None)


def split_urls(url: str) -> list[str]:
    """Return the URLs of several servers that are separated by commas."""
    return [one.strip() for one in url.split(",")]
