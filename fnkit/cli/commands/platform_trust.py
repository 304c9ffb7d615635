"""``fnkit platform trust``: the authority behind the TLS door, and having this system trust it."""

from __future__ import annotations

from pathlib import Path

import click

from fnkit.cli.commands.platform import data_option
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import PlatformError, UsageError

__all__ = ["trust"]


@click.command()
@click.option("--install", is_flag=True, help="Have this system's programs trust it; needs root.")
@click.option("--remove", is_flag=True, help="Have them trust it no more; needs root.")
@click.option("--print-certificate", is_flag=True, help="Print the certificate and nothing else.")
@data_option
@common_options
def trust(common: CommonOptions, *, home: Path, install: bool, remove: bool, print_certificate: bool) -> None:
    """Show the authority behind its https addresses, and how to trust it.

    The authority is made on this machine, for this platform alone, and its key never leaves the data folder.
    """
    from fnkit.cli.views.platform_trust import TrustView
    from fnkit.platform.layout import Layout
    from fnkit.platform.server.lifecycle import check_machine
    from fnkit.platform.server.trust_store import find_trust_store, read_authority

    check_machine()
    if install + remove + print_certificate > 1:
        raise UsageError("--install, --remove and --print-certificate exclude each other.")
    authority = read_authority(Layout(home))
    store = find_trust_store(authority)
    if install or remove:
        if store is None:
            raise PlatformError(
                "This system has no store of trusted authorities that fnkit knows.",
                code="no-trust-store",
                hint=f"Add {authority.file} to it by hand, or trust it per program: `fnkit platform trust`.",
            )
        if install:
            store.install()
        else:
            store.remove()
    done = "installed" if install else "removed" if remove else ""
    common.output.result(TrustView(authority, store, done=done, certificate_only=print_certificate))
