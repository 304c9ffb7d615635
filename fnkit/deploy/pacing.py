"""How much is asked of the API at once, and when to ask again.

The API answers 429 when too much is asked and 409 ``transient_state`` while a resource changes (both reported by
users of the Serverless Framework plugin, which had to go one at a time). The pace halves on 429 and grows by one
after a run of successes, so that it finds what this API takes today.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from fnkit.errors import ApiError, ApiUnreachable, DeployError

__all__ = ["Pace", "Stopped"]

T = TypeVar("T")

_SUCCESSES_TO_GROW: Final = 8
_ATTEMPTS: Final = 12
_UNANSWERED_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 8.0
_TOO_MANY: Final = 429
_CONFLICT: Final = 409
_UNAVAILABLE: Final = (502, 503, 504)


class Stopped(DeployError):
    """The deploy was told to stop between two requests."""

    default_code = "interrupted"


class Pace:
    """A bound on requests under way that adapts. Shared by all threads of a deploy.

    ``most`` is where it starts and the most it grows to. ``stop`` ends every pause at once.
    """

    def __init__(self, most: int = 8) -> None:
        self.stop = threading.Event()
        self._most = most
        self._limit = most
        self._under_way = 0
        self._successes = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return self._limit

    def check(self) -> None:
        """Raise ``Stopped`` when the deploy was told to stop."""
        if self.stop.is_set():
            raise Stopped(
                "The deploy was interrupted.", hint="Nothing is lost: the next `fnkit deploy` finishes it."
            )

    def pause(self, seconds: float) -> None:
        """Wait, unless told to stop, which raises ``Stopped`` at once."""
        self.stop.wait(seconds)
        self.check()

    def ask(self, request: Callable[[], T], *, repeatable: bool) -> T:
        """Make a request within the bound, again after 429 and 409 ``transient_state``.

        A repeatable request (one that does the same when sent twice) is also made again when it got no answer.

        Raises:
            ApiError: the API's last word.
            Stopped: the deploy was told to stop.
        """
        pause = _FIRST_PAUSE
        for attempt in range(1, _ATTEMPTS + 1):
            self.check()
            try:
                with self._slot():
                    answer = request()
            except ApiError as error:
                if attempt >= _attempts(error, repeatable=repeatable):
                    raise
                if error.status == _TOO_MANY:
                    self._shrink()
            else:
                self._grow()
                return answer
            self.pause(pause)
            pause = min(pause * 1.7, _LONGEST_PAUSE)
        raise AssertionError("unreachable")

    def until(self, ask: Callable[[], T | None], *, seconds: float, longest_pause: float) -> T | None:
        """Ask until there is an answer; ``None`` when ``seconds`` passed without one."""
        deadline = time.monotonic() + seconds
        pause = min(0.03, longest_pause)
        while True:
            answer = ask()
            if answer is not None:
                return answer
            if time.monotonic() >= deadline:
                return None
            self.pause(pause)
            pause = min(pause * 1.5, longest_pause)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._under_way < self._limit)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def _shrink(self) -> None:
        with self._changed:
            self._limit = max(1, self._limit // 2)
            self._successes = 0

    def _grow(self) -> None:
        with self._changed:
            self._successes += 1
            if self._successes >= _SUCCESSES_TO_GROW and self._limit < self._most:
                self._limit += 1
                self._successes = 0
                self._changed.notify_all()


def _attempts(error: ApiError, *, repeatable: bool) -> int:
    """Return how often in all a request is made that ends like this; 1 when it would only end so again."""
    if error.status == _TOO_MANY:
        return _ATTEMPTS
    if error.status == _CONFLICT:
        moving = error.body_type == "transient_state" or "transient" in error.message
        return _ATTEMPTS if moving else 1
    no_answer = isinstance(error, ApiUnreachable) and error.code in ("api-unreachable", "api-timeout")
    return _UNANSWERED_ATTEMPTS if repeatable and (no_answer or error.status in _UNAVAILABLE) else 1
