"""``fnkit platform start``: run the platform in the foreground, or in the background with ``--detach``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import click

from fnkit.cli.commands.platform import data_dir_option
from fnkit.cli.options import (
    CommonOptions,
    FiniteRange,
    common_options,
    parse_optional_port,
    parse_quotas,
    parse_size,
)
from fnkit.cli.output import Output
from fnkit.errors import PlatformError, UsageError

if TYPE_CHECKING:
    from fnkit.platform.supervisor.launcher import RunningPlatform
    from fnkit.platform.supervisor.options import StartOptions

__all__ = ["start"]

_SCALING_FLAGS = {
    "memory_budget": "--memory-budget",
    "cpu_limits": "--cpu-limits",
    "to_one_after": "--scale-to-one-after",
    "to_zero_after": "--scale-to-zero-after",
}
"""The flag of each field of ``Scaling``."""

_PORT_RANGE = click.IntRange(0, 65535)
_MAX_CLOCK_SPEED = 100_000  # more than a day per second; beyond it, years pass while one request is served


class _StartFlags(TypedDict):
    """The options of ``start`` that need no conversion."""

    api_port: int | None
    gateway_port: int | None
    tls_port: int | Literal["none"] | None
    nats_port: int | Literal["none"] | None
    brokers: str | None
    host: str
    domain_suffix: str
    timeout: float
    isolation: str
    strict_runtimes: bool
    runtime_table: str
    verify_domains: bool
    memory_budget: int | None
    cpu_limits: Literal["weights", "hard"] | None
    scale_to_one_after: float | None
    scale_to_zero_after: float | None


@click.command()
@click.option(
    "--api-port",
    type=_PORT_RANGE,
    metavar="N",
    help="Port of the API; 0 picks a free one. [default: 8480 or the next free]",
)
@click.option(
    "--gateway-port",
    type=_PORT_RANGE,
    metavar="N",
    help="HTTP port of functions; 0 picks a free one. [default: 8481 or the next free]",
)
@click.option(
    "--tls-port",
    callback=parse_optional_port,
    metavar="N|none",
    help="HTTPS port of functions; 0 picks a free one. [default: 8482 or the next free]",
)
@click.option(
    "--nats-port",
    callback=parse_optional_port,
    metavar="N|none",
    help="Port of the built-in NATS server; 0 picks a free one. [default: 8483 or the next free]",
)
@click.option(
    "--brokers",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Brokers file for triggers. [default: brokers.toml in the data directory]",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on.")
@click.option(
    "--domain-suffix",
    default="localhost",
    show_default=True,
    metavar="S",
    help="Suffix of the host names of functions.",
)
@click.option("--detach", is_flag=True, help="Run in the background; return when the platform is healthy.")
@click.option(
    "--timeout",
    type=FiniteRange(0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Fail if the platform is not healthy after this time.",
)
@click.option(
    "--clock-speed",
    type=FiniteRange(0, _MAX_CLOCK_SPEED, min_open=True),
    metavar="X",
    help="Speed of the platform's clock. [default: 1]",
)
@click.option("--manual-clock", is_flag=True, help="Stop the platform's clock; requests to the API move it.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "cgroup", "namespaces", "landlock", "none"]),
    default="auto",
    show_default=True,
    help="Isolate functions from each other and from this machine at this level.",
)
@click.option("--strict-runtimes", is_flag=True, help="Reject runtimes without an exact match on this machine.")
@click.option(
    "--runtime-table",
    type=click.Choice(["2026-07-03", "2025-12-15"]),
    default="2026-07-03",
    show_default=True,
    help="Runtime table to use (date of the Scaleway snapshot).",
)
@click.option("--verify-domains", is_flag=True, help="Require custom domains to resolve to this machine.")
@click.option(
    "--quota",
    "quotas",
    callback=parse_quotas,
    metavar="functions=N,namespaces=N,memory=SIZE|none",
    help="Quotas of the account. [default: functions=1000,namespaces=100,memory=600GiB]",
)
@click.option(
    "--otlp",
    "otlp_url",
    metavar="URL",
    help="Export traces to this OTLP/HTTP collector. [default: OTEL_EXPORTER_OTLP_ENDPOINT, if set]",
)
@click.option("--loki-url", metavar="URL", help="Send the logs of functions to this Loki server.")
@click.option(
    "--memory-budget",
    callback=parse_size,
    metavar="SIZE",
    help="Memory for all functions together, such as 4GiB. [default: half of this machine's memory]",
)
@click.option(
    "--cpu-limits",
    type=click.Choice(["weights", "hard"]),
    help="Apply mVCPU as shares of a busy machine, or as hard limits. [default: weights]",
)
@click.option(
    "--scale-to-one-after",
    type=FiniteRange(0),
    metavar="SECONDS",
    help="Idle time after which all instances but one stop. [default: 30]",
)
@click.option(
    "--scale-to-zero-after",
    type=FiniteRange(0),
    metavar="SECONDS",
    help="Idle time after which the last instance stops. [default: 900]",
)
@data_dir_option
@common_options
def start(
    common: CommonOptions,
    *,
    data_dir: Path,
    detach: bool,
    clock_speed: float | None,
    manual_clock: bool,
    quotas: dict[str, int | None] | None,
    otlp_url: str | None,
    loki_url: str | None,
    **flags: Unpack[_StartFlags],
) -> None:
    """Start the platform.

    Without --detach, the platform runs in this process until SIGTERM or Ctrl-C.
    """
    import msgspec

    from fnkit.platform.model.settings import Quotas, ScalingSettings
    from fnkit.platform.supervisor.launcher import check_operating_system, ensure_running, find_running_platform
    from fnkit.platform.supervisor.options import StartOptions, loki_push_settings, otlp_settings

    check_operating_system()
    if manual_clock and clock_speed is not None:
        raise UsageError("--clock-speed and --manual-clock exclude each other.")
    scaling = _given_scaling(flags)
    options = StartOptions(
        data_dir=str(data_dir),
        host=flags["host"],
        api_port=flags["api_port"],
        gateway_port=flags["gateway_port"],
        tls_port=flags["tls_port"],
        domain_suffix=flags["domain_suffix"],
        speed=0.0 if manual_clock else clock_speed if clock_speed is not None else 1.0,
        isolation=flags["isolation"],
        strict_runtimes=flags["strict_runtimes"],
        start_timeout=flags["timeout"],
        verify_domains=flags["verify_domains"],
        runtime_table=flags["runtime_table"],
        quotas=msgspec.convert(quotas or {}, Quotas),
        scaling=msgspec.convert(scaling, ScalingSettings),
        otlp=otlp_settings(otlp_url, os.environ),
        loki_push=loki_push_settings(loki_url, os.environ),
        nats_port=flags["nats_port"],
        brokers_file=flags["brokers"] or "",
    )
    found = find_running_platform(data_dir)
    if found is not None:
        # A second start is idempotent: it reports the platform that runs, unless a flag asks for another one.
        _require_same_ports_and_clock(found, options, clock_given=manual_clock or clock_speed is not None)
        _require_same_quotas(found, options, given=quotas is not None)
        _require_same_scaling(found, options, frozenset(scaling))
        _require_same_destinations(found, options, given=otlp_url is not None)
    if found is None and not detach:
        _run_in_foreground(common.output, options)
        return
    ensure_running(options)
    if found is not None:
        common.output.message("The platform was already running.")
    _show_status(common.output, data_dir, foreground=False)


def _given_scaling(flags: _StartFlags) -> dict[str, object]:
    """Return the fields of ``Scaling`` for which an option was given."""
    scaling = {
        "memory_budget": flags["memory_budget"],
        "cpu_limits": flags["cpu_limits"],
        "to_one_after": flags["scale_to_one_after"],
        "to_zero_after": flags["scale_to_zero_after"],
    }
    return {field: value for field, value in scaling.items() if value is not None}


def _run_in_foreground(output: Output, options: StartOptions) -> None:
    """Run the platform in this process until a signal stops it."""
    from fnkit.platform.supervisor.launcher import ensure_running
    from fnkit.platform.supervisor.options import with_broker_environment
    from fnkit.platform.supervisor.startup import AlreadyLocked, prepare_platform
    from fnkit.platform.supervisor.supervisor import supervise

    data_dir = Path(options.data_dir)
    try:
        prepared = prepare_platform(with_broker_environment(options, os.environ))
    except AlreadyLocked:
        # Another command took the lock since `running` was checked. Wait for its platform to become healthy.
        ensure_running(options)
        output.message("The platform was started by another command at the same time.")
        _show_status(output, data_dir, foreground=False)
        return
    output.detail(f"Starting the platform in {data_dir} …")
    supervise(
        prepared, partial(_show_status, output, data_dir, foreground=True), start_timeout=options.start_timeout
    )
    output.message("The platform has stopped.")


def _show_status(output: Output, data_dir: Path, *, foreground: bool) -> None:
    from fnkit.cli.views.platform import PlatformView
    from fnkit.platform.supervisor.launcher import platform_status

    output.result(PlatformView(platform_status(data_dir), started=True, foreground=foreground))


def _require_same_ports_and_clock(found: RunningPlatform, options: StartOptions, *, clock_given: bool) -> None:
    """Check that the running platform has the ports, brokers and clock that the options ask for.

    Args:
        found: The running platform.
        options: The options of this start; ``None``, 0 and ``""`` match any value.
        clock_given: Whether the clock was given explicitly, so that its default does not count as a request.

    Raises:
        PlatformError: ``platform-differs``.
    """
    run = found.run_file
    asked = (
        ("--api-port", options.api_port or None, run.api_port),
        ("--gateway-port", options.gateway_port or None, run.gateway_port),
        ("--tls-port", options.tls_port or None, run.tls_port or "none"),
        ("--nats-port", options.nats_port or None, run.nats_port or "none"),
        ("--brokers", options.brokers_file or None, run.brokers_file or "those of the data directory"),
        ("--clock-speed", options.speed if clock_given else None, run.speed),
    )
    for flag, wanted, actual in asked:
        if wanted is not None and wanted != actual:
            raise PlatformError(
                f"The platform is already running, with {flag} {_format_value(actual)} "
                f"instead of {_format_value(wanted)}.",
                code="platform-differs",
                hint="Run `fnkit platform stop` first, or choose another directory with --data-dir.",
            )


def _format_value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _require_same_destinations(found: RunningPlatform, options: StartOptions, *, given: bool) -> None:
    """Check that the running platform sends traces and logs to the destinations that the options ask for.

    A collector that only an environment variable names is ignored: that variable may concern other programs.

    Raises:
        PlatformError: ``platform-differs``.
    """
    if given and options.otlp is not None and found.run_file.otlp != options.otlp.traces_url:
        raise PlatformError(
            f"The platform is already running, and exports traces to {found.run_file.otlp or 'no collector'}.",
            code="platform-differs",
            hint="Run `fnkit platform stop` first, or choose another directory with --data-dir.",
        )
    if options.loki_push is not None and found.run_file.loki_push != options.loki_push.url:
        raise PlatformError(
            f"The platform is already running, and sends logs to {found.run_file.loki_push or 'no Loki server'}.",
            code="platform-differs",
            hint="Run `fnkit platform stop` first, or choose another directory with --data-dir.",
        )


def _require_same_scaling(found: RunningPlatform, options: StartOptions, given: frozenset[str]) -> None:
    """Check that the running platform has the scaling settings that were given.

    Args:
        found: The running platform.
        options: The options of this start.
        given: The fields of ``Scaling`` for which an option was given.

    Raises:
        PlatformError: ``platform-differs``.
    """
    for name in sorted(given):
        if getattr(found.run_file.scaling, name) != getattr(options.scaling, name):
            raise PlatformError(
                f"The platform is already running, with another {_SCALING_FLAGS[name]}.",
                code="platform-differs",
                hint="Run `fnkit platform stop` first, or choose another directory with --data-dir.",
            )


def _require_same_quotas(found: RunningPlatform, options: StartOptions, *, given: bool) -> None:
    """Check that the running platform has the quotas that were given, and verifies domains if asked to.

    Raises:
        PlatformError: ``platform-differs``.
    """
    differs = given and found.run_file.quotas != options.quotas
    unverified = options.verify_domains and not found.run_file.verify_domains
    if differs or unverified:
        what = "with other quotas" if differs else "without --verify-domains"
        raise PlatformError(
            f"The platform is already running, {what}.",
            code="platform-differs",
            hint="Run `fnkit platform stop` first, or choose another directory with --data-dir.",
        )
