"""The control plane: construction of its parts, and their startup, recovery and shutdown."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from fnkit.contract.distribution import DISTRIBUTION
from fnkit.contract.enums import Status
from fnkit.platform.control.cleanup import GarbageCollector
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.deployments.deployments import Deployments
from fnkit.platform.control.deployments.routes import serving_routes
from fnkit.platform.control.deployments.toolchains import Toolchains
from fnkit.platform.control.events.cron_scheduler import CronScheduler, ExpiryScheduler
from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.dispatcher import Dispatcher
from fnkit.platform.control.events.firing import CronState
from fnkit.platform.control.events.gateway_client import GatewayClient
from fnkit.platform.control.events.history import DeliveryHistory
from fnkit.platform.control.events.queues.triggers import QueueTriggers
from fnkit.platform.control.logs.query import LogQueries
from fnkit.platform.control.resources.access import ApiKeyRegistry, key_grants
from fnkit.platform.control.resources.archives import Uploads
from fnkit.platform.control.resources.crons import Crons
from fnkit.platform.control.resources.domains import DnsVerifier, Domains
from fnkit.platform.control.resources.functions import Functions
from fnkit.platform.control.resources.namespaces import Namespaces
from fnkit.platform.control.resources.token_key import SigningKeyStore
from fnkit.platform.control.resources.tokens import Tokens, active_token_ids
from fnkit.platform.control.resources.triggers import Triggers, TriggerSourceFactory
from fnkit.platform.control.secrets import SecretStore
from fnkit.platform.control.store.api_keys import ApiKeyFile
from fnkit.platform.control.store.blobs import BlobStore
from fnkit.platform.control.store.database import Store
from fnkit.platform.control.store.vault import Vault
from fnkit.platform.model.clock import VirtualClock
from fnkit.platform.model.records import Deployment
from fnkit.platform.model.routing import AcceptedCredentials, ClockState
from fnkit.platform.model.settings import DataLayout, ProcessSettings

FUNCTION_UIDS: Final = range(40_000, 60_000)
"""User ids of instances if the platform runs as root.

They lie below the ids that Debian reserves from 60000, and far above the first user accounts, which start at 1000
(https://www.debian.org/doc/debian-policy/ch-opersys.html#uid-and-gid-classes).
"""

CLOCK_KEY: Final = "clock"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The parts of the control plane. The API serves its operations; the control process opens and closes it."""

    context: ControlContext
    clock: VirtualClock
    link: DataPlaneLink
    toolchains: Toolchains
    namespaces: Namespaces
    functions: Functions
    crons: Crons
    cron_scheduler: CronScheduler
    queue_triggers: QueueTriggers
    gateway_client: GatewayClient
    delivery_log: DeliveryLog
    history: DeliveryHistory
    domains: Domains
    tokens: Tokens
    api_keys: ApiKeyRegistry
    triggers: Triggers
    uploads: Uploads
    deployments: Deployments
    garbage_collector: GarbageCollector
    dns_verifier: DnsVerifier
    signing_keys: SigningKeyStore
    logs: LogQueries
    version: str = field(default_factory=lambda: version(DISTRIBUTION))

    async def open(self) -> None:
        """Listen for the data plane, resume the work of an earlier process, and start schedulers and triggers."""
        await self.link.open()
        await self._reconcile()
        self.garbage_collector.collect()
        tasks = self.context.tasks
        tasks.start(self.signing_keys.generate_later(), "the token key")
        self.cron_scheduler.load()
        tasks.start(self.cron_scheduler.run(), "cron scheduler")
        tasks.start(ExpiryScheduler(self.context, self.functions).run(), "expiry scheduler")
        self.queue_triggers.start()

    async def advance(self, seconds: float) -> float:
        """Move the clock forward and start what became due.

        Args:
            seconds: Seconds of platform time.

        Returns:
            The new platform time in Unix seconds.
        """
        state = self.clock.advance(seconds)
        with self.context.store.transaction():
            self.context.store.key_values.put(CLOCK_KEY, state)
        await self.link.update_clock()
        await self.cron_scheduler.fire_due()
        await self.queue_triggers.retry_due()
        await self.functions.expire_deployments()
        await asyncio.sleep(0)  # run the first step of the tasks that were just created
        return self.clock.now()

    async def close(self) -> None:
        """Stop all work and close the store, which holds everything needed to resume the work."""
        # Messages in flight first: they need the tasks, and those use everything that is closed after them.
        await self.queue_triggers.stop()
        await self.context.tasks.stop()
        self.delivery_log.close()
        await self.signing_keys.close()
        await self.link.close()
        self.deployments.close()
        self.logs.close()
        self.dns_verifier.close()
        self.context.secrets.close()
        self.context.store.close()
        self.gateway_client.close()

    async def _reconcile(self) -> None:
        """Purge resources in status ``deleting``, resume pending ones, and rebuild code that is missing on disk."""
        resources = (self.functions, self.namespaces, self.crons, self.domains, self.tokens, self.triggers)
        for resource in resources:
            await resource.purge_deleting()
        store = self.context.store
        for function in list(store.functions.all(serving=1)):
            if function.status is not Status.PENDING and _is_code_missing(function.serving):
                redeployed = self.deployments.prepare(msgspec.structs.replace(function, serving=None))
                with store.transaction():
                    store.functions.update(redeployed)
        for resource in resources:
            await resource.resume()
        with store.transaction():
            self.delivery_log.mark_interrupted()


def _is_code_missing(deployment: Deployment | None) -> bool:
    return deployment is not None and not Path(deployment.code).is_dir()


def build_control_plane(settings: ProcessSettings) -> ControlPlane:
    """Create the control plane for the data folder in the settings. Nothing runs before ``open``.

    Raises:
        PlatformError: The database or a key file cannot be used.
        OSError: The data folder cannot be used.
    """
    layout = DataLayout(Path(settings.data_dir))
    layout.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    vault = Vault(layout.keys_dir / "platform.key")
    store = Store(layout.database)
    clock = VirtualClock.resume(store.key_values.get(CLOCK_KEY, ClockState), settings.speed)
    with store.transaction():
        store.key_values.put(CLOCK_KEY, clock.state)
    context = ControlContext(
        settings=settings,
        layout=layout,
        clock=clock,
        store=store,
        blobs=BlobStore(layout.blobs_dir),
        secrets=SecretStore(vault),
    )
    signing_keys = SigningKeyStore(layout.keys_dir / "tokens.pem")
    key_file = ApiKeyFile(layout.api_keys_file)
    link = DataPlaneLink(
        Path(settings.control_socket),
        routes=lambda: serving_routes(context),
        clock=lambda: clock.state,
        credentials=lambda: AcceptedCredentials(
            public_key=signing_keys.public_pem, tokens=active_token_ids(store), keys=key_grants(key_file)
        ),
    )
    # Before the resources, which report changed crons to the scheduler.
    gateway_client = GatewayClient(settings.delivery_socket)
    delivery_log = DeliveryLog(store, context.counters)
    cron_state = CronState(context, delivery_log)
    dispatcher = Dispatcher(context, delivery_log, gateway_client)
    cron_scheduler = CronScheduler(context, cron_state, dispatcher)
    toolchains = Toolchains(strict=settings.strict_runtimes)
    garbage_collector = GarbageCollector(context)
    deployments = Deployments(context, link, toolchains, garbage_collector)
    uid_range = FUNCTION_UIDS if os.geteuid() == 0 else None
    dns_verifier = DnsVerifier()
    functions = Functions(context, link, deployments, garbage_collector, cron_scheduler.on_cron_changed, uid_range)
    triggers = Triggers(context, TriggerSourceFactory(vault))
    return ControlPlane(
        context=context,
        clock=clock,
        link=link,
        toolchains=toolchains,
        namespaces=Namespaces(context, functions),
        functions=functions,
        crons=Crons(context, cron_scheduler.on_cron_changed),
        cron_scheduler=cron_scheduler,
        queue_triggers=QueueTriggers(context, triggers, delivery_log, gateway_client),
        gateway_client=gateway_client,
        delivery_log=delivery_log,
        history=DeliveryHistory(context, delivery_log, cron_state, dispatcher),
        domains=Domains(context, link, dns_verifier),
        tokens=Tokens(context, link, signing_keys),
        api_keys=ApiKeyRegistry(context, link, key_file),
        triggers=triggers,
        uploads=Uploads(context, functions, garbage_collector, vault.derive_key("signed URLs")),
        deployments=deployments,
        garbage_collector=garbage_collector,
        dns_verifier=dns_verifier,
        signing_keys=signing_keys,
        logs=LogQueries(context),
    )
