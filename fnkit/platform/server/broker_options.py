"""Options of queue brokers: their configuration file, its variables, and the platform's own NATS broker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.brokers.model import Brokers
from fnkit.platform.brokers.reading import named_variables, read_brokers_file
from fnkit.platform.layout import Layout, QueueSettings
from fnkit.platform.server.nats_server import make_nats_identity, nats_server, nats_url
from fnkit.platform.server.options import StartOptions

__all__ = ["brings_nats", "queue_settings", "with_variables"]

_SWITCHED_OFF: Final = "no NATS broker is configured, and the platform's own is off (--nats-port none)"
_NOT_INSTALLED: Final = (
    "no NATS broker is configured, and the platform's own is not installed: "
    "pip install 'fnkit[queues]', then start the platform again"
)


def with_variables(options: StartOptions, environ: Mapping[str, str]) -> StartOptions:
    """Validate the brokers file, and add the environment variables that it refers to.

    They are passed as options because the platform's processes do not inherit the user's environment.

    Raises:
        BrokersInvalid: The file has errors.
        PlatformError: ``brokers-unreadable``.
    """
    file = _file(options)
    if not options.brokers and not file.is_file():
        return options
    try:
        named = named_variables(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        named = set()
    variables = {name: environ[name] for name in named if name in environ}
    read_brokers_file(file, variables)
    return msgspec.structs.replace(options, broker_variables=variables)


def brings_nats(options: StartOptions) -> bool:
    """Return whether to run a NATS broker: it is not off, no other one is configured, and nats-server is installed.

    Raises:
        BrokersInvalid: The brokers file has errors.
        PlatformError: ``brokers-unreadable``.
    """
    return options.nats_port != "none" and not _given(options).nats and nats_server() is not None


def queue_settings(options: StartOptions, layout: Layout, nats_port: int) -> QueueSettings:
    """Return the broker settings of control and of the NATS process.

    Args:
        options: The options of the start.
        layout: The data directory, which keeps the credentials of the platform's own broker.
        nats_port: Port of the platform's own broker; 0 if it does not run.

    Raises:
        PlatformError: ``identity-unreadable``.
    """
    url = nats_url(make_nats_identity(layout.nats_identity), nats_port) if nats_port else ""
    return QueueSettings(
        nats_url=url,
        why_no_nats="" if url else _SWITCHED_OFF if options.nats_port == "none" else _NOT_INSTALLED,
        brokers=str(_file(options)),
        variables=options.broker_variables,
    )


def _given(options: StartOptions) -> Brokers:
    file = _file(options)
    if not options.brokers and not file.is_file():
        return Brokers()
    return read_brokers_file(file, options.broker_variables)


def _file(options: StartOptions) -> Path:
    return Path(options.brokers) if options.brokers else Layout(Path(options.home)).brokers
