"""How a platform is to be started: what the command line says to the supervisor."""

from __future__ import annotations

from typing import Literal

import msgspec

from fnkit.platform.layout import LogPushSettings, OtlpSettings, Quotas, Scaling

__all__ = ["StartOptions"]


class StartOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to start. ``None`` is "as before, else the usual": ports are kept from one start to the next.

    home: absolute. speed: of the clock, 0 for the manual one. isolation: ``auto`` or a level's name.
    tls_port: with ``None`` it is any free one where the gateway may have any.
    wait: seconds until it must be healthy.
    verify_domains: whether custom domains must lead to this machine.
    runtime_table: the day of the runtime table.
    otlp: where traces are exported to.
    log_push: where logs are sent to.
    nats_port: of the platform's own NATS broker; as tls_port.
    brokers: the file that says where triggers listen, absolute; ``""``: the data folder's, if there is one.
    broker_variables: what that file takes from the environment.
    domain_suffix: what follows ``functions.fnc.<region>.`` in functions' host names.
    """

    home: str
    host: str = "127.0.0.1"
    api_port: int | None = None
    gateway_port: int | None = None
    tls_port: int | Literal["none"] | None = None
    domain_suffix: str = "localhost"
    speed: float = 1.0
    isolation: str = "auto"
    strict_runtimes: bool = False
    wait: float = 30.0
    verify_domains: bool = False
    runtime_table: str = "2026-07-03"
    quotas: Quotas = Quotas()
    scaling: Scaling = Scaling()
    otlp: OtlpSettings | None = None
    log_push: LogPushSettings | None = None
    nats_port: int | Literal["none"] | None = None
    brokers: str = ""
    broker_variables: dict[str, str] = {}
