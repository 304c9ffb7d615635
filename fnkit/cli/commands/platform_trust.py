"""``fnkit platform trust``: show or install the local CA that signs the platform's TLS certificates."""

from __future__ import annotations

from pathlib import Path

import click

from fnkit.cli.commands.platform import data_dir_option
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import PlatformError, UsageError

__all__ = ["trust"]


@click.command()
@click.option("--install", is_flag=True, help="Add the certificate to the system's trust store; requires root.")
@click.option("--remove", is_flag=True, help="Remove the certificate from the trust store; requires root.")
@click.option("--print-certificate", is_flag=True, help="Print only the certificate.")
@data_dir_option
@common_options
def trust(common: CommonOptions, *, data_dir: Path, install: bool, remove: bool, print_certificate: bool) -> None:
    """Show or install the platform's CA certificate.

    The CA signs the certificates of the HTTPS addresses. It is created on this machine for this platform alone, and
    its private key never leaves the data directory.
    """
    from fnkit.cli.views.platform_trust import TrustView
    from fnkit.platform.layout import DataLayout
    from fnkit.platform.server.lifecycle import check_operating_system
    from fnkit.platform.server.trust_store import find_trust_store, read_ca_certificate

    check_operating_system()
    if install + remove + print_certificate > 1:
        raise UsageError("--install, --remove and --print-certificate exclude each other.")
    authority = read_ca_certificate(DataLayout(data_dir))
    store = find_trust_store(authority)
    if install or remove:
        if store is None:
            raise PlatformError(
                "No supported trust store was found on this system.",
                code="no-trust-store",
                hint=f"Add {authority.file} to it by hand, or configure programs as `fnkit platform trust` shows.",
            )
        if install:
            store.install()
        else:
            store.remove()
    done = "installed" if install else "removed" if remove else ""
    common.output.result(TrustView(authority, store, completed_action=done, certificate_only=print_certificate))
