"""``fnkit platform start``: run the platform in the foreground, or in the background with ``--detach``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.commands.platform import data_dir_option_in
from fnkit.cli.help import command, option_group
from fnkit.cli.options import (
    CommonOptions,
    FiniteRange,
    OptionDecorator,
    output_options,
    parse_base_images,
    parse_kube_labels,
    parse_optional_port,
    parse_quotas,
    parse_size,
)
from fnkit.cli.output import Output
from fnkit.contract.limits import SCALE_TO_ONE_AFTER_SECONDS, SCALE_TO_ZERO_AFTER_SECONDS
from fnkit.errors import PlatformError, UsageError

if TYPE_CHECKING:
    from fnkit.platform.supervisor.launcher import RunningPlatform, StartOptions

_listening = option_group("Listening")
_data = option_group("Data")
_events = option_group("Events and time")
_limits = option_group("Limits")
_isolation = option_group("Isolation and runtimes")
_observability = option_group("Logs and metrics")
_kubernetes = option_group("Images and Kubernetes")

_PORT_RANGE = click.IntRange(0, 65535)
_MAX_CLOCK_SPEED = 100_000  # more than a day per second; beyond it, years pass while one request is served


def _port_option(flag: str, port: str, default: int, *, is_optional: bool = False) -> OptionDecorator:
    """Return the option of a port; an optional one may be ``none``."""
    text = f"{port}; 0 picks a free one. [default: {default} or the next free]"
    if is_optional:
        return _listening(flag, callback=parse_optional_port, metavar="N|none", help=text)
    return _listening(flag, type=_PORT_RANGE, metavar="N", help=text)


def _idle_time_option(flag: str, event: str, default: int) -> OptionDecorator:
    text = f"Idle time after which {event}. [default: {default}]"
    return _limits(flag, type=FiniteRange(0), metavar="SECONDS", help=text)


@command()
@click.option("--detach", is_flag=True, help="Run in the background; return when the platform is healthy.")
@click.option(
    "--timeout",
    type=FiniteRange(0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Fail if the platform is not healthy after this time.",
)
@_port_option("--api-port", "Port of the API", 8480)
@_port_option("--gateway-port", "HTTP port of functions", 8481)
@_port_option("--tls-port", "HTTPS port of functions", 8482, is_optional=True)
@_port_option("--nats-port", "Port of the built-in NATS server", 8483, is_optional=True)
@_port_option("--sqs-port", "Port of the built-in SQS endpoint", 8484, is_optional=True)
@_listening("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@_listening("--domain-suffix", metavar="S", help="Suffix of the host names of functions.  [default: localhost]")
@_listening(
    "--verify-domains", is_flag=True, default=None, help="Require custom domains to resolve to this machine."
)
@_data(
    "--temporary",
    is_flag=True,
    default=None,
    help="Do not wait for the disk: the data need not survive a power cut.",
)
@data_dir_option_in("Data")
@_events(
    "--brokers",
    "brokers_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Brokers file for triggers. [default: brokers.toml in the data directory]",
)
@_events(
    "--clock-speed",
    "speed",
    type=FiniteRange(0, _MAX_CLOCK_SPEED, min_open=True),
    metavar="X",
    help="Speed of the platform's clock. [default: 1]",
)
@_events(
    "--manual-clock", is_flag=True, default=None, help="Stop the platform's clock; requests to the API move it."
)
@_limits(
    "--quota",
    "quotas",
    callback=parse_quotas,
    metavar="functions=N,namespaces=N,memory=SIZE|none",
    help="Quotas of the account. [default: functions=1000,namespaces=100,memory=600GiB]",
)
@_limits(
    "--project-quota",
    "project_quotas",
    callback=parse_quotas,
    metavar="functions=N,memory=SIZE|none",
    help="Largest share of these quotas that one project can use. [default: none]",
)
@_limits(
    "--build-timeout",
    type=FiniteRange(0, min_open=True),
    metavar="SECONDS",
    help="End builds that take longer.  [default: 2400]",
)
@_limits(
    "--memory-budget",
    "memory_budget_mb",
    callback=parse_size,
    metavar="SIZE",
    help="Memory for all functions together, such as 4GiB. [default: half of this machine's memory]",
)
@_limits(
    "--cpu-limits",
    type=click.Choice(["weights", "hard"]),
    help="Apply mVCPU as shares of a busy machine, or as hard limits. [default: weights]",
)
@_idle_time_option("--scale-to-one-after", "all instances but one stop", SCALE_TO_ONE_AFTER_SECONDS)
@_idle_time_option("--scale-to-zero-after", "the last instance stops", SCALE_TO_ZERO_AFTER_SECONDS)
@_isolation(
    "--isolation",
    type=click.Choice(["auto", "cgroup", "namespaces", "landlock", "none"]),
    help="Isolate functions from each other and from this machine at this level.  [default: auto]",
)
@_isolation(
    "--strict-runtimes", is_flag=True, default=None, help="Reject runtimes without an exact match on this machine."
)
@_isolation(
    "--runtime-table",
    type=click.Choice(["2026-07-03", "2025-12-15"]),
    help="Runtime table to use (date of the Scaleway snapshot).  [default: 2026-07-03]",
)
@_observability(
    "--log-responses", is_flag=True, default=None, help="Log status and duration of each response of a function."
)
@_observability("--public-metrics", is_flag=True, default=None, help="Serve /metrics without an API key.")
@_observability("--loki-url", metavar="URL", help="Send the logs of functions to this Loki server.")
@_observability(
    "--otlp",
    "otlp_url",
    metavar="URL",
    help="Export traces to this OTLP/HTTP collector. [default: OTEL_EXPORTER_OTLP_ENDPOINT, if set]",
)
@_kubernetes(
    "--engine",
    type=click.Choice(["local", "kubernetes"]),
    help="Run functions as processes of this machine, or in a Kubernetes cluster. [default: local]",
)
@_kubernetes(
    "--registry-host",
    metavar="HOST[:PORT]",
    help="Address by which the nodes of the cluster reach the API's port, to pull images.",
)
@_kubernetes(
    "--kubeconfig",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),  # not resolved: a link may lead to another file later
    help="File that describes the cluster. [default: the account of the Pod, or KUBECONFIG, or ~/.kube/config]",
)
@_kubernetes("--kube-context", metavar="NAME", help="Context in that file. [default: its current one]")
@_kubernetes("--kube-namespace", metavar="NAME", help="Namespace of the Pods. [default: that of the context]")
@_kubernetes(
    "--kube-label",
    "kube_labels",
    multiple=True,
    callback=parse_kube_labels,
    metavar="KEY=VALUE",
    help="Label of everything that is created in the cluster. Can be given several times.",
)
@_kubernetes(
    "--base-image",
    "base_images",
    multiple=True,
    callback=parse_base_images,
    metavar="RUNTIME=IMAGE",
    help="Base of this runtime's images, as python313=python:3.13-slim. Can be given several times. "
    "[default: made of this machine's interpreter]",
)
@output_options
def start(common: CommonOptions, *, data_dir: Path, detach: bool, timeout: float, **flags: object) -> None:
    """Start the platform.

    Without --detach, the platform runs in this process until SIGTERM or Ctrl-C.
    """
    from fnkit.platform.supervisor.launcher import (
        check_operating_system,
        ensure_running,
        find_running_platform,
        start_options,
    )

    check_operating_system()
    options = start_options(data_dir, _given_settings(flags), os.environ, start_timeout=timeout)
    found = find_running_platform(data_dir)
    if found is not None:
        # A second start is idempotent: it reports the platform that runs, unless an option asks for another one.
        _require_no_conflict(options, found)
    if found is None and not detach:
        _run_in_foreground(common.output, options)
        return
    ensure_running(options)
    if found is not None:
        common.output.message("The platform was already running.")
    _show_status(common.output, data_dir, foreground=False)


def _given_settings(flags: dict[str, object]) -> dict[str, object]:
    """Return the options that were given, by the names of the platform's settings.

    Raises:
        UsageError: Options exclude each other.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if given.pop("manual_clock", False):
        if "speed" in given:
            raise UsageError("--clock-speed and --manual-clock exclude each other.")
        given["speed"] = 0.0
    return given


def _require_no_conflict(options: StartOptions, found: RunningPlatform) -> None:
    """Check that the running platform has the settings that were asked for.

    Raises:
        PlatformError: ``platform-differs``.
    """
    from fnkit.platform.supervisor.launcher import find_conflict

    conflict = find_conflict(options, found.settings)
    if conflict is not None:
        raise PlatformError(
            f"The platform is already running, {conflict}.",
            code="platform-differs",
            hint="Run `fnkit platform stop` first, or choose another directory with --data-dir.",
        )


def _run_in_foreground(output: Output, options: StartOptions) -> None:
    """Run the platform in this process until a signal stops it."""
    from fnkit.platform.supervisor.launcher import ensure_running, run_in_foreground

    data_dir = Path(options.data_dir)
    ran = run_in_foreground(
        options,
        on_start=lambda: output.detail(f"Starting the platform in {data_dir} …"),
        on_healthy=lambda: _show_status(output, data_dir, foreground=True),
    )
    if ran:
        output.message("The platform has stopped.")
        return
    # Another command has started it since the check above. Wait for its platform to become healthy.
    ensure_running(options)
    output.message("The platform was started by another command at the same time.")
    _show_status(output, data_dir, foreground=False)


def _show_status(output: Output, data_dir: Path, *, foreground: bool) -> None:
    from fnkit.cli.views.platform import PlatformView
    from fnkit.platform.supervisor.launcher import platform_status

    output.result(PlatformView(platform_status(data_dir), started=True, foreground=foreground))
