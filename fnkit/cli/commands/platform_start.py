"""``fnkit platform start``: in this process until Ctrl-C, or in the background with ``--detach``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.commands.platform import data_option
from fnkit.cli.numbers import FiniteRange
from fnkit.cli.options import CommonOptions, common_options
from fnkit.cli.output import Output
from fnkit.cli.quotas import read_quotas, read_size
from fnkit.cli.tls_port import read_tls_port
from fnkit.errors import PlatformError, UsageError

if TYPE_CHECKING:
    from fnkit.platform.server.lifecycle import RunningPlatform
    from fnkit.platform.server.options import StartOptions

__all__ = ["start"]

_SCALING = {
    "memory_budget": "--memory-budget",
    "cpu_limits": "--cpu-limits",
    "to_one_after": "--scale-to-one-after",
    "to_zero_after": "--scale-to-zero-after",
}
_PORT = click.IntRange(0, 65535)
_FASTEST = 100_000  # more than a day a second; beyond, years would pass while a request is answered


@click.command()
@click.option(
    "--api-port", type=_PORT, metavar="N", help="The API's port; 0 is any. [default: 8480 or the next free]"
)
@click.option(
    "--gateway-port",
    type=_PORT,
    metavar="N",
    help="The functions' port; 0 is any. [default: 8481 or the next free]",
)
@click.option(
    "--tls-port",
    callback=read_tls_port,
    metavar="N|none",
    help="The functions' port for https; 0 is any. [default: 8482 or the next free]",
)
@click.option(
    "--nats-port",
    callback=read_tls_port,
    metavar="N|none",
    help="The port of its own NATS broker; 0 is any. [default: 8483 or the next free]",
)
@click.option(
    "--brokers",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Where triggers listen. [default: brokers.toml in the data folder]",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option(
    "--domain-suffix",
    default="localhost",
    show_default=True,
    metavar="S",
    help="What functions' host names end in.",
)
@click.option("--detach", is_flag=True, help="Run in the background; return when it answers.")
@click.option(
    "--wait",
    type=FiniteRange(0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it may take to answer.",
)
@click.option(
    "--speed",
    type=FiniteRange(0, _FASTEST, min_open=True),
    metavar="X",
    help="How fast its clock runs. [default: 1]",
)
@click.option("--manual-clock", is_flag=True, help="Its clock stands still until it is told to move.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "cgroup", "namespaces", "landlock", "none"]),
    default="auto",
    show_default=True,
    help="How functions are walled off from each other and from this machine.",
)
@click.option("--strict-runtimes", is_flag=True, help="Refuse a runtime that this machine has no exact match for.")
@click.option(
    "--runtime-table",
    type=click.Choice(["2026-07-03", "2025-12-15"]),
    default="2026-07-03",
    show_default=True,
    help="The runtimes of which day there are.",
)
@click.option("--verify-domains", is_flag=True, help="A custom domain must lead to this machine to be ready.")
@click.option(
    "--quota",
    "quotas",
    callback=read_quotas,
    metavar="functions=N,namespaces=N,memory=SIZE|none",
    help="What an account may have. [default: functions=1000,namespaces=100,memory=600GiB]",
)
@click.option(
    "--otlp",
    "otlp_url",
    metavar="URL",
    help="Send traces to this OTLP/HTTP collector. [default: OTEL_EXPORTER_OTLP_ENDPOINT, if set]",
)
@click.option("--logs-push", "logs_push", metavar="URL", help="Send functions' logs to this Loki.")
@click.option(
    "--memory-budget",
    callback=read_size,
    metavar="SIZE",
    help="How much memory all functions may have, such as 4GiB. [default: half of this machine's]",
)
@click.option(
    "--cpu-limits",
    type=click.Choice(["weights", "hard"]),
    help="Whether a function's mVCPU are its share, or all it gets. [default: weights]",
)
@click.option(
    "--scale-to-one-after",
    type=FiniteRange(0),
    metavar="SECONDS",
    help="How long spare instances stay idle. [default: 30]",
)
@click.option(
    "--scale-to-zero-after",
    type=FiniteRange(0),
    metavar="SECONDS",
    help="How long the last instance stays idle. [default: 900]",
)
@data_option
@common_options
def start(
    common: CommonOptions,
    *,
    home: Path,
    detach: bool,
    speed: float | None,
    manual_clock: bool,
    quotas: dict[str, int | None] | None,
    otlp_url: str | None,
    logs_push: str | None,
    **given: object,
) -> None:
    """Start the platform.

    Without --detach it runs in this process, whose pid is the platform's, until SIGTERM or Ctrl-C.
    """
    import msgspec

    from fnkit.platform.server.lifecycle import check_machine, ensure_running, running
    from fnkit.platform.server.log_receiver import log_push_settings
    from fnkit.platform.server.options import StartOptions
    from fnkit.platform.server.otlp import otlp_settings

    check_machine()
    if manual_clock and speed is not None:
        raise UsageError("--speed and --manual-clock exclude each other.")
    clock = 0.0 if manual_clock else speed if speed is not None else 1.0
    asked = {field: given.pop(flag.removeprefix("--").replace("-", "_")) for field, flag in _SCALING.items()}
    scaling = {field: value for field, value in asked.items() if value is not None}
    given["brokers"] = given["brokers"] or ""
    wanted = {**given, "home": str(home), "speed": clock, "quotas": quotas or {}, "scaling": scaling}
    options = msgspec.convert(wanted, StartOptions)
    options = msgspec.structs.replace(
        options, otlp=otlp_settings(otlp_url, os.environ), log_push=log_push_settings(logs_push, os.environ)
    )
    found = running(home)
    if found is not None:
        _check_same(found, options, clock_given=manual_clock or speed is not None)
        _check_same_quotas(found, options, given=quotas is not None)
        _check_same_scaling(found, options, frozenset(scaling))
        _check_same_otlp(found, options, given=otlp_url is not None)
    if found is None and not detach:
        _run_here(common.output, options)
        return
    ensure_running(options)
    if found is not None:
        common.output.message("The platform was running already.")
    _show(common.output, home, foreground=False)


def _run_here(output: Output, options: StartOptions) -> None:
    from fnkit.platform.server.broker_options import with_variables
    from fnkit.platform.server.lifecycle import ensure_running
    from fnkit.platform.server.lock import TakenError
    from fnkit.platform.server.preparing import prepare
    from fnkit.platform.server.supervisor import supervise

    home = Path(options.home)
    try:
        prepared = prepare(with_variables(options, os.environ))
    except TakenError:
        ensure_running(options)
        output.message("The platform was started by another command just now.")
        _show(output, home, foreground=False)
        return
    output.detail(f"Starting the platform in {home} …")
    supervise(prepared, partial(_show, output, home, foreground=True), wait=options.wait)
    output.message("The platform has stopped.")


def _show(output: Output, home: Path, *, foreground: bool) -> None:
    from fnkit.cli.views.platform import PlatformView
    from fnkit.platform.server.lifecycle import describe

    output.result(PlatformView(describe(home), started=True, foreground=foreground))


def _check_same(found: RunningPlatform, options: StartOptions, *, clock_given: bool) -> None:
    """Refuse to pass off the running platform as the one that was asked for.

    Raises:
        PlatformError: ``platform-differs``.
    """
    run = found.run
    asked = (
        ("--api-port", options.api_port or None, run.api_port),
        ("--gateway-port", options.gateway_port or None, run.gateway_port),
        ("--tls-port", options.tls_port or None, run.tls_port or "none"),
        ("--nats-port", options.nats_port or None, run.nats_port or "none"),
        ("--brokers", options.brokers or None, run.brokers or "the data folder's"),
        ("--speed", options.speed if clock_given else None, run.speed),
    )
    for flag, wanted, actual in asked:
        if wanted is not None and wanted != actual:
            raise PlatformError(
                f"The platform is running already, with {flag} {_short(actual)} instead of {_short(wanted)}.",
                code="platform-differs",
                hint="Run `fnkit platform stop` first, or give another --data folder.",
            )


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _check_same_otlp(found: RunningPlatform, options: StartOptions, *, given: bool) -> None:
    """Refuse likewise where traces or logs go elsewhere, or nowhere. What only a variable says is no reason.

    Raises:
        PlatformError: ``platform-differs``.
    """
    if given and options.otlp is not None and found.run.otlp != options.otlp.traces_url:
        raise PlatformError(
            f"The platform is running already, with traces going to {found.run.otlp or 'nobody'}.",
            code="platform-differs",
            hint="Run `fnkit platform stop` first, or give another --data folder.",
        )
    if options.log_push is not None and found.run.log_push != options.log_push.url:
        raise PlatformError(
            f"The platform is running already, with logs going to {found.run.log_push or 'nobody'}.",
            code="platform-differs",
            hint="Run `fnkit platform stop` first, or give another --data folder.",
        )


def _check_same_scaling(found: RunningPlatform, options: StartOptions, given: frozenset[str]) -> None:
    """Refuse likewise where functions get another part of the machine, or keep it for another time.

    Raises:
        PlatformError: ``platform-differs``.
    """
    for name in sorted(given):
        if getattr(found.run.scaling, name) != getattr(options.scaling, name):
            raise PlatformError(
                f"The platform is running already, with another {_SCALING[name]}.",
                code="platform-differs",
                hint="Run `fnkit platform stop` first, or give another --data folder.",
            )


def _check_same_quotas(found: RunningPlatform, options: StartOptions, *, given: bool) -> None:
    """Refuse likewise where other quotas run, or no domain is verified.

    Raises:
        PlatformError: ``platform-differs``.
    """
    differs = given and found.run.quotas != options.quotas
    unverified = options.verify_domains and not found.run.verify_domains
    if differs or unverified:
        what = "with other quotas" if differs else "without --verify-domains"
        raise PlatformError(
            f"The platform is running already, {what}.",
            code="platform-differs",
            hint="Run `fnkit platform stop` first, or give another --data folder.",
        )
