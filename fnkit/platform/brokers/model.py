"""The brokers that a platform knows, and which of them is meant (pure).

An entry names what it is for: a NATS account, a project, a region, each or none. It answers for an object where all
that it names is the object's; of several the most specific one does: the one that names more, and of two that name
as much the one with the narrower name (account before project before region).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

__all__ = ["Brokers", "NatsBroker", "Selector", "SqsBroker", "most_specific"]


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry is for; ``None`` is any. ``account`` is NATS' alone."""

    account: str | None = None
    project: str | None = None
    region: str | None = None

    def matches(self, account: str | None, project: str, region: str) -> bool:
        """Whether it is for an object with these."""
        return self.account in (None, account) and self.project in (None, project) and self.region in (None, region)

    @property
    def weight(self) -> tuple[int, bool, bool, bool]:
        """More specific ones weigh more; no two that match the same object and differ weigh the same."""
        named = (self.account is not None, self.project is not None, self.region is not None)
        return (sum(named), *named)


class NatsBroker(msgspec.Struct, frozen=True, kw_only=True):
    """A NATS server, or several of one cluster with commas between. Credentials: one kind, or none.

    credentials: the path of a ``.creds`` file. nkey: a user's seed, ``SU…``, or the path of a file that holds it.
    certificate: the path of the authority that signed the server's, where the system does not know it.
    client_certificate, client_key: paths of what the server is shown; without a key it is beside its certificate.
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
        """Show no credentials; the URL may hold some too."""
        return f"NatsBroker({self.selector})"


class SqsBroker(msgspec.Struct, frozen=True, kw_only=True):
    """An SQS service. region_name: what requests are signed for.

    queue_url: a queue's address, with ``{queue}``, ``{project}`` and ``{region}`` filled in, where it need not be
    asked for by the queue's name.
    """

    endpoint: str
    region_name: str
    access_key: str
    secret_key: str
    selector: Selector = Selector()
    queue_url: str = ""

    def __repr__(self) -> str:
        """Show no credentials."""
        return f"SqsBroker({self.selector})"


class Brokers(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    nats: tuple[NatsBroker, ...] = ()
    sqs: tuple[SqsBroker, ...] = ()

    def nats_for(self, account: str, project: str, region: str) -> NatsBroker | None:
        """Return the broker of a NATS trigger, or ``None`` where no entry is for it."""
        return most_specific(self.nats, account, project, region)

    def sqs_for(self, project: str, region: str) -> SqsBroker | None:
        """Return the service of a queue, or ``None`` where no entry is for it."""
        return most_specific(self.sqs, None, project, region)


B = TypeVar("B", NatsBroker, SqsBroker)


def most_specific(brokers: Iterable[B], account: str | None, project: str, region: str) -> B | None:
    """Return the one that is for such an object and names the most."""
    fitting = [broker for broker in brokers if broker.selector.matches(account, project, region)]
    return max(fitting, key=lambda broker: broker.selector.weight, default=None)
