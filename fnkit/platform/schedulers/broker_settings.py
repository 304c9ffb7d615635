"""The brokers in force: the file's, read again whenever it changes, and the one that the platform brought itself.

A file with problems changes nothing: the brokers before it stay, and the log names every problem; triggers that
have none say the first. The platform's own NATS broker answers for everybody as long as the file names no NATS
broker at all.
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
_NOT_IN_FORCE: Final = "Until that is mended, nothing of the file counts."
_logger = logging.getLogger(__name__)


class BrokerSettings:
    """file: where it lies, or would. variables: of the environment. embedded: the platform's own broker.

    why_none: why there is no such broker.
    """

    def __init__(
        self, file: Path, variables: Mapping[str, str], embedded: NatsBroker | None, why_none: str
    ) -> None:
        self._file = file
        self._variables = variables
        self._embedded = embedded
        self._why_none = why_none
        self._brokers = Brokers()
        self._fault = ""  # of the file as it is now
        self._seen: object = None
        self.look()

    def nats_for(self, account: str, project: str, region: str) -> NatsBroker | str:
        """Return the broker of a NATS trigger, or why there is none."""
        found = self._brokers.nats_for(account, project, region)
        if found is None and not self._brokers.nats:
            found = self._embedded
        if found is not None:
            return found
        if self._fault:
            return self._fault
        if not self._brokers.nats:
            return self._why_none
        return f"no NATS broker in {self._file} is for account {account}, project {project}, region {region}"

    def sqs_for(self, project: str, region: str) -> SqsBroker | str:
        """Return the service of a queue, or why there is none."""
        found = self._brokers.sqs_for(project, region)
        if found is not None:
            return found
        return self._fault or f"no [[sqs]] in {self._file} is for project {project}, region {region}"

    async def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` after each change, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.look():
                changed()

    def look(self) -> bool:
        """Read the file where it changed; returns whether other brokers are in force now."""
        try:
            found = self._file.stat()
            seen: object = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            found, seen = None, None
        if seen == self._seen:
            return False
        self._seen = seen
        before, self._fault = (self._brokers, self._fault), ""
        if found is None:
            self._brokers = Brokers()
            return (self._brokers, self._fault) != before
        try:
            self._brokers = read_brokers_file(self._file, self._variables)
        except BrokersInvalid as invalid:
            first = invalid.problems[0]
            self._fault = f"{first.file}:{first.line}: {first.message} {_NOT_IN_FORCE}"
            for problem in invalid.problems:
                _logger.error("%s:%s: %s [%s]", problem.file, problem.line, problem.message, problem.code)  # noqa: TRY400  no stack needed
        except PlatformError as error:
            self._fault = f"{error.message} {_NOT_IN_FORCE}"
            _logger.error("%s [%s]", error.message, error.code)  # noqa: TRY400  no stack needed
        else:
            if found.st_mode & _OTHERS:
                _logger.warning("Others may read %s, which holds credentials: chmod 600", self._file)
            _logger.info("Brokers: %d NATS, %d SQS.", len(self._brokers.nats), len(self._brokers.sqs))
        return (self._brokers, self._fault) != before
