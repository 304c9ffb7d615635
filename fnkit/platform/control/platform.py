"""The control plane: construction of its parts, and their startup, recovery and shutdown."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from fnkit.contract.enums import Status
from fnkit.contract.platform import TriggerListening
from fnkit.platform.builds.toolchain import Toolchains
from fnkit.platform.clock import VirtualClock
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.crons import Crons
from fnkit.platform.control.deliveries import DeliveryLog
from fnkit.platform.control.deploys import Deploys
from fnkit.platform.control.domains import Domains
from fnkit.platform.control.functions import Functions
from fnkit.platform.control.history import History
from fnkit.platform.control.keys import Keys
from fnkit.platform.control.leftovers import Leftovers
from fnkit.platform.control.link import DataPlaneLink
from fnkit.platform.control.logs.queries import LogQueries
from fnkit.platform.control.namespaces import Namespaces
from fnkit.platform.control.pointing import Pointing
from fnkit.platform.control.routes import serving_routes
from fnkit.platform.control.secrets import SecretKeeper
from fnkit.platform.control.ticks import Ticks
from fnkit.platform.control.token_key import TokenKeyKeeper
from fnkit.platform.control.tokens import Tokens
from fnkit.platform.control.trigger_sources import TriggerSources
from fnkit.platform.control.triggers import Triggers
from fnkit.platform.control.uploads import Uploads
from fnkit.platform.layout import Layout, ProcessSettings
from fnkit.platform.records.function import Deployment
from fnkit.platform.routing import Clock, Credentials
from fnkit.platform.store.api_keys import ApiKeys
from fnkit.platform.store.blobs import Blobs
from fnkit.platform.store.database import Store
from fnkit.platform.store.vault import Vault

__all__ = ["ControlPlane", "assemble"]

FUNCTION_UIDS: Final = range(40_000, 60_000)
"""User ids of instances if the platform runs as root.

They lie below the ids that Debian reserves from 60000, and far above the first user accounts, which start at 1000
(https://www.debian.org/doc/debian-policy/ch-opersys.html#uid-and-gid-classes).
"""

CLOCK_FACT: Final = "clock"


async def _nothing_due() -> None:
    """Do nothing."""


@dataclass(slots=True)
class ControlPlane:
    """The parts of the control plane. The API serves its operations; the control process opens and closes it.

    Attributes:
        on_clock_moved: Starts everything that became due because the clock was moved.
        list_trigger_states: Returns the state of each trigger's connection to its broker.
    """

    context: ControlContext
    clock: VirtualClock
    link: DataPlaneLink
    toolchains: Toolchains
    namespaces: Namespaces
    functions: Functions
    crons: Crons
    ticks: Ticks
    deliveries: DeliveryLog
    history: History
    domains: Domains
    tokens: Tokens
    keys: Keys
    triggers: Triggers
    uploads: Uploads
    deploys: Deploys
    leftovers: Leftovers
    pointing: Pointing
    token_keys: TokenKeyKeeper
    logs: LogQueries
    due: Callable[[], Awaitable[None]] = _nothing_due
    listening: Callable[[], list[TriggerListening]] = list
    version: str = field(default_factory=lambda: version("fnkit"))

    async def open(self) -> None:
        """Listen for the data plane and resume the work of an earlier process."""
        await self.link.open()
        await self._reconcile()
        self.leftovers.sweep()
        self.context.tasks.start(self.token_keys.prepare(), "the token key")

    async def advance(self, seconds: float) -> float:
        """Move the clock forward and start what became due.

        Args:
            seconds: Seconds of platform time.

        Returns:
            The new platform time in Unix seconds.
        """
        state = self.clock.advance(seconds)
        with self.context.store.transaction():
            self.context.store.facts.put(CLOCK_FACT, state)
        await self.link.move_clock()
        await self.due()
        return self.clock.now()

    async def close(self) -> None:
        """Stop all work and close the store, which holds everything needed to resume the work."""
        # Tasks first: they use everything that is closed after them. The store last.
        await self.context.tasks.stop()
        self.deliveries.close()
        await self.token_keys.close()
        await self.link.close()
        self.deploys.close()
        self.logs.close()
        self.pointing.close()
        self.context.secrets.close()
        self.context.store.close()

    async def _reconcile(self) -> None:
        """Purge resources in status ``deleting``, resume pending ones, and rebuild code that is missing on disk."""
        await self._remove_what_was_deleting()
        store = self.context.store
        for function in list(store.functions.every(serving=1)):
            if function.status is not Status.PENDING and _lost(function.serving):
                redeployed = self.deploys.begin(msgspec.structs.replace(function, serving=None))
                with store.transaction():
                    store.functions.update(redeployed)
        await self._begin_what_was_pending()
        with store.transaction():
            self.deliveries.reconcile()

    async def _remove_what_was_deleting(self) -> None:
        store, deleting = self.context.store, Status.DELETING.value
        for namespace in list(store.namespaces.every(status=deleting)):
            await self.namespaces.purge(namespace.id)
        for function in list(store.functions.every(status=deleting)):
            await self.functions.purge(function.id)
        for cron in list(store.crons.every(status=deleting)):
            await self.crons.purge(cron.id)
        for domain in list(store.domains.every(status=deleting)):
            await self.domains.purge(domain.id)
        for token in list(store.tokens.every(status=deleting)):
            await self.tokens.purge(token.id)
        for trigger in list(store.triggers.every(status=deleting)):
            await self.triggers.purge(trigger.id)

    async def _begin_what_was_pending(self) -> None:
        store, pending = self.context.store, Status.PENDING.value
        for function in list(store.functions.every(status=pending)):
            self.deploys.launch(function)
        for namespace in list(store.namespaces.every(status=pending)):
            self.namespaces.settle(namespace)
        for cron in list(store.crons.every(status=pending)):
            await self.crons.settle(cron)
        for domain in list(store.domains.every(status=pending)):
            self.context.tasks.start(self.domains.settle(domain), f"domain {domain.id}")
        for token in list(store.tokens.every(status=Status.CREATING.value)):
            await self.tokens.settle(token)
        for status in (Status.CREATING, Status.PENDING):
            for trigger in list(store.triggers.every(status=status.value)):
                await self.triggers.settle(trigger)


def _lost(deployment: Deployment | None) -> bool:
    return deployment is not None and not Path(deployment.code).is_dir()


def assemble(settings: ProcessSettings) -> ControlPlane:
    """Create the control plane for the data folder in the settings. Nothing runs before ``open``.

    Raises:
        PlatformError: The database or a key file cannot be used.
        OSError: The data folder cannot be used.
    """
    layout = Layout(Path(settings.home))
    layout.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    vault = Vault(layout.keys / "platform.key")
    store = Store(layout.database)
    clock = VirtualClock.starting(store.facts.get(CLOCK_FACT, Clock), settings.speed)
    with store.transaction():
        store.facts.put(CLOCK_FACT, clock.state)
    context = ControlContext(
        settings=settings,
        layout=layout,
        clock=clock,
        store=store,
        blobs=Blobs(layout.blobs),
        secrets=SecretKeeper(vault),
    )
    link = DataPlaneLink(Path(settings.control_socket), lambda: serving_routes(context), lambda: clock.state)
    toolchains = Toolchains(strict=settings.strict_runtimes)
    leftovers = Leftovers(context)
    deploys = Deploys(context, link, toolchains, leftovers)
    uids = FUNCTION_UIDS if os.geteuid() == 0 else None
    pointing = Pointing()
    functions = Functions(context, link, deploys, leftovers, uids)
    namespaces = Namespaces(context, functions)
    token_keys = TokenKeyKeeper(layout.keys / "tokens.pem")
    tokens = Tokens(context, link, namespaces, functions, token_keys)
    keys = Keys(context, link, ApiKeys(layout.api_keys))
    deliveries = DeliveryLog(store, context.meter)
    ticks = Ticks(context, deliveries)
    link.credentials = lambda: Credentials(
        public_key=token_keys.public_pem, tokens=tokens.live(), keys=keys.grants()
    )
    return ControlPlane(
        context=context,
        clock=clock,
        link=link,
        toolchains=toolchains,
        namespaces=namespaces,
        functions=functions,
        crons=Crons(context, functions),
        ticks=ticks,
        deliveries=deliveries,
        history=History(context, deliveries, ticks),
        domains=Domains(context, link, functions, pointing),
        tokens=tokens,
        keys=keys,
        triggers=Triggers(context, functions, TriggerSources(vault)),
        uploads=Uploads(context, functions, leftovers, vault.derive("signed URLs")),
        deploys=deploys,
        leftovers=leftovers,
        pointing=pointing,
        token_keys=token_keys,
        logs=LogQueries(context),
    )
