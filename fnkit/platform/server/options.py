"""Options of a start, sent by the command line to the supervisor, and the result that the supervisor returns.

The functions here read the options of trace export, log push and brokers from the command line and the environment.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from fnkit.platform.layout import LokiPushSettings, OtlpSettings, Quotas, ScalingSettings

__all__ = ["StartOptions"]


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a platform.

    A port is a number, 0 for any free port, or ``None`` for the port of the last start, by default the standard one
    or the next free one after it.

    Attributes:
        data_dir: The data directory, absolute.
        tls_port: ``none`` turns TLS off. ``None`` means any free port if ``gateway_port`` is 0.
        domain_suffix: The end of host names of functions, after ``functions.fnc.<region>.``.
        speed: Platform seconds per real second; 0 for the manual clock.
        isolation: ``auto`` or the name of an isolation level.
        start_timeout: Seconds until the platform must be healthy.
        verify_domains: Whether custom domains must resolve to this machine.
        runtime_table: Date of the runtime table.
        otlp: Export of traces, if enabled.
        loki_push: Push of logs to Loki, if enabled.
        nats_port: Port of the platform's own NATS broker, with the same values as ``tls_port``.
        brokers_file: Absolute path of the brokers file; empty for the one in the data directory, if it exists.
        broker_environment: The environment variables that this file refers to.
    """

    data_dir: str
    host: str = "127.0.0.1"
    api_port: int | None = None
    gateway_port: int | None = None
    tls_port: int | Literal["none"] | None = None
    domain_suffix: str = "localhost"
    speed: float = 1.0
    isolation: str = "auto"
    strict_runtimes: bool = False
    start_timeout: float = 30.0
    verify_domains: bool = False
    runtime_table: str = "2026-07-03"
    quotas: Quotas = Quotas()
    scaling: ScalingSettings = ScalingSettings()
    otlp: OtlpSettings | None = None
    loki_push: LokiPushSettings | None = None
    nats_port: int | Literal["none"] | None = None
    brokers_file: str = ""
    broker_environment: dict[str, str] = {}
