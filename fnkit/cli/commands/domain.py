"""``fnkit domain``: add, list, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.app import LazyGroup
from fnkit.cli.completion import complete_functions
from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, FiniteRange, api_options, common_options

if TYPE_CHECKING:
    from fnkit.deploy.custom_domains import FunctionDomain

DOMAIN_VERBS: Final[dict[str, tuple[str, str]]] = {
    "add": (f"{__name__}:add", "Add a hostname to a deployed function."),
    "list": (f"{__name__}:list_all", "List the custom hostnames of deployed functions."),
    "remove": (f"{__name__}:remove", "Remove a hostname from its function."),
}


@click.group(cls=LazyGroup, verbs=DOMAIN_VERBS)
def domain() -> None:
    """Manage custom hostnames of deployed functions."""


def _check_hostname(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from fnkit.contract.names import is_hostname

    hostname = value.lower().rstrip(".")
    if not is_hostname(hostname):
        raise click.BadParameter(f"{value!r} is not a hostname such as shop.example.com.", context, parameter)
    return hostname


@command()
@click.argument("hostname", callback=_check_hostname)
@click.argument("name", shell_complete=complete_functions)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=FiniteRange(min=0),
    default=360,
    help="How long to wait until the domain is ready; 0 does not wait.  [default: 360]",
)
@api_options
@common_options
def add(common: CommonOptions, api: ApiOptions, *, hostname: str, name: str, timeout: float) -> None:
    """Add a hostname to a deployed function.

    HOSTNAME is the hostname, such as shop.example.com, and NAME the function. Its DNS record must be a CNAME of the
    function's own domain name, which this command shows first. On the local platform no record is needed.

    Domains that the code declares (domains=["shop.example.com"]) are added by `fnkit deploy`.
    """
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.domain import DomainView
    from fnkit.deploy.custom_domains import add_domain
    from fnkit.deploy.deployed import read_deployed_namespace

    with open_api(common, api) as (client, identity):
        function = read_deployed_namespace(client, identity.namespace).find_function(name)
        info = client.platform_info()
        if info is None:
            common.output.message(f"DNS record: {hostname} CNAME {function.domain_name}")
        with common.output.progress(f"Adding {hostname}") as progress:
            added = add_domain(client, function, hostname, timeout_seconds=timeout, report=progress.update)
    common.output.result(DomainView(added, "added", gateway_url=info.gateway_url if info is not None else ""))


@command()
@api_options
@common_options
def list_all(common: CommonOptions, api: ApiOptions) -> int | None:
    """List the custom hostnames of deployed functions.

    The exit code is 1 if one is in error.
    """
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.domain import DomainsView
    from fnkit.deploy.custom_domains import list_domains
    from fnkit.deploy.deployed import read_deployed_namespace

    with open_api(common, api) as (client, identity):
        found = list_domains(client, read_deployed_namespace(client, identity.namespace))
    common.output.result(DomainsView(found))
    return 1 if any(one.domain.status == "error" for one in found) else None


@command()
@click.argument("hostname", callback=_check_hostname)
@api_options
@common_options
def remove(common: CommonOptions, api: ApiOptions, *, hostname: str) -> None:
    """Remove a hostname from its function."""
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.domain import DomainView
    from fnkit.deploy.custom_domains import remove_domain
    from fnkit.deploy.deployed import read_deployed_namespace

    with open_api(common, api) as (client, identity):
        removed = remove_domain(client, read_deployed_namespace(client, identity.namespace), hostname)
    if _is_declared(common, removed):
        common.output.warning(
            f"The code declares {hostname} for {removed.function.name}: remove it"
            " there too, or a deploy adds it again."
        )
    common.output.result(DomainView(removed, "removed"))


def _is_declared(common: CommonOptions, removed: FunctionDomain) -> bool:
    """Return whether the code declares the domain; an invalid project declares nothing."""
    from fnkit.deploy.loading import load_project
    from fnkit.errors import FnkitError

    try:
        project = load_project(common.directory, stage=common.stage)
    except FnkitError:
        return False
    return any(
        one.name == removed.function.name and removed.domain.hostname in one.domains for one in project.functions
    )
