"""The data plane's measurements as the gateway's private door answers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from fnkit.contract.invocation import MappedResponse
from fnkit.platform.engine.contract import Engine
from fnkit.platform.measurements import DataPlaneMeasurements, SpanCounts

__all__ = ["GatewayMeter"]

_encoder: Final = msgspec.msgpack.Encoder()


class GatewayMeter:
    """Counts what the gateway answers itself, by status. ``spans`` says how the export goes, where there is one."""

    def __init__(self, engine: Engine) -> None:
        self.answers: Counter[int] = Counter()
        self.spans: Callable[[], SpanCounts | None] = lambda: None
        self._engine = engine

    def response(self, connections: int) -> MappedResponse:
        """Return everything that is counted, as it is now."""
        measurements = DataPlaneMeasurements(
            engine=self._engine.measure(),
            answers=dict(self.answers),
            connections=connections,
            spans=self.spans(),
        )
        return MappedResponse(200, [("Content-Type", "application/msgpack")], _encoder.encode(measurements))
