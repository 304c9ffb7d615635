"""The brokers in use: those of ``brokers.toml``, which is reloaded when it changes, and the platform's own.

A file with problems changes nothing: the previous brokers stay in use, the log lists every problem, and triggers
without a broker report the first one. The platform's own NATS server is used for all NATS triggers as long as the
file has no NATS entry, and its own SQS endpoint likewise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fnkit.errors import PlatformError
from fnkit.platform.brokers.config_file import BrokersInvalid, read_brokers_file
from fnkit.platform.brokers.model import Brokers, NatsBroker, SqsBroker
from fnkit.platform.model.settings import QueueSettings

_POLL_INTERVAL: Final = 1.0
_NON_OWNER_PERMISSIONS: Final = 0o077
_FILE_IGNORED: Final = "The file is ignored until this is fixed."
_logger = logging.getLogger(__name__)


class BrokerConfig:
    """Looks up the broker of a trigger."""

    def __init__(self, file: Path, settings: QueueSettings) -> None:
        """Read the file.

        Args:
            file: Path of ``brokers.toml``; the file need not exist.
            settings: The variables that the file refers to, and the platform's own brokers.
        """
        self._file = file
        self._environment = settings.environment
        self._embedded = _parse_broker_url(settings.nats_url) if settings.nats_url else None
        self._unavailable_reason = settings.nats_unavailable_reason
        self._settings = settings
        self._brokers = Brokers()
        self._error = ""  # first problem of the current file
        self._file_state: object = None
        self.reload_if_changed()

    def nats_for(self, account: str, project: str, region: str) -> NatsBroker | str:
        """Return the broker of a NATS trigger, or the reason why there is none."""
        broker = self._brokers.nats_for(account, project, region)
        if broker is None and not self._brokers.nats:
            broker = self._embedded
        if broker is not None:
            return broker
        if self._error:
            return self._error
        if not self._brokers.nats:
            return self._unavailable_reason
        return f"no NATS broker in {self._file} matches account {account}, project {project}, region {region}"

    def sqs_for(self, project: str, region: str) -> SqsBroker | str:
        """Return the service of a queue, or the reason why there is none."""
        broker = self._brokers.sqs_for(project, region)
        if broker is None and not self._brokers.sqs and self._settings.sqs_endpoint:
            return SqsBroker(
                endpoint=self._settings.sqs_endpoint,
                region_name=region,
                access_key=self._settings.sqs_access_key,
                secret_key=self._settings.sqs_secret_key,
                creates_queues=True,
            )
        if broker is not None:
            return broker
        if not self._error and not self._brokers.sqs:
            return self._settings.sqs_unavailable_reason
        return self._error or f"no [[sqs]] entry in {self._file} matches project {project}, region {region}"

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Check the file every second, forever.

        Args:
            on_change: Called after each change of the brokers in use or of the problem.
        """
        while True:
            await asyncio.sleep(_POLL_INTERVAL)
            if self.reload_if_changed():
                on_change()

    def reload_if_changed(self) -> bool:
        """Read the file again if it changed.

        Returns:
            Whether the brokers in use, or the problem of the file, changed.
        """
        try:
            status = self._file.stat()
            file_state: object = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            status, file_state = None, None
        if file_state == self._file_state:
            return False
        self._file_state = file_state
        before, self._error = (self._brokers, self._error), ""
        if status is None:
            self._brokers = Brokers()
            _logger.info("Brokers: 0 NATS, 0 SQS: %s was removed.", self._file)
            return (self._brokers, self._error) != before
        try:
            self._brokers = read_brokers_file(self._file, self._environment)
        except BrokersInvalid as invalid:
            first = invalid.problems[0]
            self._error = f"{first.file}:{first.line}: {first.message} {_FILE_IGNORED}"
            for problem in invalid.problems:
                _logger.error("%s:%s: %s [%s]", problem.file, problem.line, problem.message, problem.code)  # noqa: TRY400  a traceback adds nothing
        except PlatformError as error:
            self._error = f"{error.message} {_FILE_IGNORED}"
            _logger.error("%s [%s]", error.message, error.code)  # noqa: TRY400  a traceback adds nothing
        else:
            if status.st_mode & _NON_OWNER_PERMISSIONS:
                _logger.warning(
                    "%s contains credentials and is accessible to other users; run chmod 600 on it.", self._file
                )
            _logger.info("Brokers: %d NATS, %d SQS.", len(self._brokers.nats), len(self._brokers.sqs))
        return (self._brokers, self._error) != before


def _parse_broker_url(url: str) -> NatsBroker:
    parts = urlsplit(url)
    return NatsBroker(
        url=f"nats://{parts.hostname}:{parts.port}", user=parts.username or "", password=parts.password or ""
    )
