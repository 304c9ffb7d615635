"""Exports spans to an OTLP collector over HTTP, from a thread.

Spans are queued without waiting, up to 2,048, and exported every five seconds or 512 spans. Spans that do not fit,
or that the collector does not accept after retries, are dropped and counted. The log reports each outage of the
collector once.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import urllib3
from urllib3.util import Retry

from fnkit.platform.gateway.tracing import RequestSpan
from fnkit.platform.layout import OtlpSettings
from fnkit.platform.measurements import SpanCounts

__all__ = ["SpanExporter"]

# The defaults of OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_EXPORT_BATCH_SIZE and OTEL_BSP_SCHEDULE_DELAY.
MAX_QUEUED_SPANS: Final = 2048
MAX_BATCH_SPANS: Final = 512
_EXPORT_INTERVAL: Final = 5.0
_MAX_RESPONSE_BYTES: Final = 64 * 1024
_SUCCESS_MIN: Final = 200
_SUCCESS_END: Final = 300
_MAX_RETRY_AFTER: Final = 30
_log = logging.getLogger(__name__)


class _PartialSuccess(msgspec.Struct, rename="camel"):
    rejected_spans: int | str = 0


class _ExportResponse(msgspec.Struct, rename="camel"):
    partial_success: _PartialSuccess = msgspec.field(default_factory=_PartialSuccess)


class _BoundedRetry(Retry):
    """Retries the statuses that OTLP defines as retryable, and limits the collector's ``Retry-After``."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _MAX_RETRY_AFTER)


_RETRY_POLICY: Final = _BoundedRetry(
    total=3,
    redirect=False,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=None,
    backoff_factor=0.5,
    raise_on_status=False,
)


class SpanExporter:
    """Queues spans on the event loop and exports them in a daemon thread.

    The queue is a ``deque``, whose append and popleft are atomic, so no lock is needed.

    Args:
        settings: The collector.
        encode: Encodes the body of one export. Called in the thread.
    """

    def __init__(self, settings: OtlpSettings, encode: Callable[[Sequence[RequestSpan]], bytes]) -> None:
        self._settings = settings
        self._encode = encode
        self._queue: deque[RequestSpan] = deque()
        self._wake = threading.Event()
        self._is_stopping = False
        self._collector_down = False
        self._exported = 0
        self._rejected = 0
        self._overflowed_spans = 0
        self._http = urllib3.PoolManager(retries=_RETRY_POLICY, timeout=settings.timeout)
        self._thread = threading.Thread(target=self._run, name="span export", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> SpanCounts:
        """The number of exported and of dropped spans."""
        return SpanCounts(exported=self._exported, dropped=self._rejected + self._overflowed_spans)

    def enqueue(self, span: RequestSpan) -> None:
        """Queue a span, or drop it if the queue is full. Never blocks."""
        queue = self._queue
        if len(queue) >= MAX_QUEUED_SPANS:
            self._overflowed_spans += 1
            return
        queue.append(span)
        if len(queue) >= MAX_BATCH_SPANS:
            self._wake.set()

    def close(self, timeout: float) -> None:
        """Export the queued spans and stop the thread, within the given seconds."""
        self._is_stopping = True
        self._wake.set()
        self._thread.join(timeout)
        remaining = len(self._queue)
        if remaining:
            _log.warning("stopped with %d spans that were not exported", remaining)

    def _run(self) -> None:
        while not self._is_stopping or self._queue:
            if not self._is_stopping and len(self._queue) < MAX_BATCH_SPANS:
                self._wake.wait(_EXPORT_INTERVAL)
            self._wake.clear()
            batch = [self._queue.popleft() for _ in range(min(MAX_BATCH_SPANS, len(self._queue)))]
            if batch:
                self._send(batch)

    def _send(self, batch: Sequence[RequestSpan]) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "fnkit", **dict(self._settings.headers)}
        try:
            answer = self._http.request(
                "POST",
                self._settings.traces_url,
                body=self._encode(batch),
                headers=headers,
                redirect=False,
                preload_content=False,
            )
            body = answer.read(_MAX_RESPONSE_BYTES)
            answer.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self._drop(len(batch), type(error).__name__)
            return
        if not _SUCCESS_MIN <= answer.status < _SUCCESS_END:
            self._drop(len(batch), f"status {answer.status}")
            return
        rejected = min(len(batch), _rejected_count(body))
        self._rejected += rejected
        self._exported += len(batch) - rejected
        if self._collector_down:
            self._collector_down = False
            _log.info("the OTLP collector accepts spans again")

    def _drop(self, count: int, reason: str) -> None:
        """Count dropped spans and log the outage once. The message omits the URL, which may contain a key."""
        self._rejected += count
        if not self._collector_down:
            self._collector_down = True
            _log.warning("the OTLP collector does not accept spans (%s): dropping them until it does", reason)


def _rejected_count(body: bytes) -> int:
    try:
        return max(0, int(msgspec.json.decode(body, type=_ExportResponse).partial_success.rejected_spans))
    except (msgspec.MsgspecError, ValueError):
        return 0  # not JSON: only the status counts
