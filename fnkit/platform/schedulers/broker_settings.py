"""The brokers in use: those of ``brokers.toml``, which is reloaded when it changes, and the platform's NATS server.

A file with problems changes nothing: the previous brokers stay in use, the log lists every problem, and triggers
without a broker report the first one. The platform's own NATS server is used for all NATS triggers as long as the
file has no NATS entry.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError
from fnkit.platform.brokers.model import Brokers, NatsBroker, SqsBroker
from fnkit.platform.brokers.reading import BrokersInvalid, read_brokers_file

__all__ = ["BrokerSettings"]

_LOOK_SECONDS: Final = 1.0
_OTHERS: Final = 0o077
_NOT_IN_FORCE: Final = "The file is ignored until this is fixed."
_logger = logging.getLogger(__name__)


class BrokerSettings:
    """Looks up the broker of a trigger."""

    def __init__(
        self, file: Path, environment: Mapping[str, str], embedded: NatsBroker | None, unavailable_reason: str
    ) -> None:
        """Read the file.

        Args:
            file: Path of ``brokers.toml``; the file need not exist.
            environment: Values of the environment variables that the file refers to.
            embedded: The platform's own NATS server, or ``None`` if it does not run.
            unavailable_reason: Why it does not run.
        """
        self._file = file
        self._variables = environment
        self._embedded = embedded
        self._why_none = unavailable_reason
        self._brokers = Brokers()
        self._fault = ""  # first problem of the current file
        self._seen: object = None
        self.look()

    def nats_for(self, account: str, project: str, region: str) -> NatsBroker | str:
        """Return the broker of a NATS trigger, or the reason why there is none."""
        broker = self._brokers.nats_for(account, project, region)
        if broker is None and not self._brokers.nats:
            broker = self._embedded
        if broker is not None:
            return broker
        if self._fault:
            return self._fault
        if not self._brokers.nats:
            return self._why_none
        return f"no NATS broker in {self._file} matches account {account}, project {project}, region {region}"

    def sqs_for(self, project: str, region: str) -> SqsBroker | str:
        """Return the service of a queue, or the reason why there is none."""
        broker = self._brokers.sqs_for(project, region)
        if broker is not None:
            return broker
        return self._fault or f"no [[sqs]] entry in {self._file} matches project {project}, region {region}"

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Check the file every second, forever.

        Args:
            on_change: Called after each change of the brokers in use or of the problem.
        """
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.look():
                on_change()

    def look(self) -> bool:
        """Read the file again if it changed.

        Returns:
            Whether the brokers in use, or the problem of the file, changed.
        """
        try:
            status = self._file.stat()
            file_state: object = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            status, file_state = None, None
        if file_state == self._seen:
            return False
        self._seen = file_state
        before, self._fault = (self._brokers, self._fault), ""
        if status is None:
            self._brokers = Brokers()
            return (self._brokers, self._fault) != before
        try:
            self._brokers = read_brokers_file(self._file, self._variables)
        except BrokersInvalid as invalid:
            first = invalid.problems[0]
            self._fault = f"{first.file}:{first.line}: {first.message} {_NOT_IN_FORCE}"
            for problem in invalid.problems:
                _logger.error("%s:%s: %s [%s]", problem.file, problem.line, problem.message, problem.code)  # noqa: TRY400  a traceback adds nothing
        except PlatformError as error:
            self._fault = f"{error.message} {_NOT_IN_FORCE}"
            _logger.error("%s [%s]", error.message, error.code)  # noqa: TRY400  a traceback adds nothing
        else:
            if status.st_mode & _OTHERS:
                _logger.warning(
                    "%s contains credentials and is accessible to other users; run chmod 600 on it.", self._file
                )
            _logger.info("Brokers: %d NATS, %d SQS.", len(self._brokers.nats), len(self._brokers.sqs))
        return (self._brokers, self._fault) != before
