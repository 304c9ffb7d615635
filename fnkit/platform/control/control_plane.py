"""The control plane: construction of its parts, and their startup, recovery and shutdown."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fnkit.contract.distribution import DISTRIBUTION
from fnkit.platform.control.cleanup import GarbageCollector, checkpoint_when_idle
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.deployments.deployments import Deployments
from fnkit.platform.control.deployments.programs import choose_programs
from fnkit.platform.control.deployments.restarts import Restarts
from fnkit.platform.control.deployments.routes import serving_routes
from fnkit.platform.control.events.cron_scheduler import CronScheduler, run_expiry
from fnkit.platform.control.events.delivery_log import DeliveryLog
from fnkit.platform.control.events.dispatcher import Dispatcher
from fnkit.platform.control.events.firing import CronState
from fnkit.platform.control.events.gateway_client import GatewayClient
from fnkit.platform.control.events.history import DeliveryHistory
from fnkit.platform.control.events.queues.triggers import QueueTriggers
from fnkit.platform.control.images.bases import Bases
from fnkit.platform.control.images.images import Images
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.registry import Registry
from fnkit.platform.control.logs.query import LogQueries
from fnkit.platform.control.resources.access import ApiKeyRegistry, key_grants
from fnkit.platform.control.resources.archives import Uploads
from fnkit.platform.control.resources.crons import Crons
from fnkit.platform.control.resources.domains import DnsVerifier, Domains
from fnkit.platform.control.resources.functions import Functions
from fnkit.platform.control.resources.namespaces import Namespaces
from fnkit.platform.control.resources.token_key import SigningKeyStore
from fnkit.platform.control.resources.tokens import Tokens, active_token_ids
from fnkit.platform.control.resources.triggers import Triggers
from fnkit.platform.control.secrets import SecretStore
from fnkit.platform.control.store.api_keys import ApiKeyFile
from fnkit.platform.control.store.blobs import BlobStore
from fnkit.platform.control.store.opening import open_store
from fnkit.platform.control.store.vault import Vault
from fnkit.platform.model.clock import VirtualClock
from fnkit.platform.model.routing import AcceptedCredentials, ClockState
from fnkit.platform.model.settings import DataLayout, ProcessSettings
from fnkit.toolchains.resolution import Toolchains

FUNCTION_UIDS: Final = range(40_000, 60_000)
"""User ids of instances if the platform runs as root.

They lie below the ids that Debian reserves from 60000, and far above the first user accounts, which start at 1000
(https://www.debian.org/doc/debian-policy/ch-opersys.html#uid-and-gid-classes).
"""

CLOCK_KEY: Final = "clock"
_RESUME_INTERVAL: Final = 1.0
_RESUME_TIMEOUT: Final = 5.0
"""Seconds until the API is served although the work of an earlier process was not resumed, as on a full disk."""
_logger = logging.getLogger(__name__)


class ControlPlane:
    """The parts of the control plane. The API serves its operations; the control process opens and closes it.

    Args:
        settings: The settings of the process, with the data folder. Nothing runs before ``open``.

    Raises:
        PlatformError: The database or a key file cannot be used.
        OSError: The data folder cannot be used.
    """

    def __init__(self, settings: ProcessSettings) -> None:
        self.version = version(DISTRIBUTION)
        self.is_read_only = True
        """Whether the work of an earlier process could not be resumed yet, because the disk is full."""
        layout = DataLayout(Path(settings.data_dir))
        layout.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        store, vault = open_store(layout)
        if settings.temporary:
            store.forgo_durability()
        self.clock = VirtualClock.resume(store.key_values.get(CLOCK_KEY, ClockState), settings.speed)
        with (
            suppress(sqlite3.OperationalError),
            store.transaction(),
        ):  # on a full disk the earlier state stays right
            store.key_values.put(CLOCK_KEY, self.clock.state)
        context = self.context = ControlContext(
            settings=settings,
            layout=layout,
            clock=self.clock,
            store=store,
            blobs=BlobStore(layout.blobs_dir),
            secrets=SecretStore(vault),
        )
        token_key_file = layout.keys_dir / "tokens.pem"
        if not token_key_file.exists() and store.tokens.count({}):
            _logger.warning("%s is missing: existing tokens are invalid, create new ones", token_key_file)
        self._signing_keys = SigningKeyStore(token_key_file)
        key_file = ApiKeyFile(layout.api_keys_file)
        self.link = DataPlaneLink(
            Path(settings.control_socket),
            routes=lambda: serving_routes(context, self._programs),
            clock=lambda: self.clock.state,
            credentials=lambda: AcceptedCredentials(
                public_key=self._signing_keys.public_pem, tokens=active_token_ids(store), keys=key_grants(key_file)
            ),
            secret=settings.link_secret,
        )
        # Before the resources, which report changed crons to the scheduler.
        self._gateway_client = GatewayClient(settings.delivery_socket)
        self._delivery_log = DeliveryLog(store, context.counters)
        cron_state = CronState(context, self._delivery_log)
        dispatcher = Dispatcher(context, self._delivery_log, self._gateway_client)
        self._cron_scheduler = CronScheduler(context, cron_state, dispatcher)
        self.history = DeliveryHistory(context, self._delivery_log, cron_state, dispatcher)
        self._build_resources(vault, key_file)

    def _build_resources(self, vault: Vault, key_file: ApiKeyFile) -> None:
        context, link = self.context, self.link
        self.toolchains = Toolchains(strict=context.settings.strict_runtimes)
        self._garbage_collector = GarbageCollector(context)
        layers = LayerStore(context.layout.layers_dir)
        self._images = Images(context, layers)
        bases = Bases(context, layers)
        self.registry = Registry(context, self._images, bases)
        self._programs = choose_programs(context, link, self._images, bases)
        self._restarts = Restarts(context, link, self._programs)
        self._deployments = Deployments(
            context, link, self.toolchains, self._garbage_collector, self._programs, self._restarts
        )
        on_cron_changed = self._cron_scheduler.on_cron_changed
        uid_range = FUNCTION_UIDS if os.geteuid() == 0 else None
        self.functions = Functions(
            context,
            link,
            self._deployments,
            self._restarts,
            self._garbage_collector,
            self._images,
            on_cron_changed,
            uid_range,
        )
        self.namespaces = Namespaces(context, self.functions)
        self.crons = Crons(context, on_cron_changed)
        self._dns_verifier = DnsVerifier()
        self.domains = Domains(context, link, self._dns_verifier)
        self.tokens = Tokens(context, link, self._signing_keys)
        self.api_keys = ApiKeyRegistry(context, link, key_file)
        self.triggers = Triggers(context, vault)
        self.queue_triggers = QueueTriggers(context, self.triggers, self._delivery_log, self._gateway_client)
        self.uploads = Uploads(context, self.functions, self._garbage_collector, vault.derive_key("signed URLs"))
        self.logs = LogQueries(context)

    async def open(self) -> None:
        """Listen for the data plane, resume the work of an earlier process, and start schedulers and triggers.

        If the disk is full, the platform can be read, and resumes once there is space.
        """
        await self.link.open()
        self.context.tasks.start(self._signing_keys.generate_later(), "the token key")
        self.context.tasks.start(checkpoint_when_idle(self.context), "checkpoints of the database")
        resuming = self.context.tasks.start(self._resume(), "resumption")
        await asyncio.wait([resuming], timeout=_RESUME_TIMEOUT)
        if resuming.done():
            await resuming  # raises what it raised

    async def _resume(self) -> None:
        await retry_until_written(self._images.load)  # before deployments make images
        while self.is_read_only:
            try:
                await self._reconcile()
                self._garbage_collector.collect()
                self._cron_scheduler.load()
                self.is_read_only = False
            except sqlite3.OperationalError as error:
                _logger.warning("Resuming failed, the platform is read-only: %s", error)
                await asyncio.sleep(_RESUME_INTERVAL)
        tasks = self.context.tasks
        tasks.start(self._cron_scheduler.run(), "cron scheduler")
        tasks.start(run_expiry(self.context, self.functions), "expiry scheduler")
        tasks.start(self._images.run_expiry(), "expiry of images")
        tasks.start(self._deployments.publish_missing(), "images of earlier deployments")
        self._restarts.start_missing()
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
        await self._cron_scheduler.fire_due()
        await self.queue_triggers.retry_due()
        await self.functions.expire_deployments()
        self._images.expire()
        await asyncio.sleep(0)  # run the first step of the tasks that were just created
        return self.clock.now()

    async def close(self) -> None:
        """Stop all work and close the store, which holds everything needed to resume the work."""
        # Messages in flight first: they need the tasks, and those use everything that is closed after them.
        await self.queue_triggers.stop()
        await self.context.tasks.stop()
        self._delivery_log.close()
        await self._signing_keys.close()
        await self.link.close()
        self._deployments.close()
        self.logs.close()
        self._dns_verifier.close()
        self.context.secrets.close()
        self.context.store.close()
        self._gateway_client.close()

    async def _reconcile(self) -> None:
        """Purge resources in status ``deleting``, resume pending ones, and deploy again what cannot be served."""
        resources = (self.functions, self.namespaces, self.crons, self.domains, self.tokens, self.triggers)
        for resource in resources:
            await resource.purge_deleting()
        store = self.context.store
        for function in list(store.functions.all(serving=1)):
            if (redeployed := self._deployments.repair(function)) is not None:
                with store.transaction():
                    store.functions.update(redeployed)
        for resource in resources:
            await resource.resume()
        with store.transaction():
            self._delivery_log.mark_interrupted()
