"""``fnkit open``: open a deployed function in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fnkit.cli.completion import complete_functions
from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options

if TYPE_CHECKING:
    from fnkit.contract.resources import Function
    from fnkit.deploy.deployed import DeployedNamespace


@command("open")
@click.argument("name", required=False, shell_complete=complete_functions)
@click.option("--print", "print_only", is_flag=True, help="Print the URL without opening it.")
@api_options
@common_options
def open_function(common: CommonOptions, api: ApiOptions, *, name: str | None, print_only: bool) -> None:
    """Open a deployed function in the browser.

    Without NAME, open the only function, or the only one that can be called without a token.
    """
    import webbrowser

    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.open import FunctionUrlView
    from fnkit.deploy.deployed import read_deployed_namespace
    from fnkit.deploy.target import function_url

    with open_api(common, api) as (client, identity):
        deployed = read_deployed_namespace(client, identity.namespace)
        function = deployed.find_function(name) if name is not None else _only_function(deployed)
        url = function_url(
            client.platform_info(),
            function.domain_name,
            region=function.region,
            namespace=identity.namespace,
            function=function.name,
        )
    if function.status != "ready":
        common.output.warning(f"{function.name} is not ready: its status is {function.status}.")
    if function.privacy == "private":
        common.output.warning(
            f"{function.name} is private: it answers 403 without a token (`fnkit token create {function.name}`)."
        )
    opened = not print_only and webbrowser.open(url)
    if not print_only and not opened:
        common.output.warning("No browser was found. Open the URL yourself, or use --print.")
    common.output.result(FunctionUrlView(function.name, url, opened=opened))


def _only_function(deployed: DeployedNamespace) -> Function:
    """Return the only function, or the only public one.

    Raises:
        UsageError: ``ambiguous-name``.
        NotFoundError: ``not-deployed``: there are no functions.
    """
    from fnkit.errors import NotFoundError, UsageError

    public = [one for one in deployed.functions if one.privacy == "public"]
    for candidates in (deployed.functions, public):
        if len(candidates) == 1:
            return candidates[0]
    if not deployed.functions:
        raise NotFoundError(
            f"Namespace {deployed.namespace.name} has no functions.",
            code="not-deployed",
            hint="Deploy the project first.",
        )
    raise UsageError(
        f"Namespace {deployed.namespace.name} has {len(deployed.functions)} functions.",
        code="ambiguous-name",
        hint=f"Name one: {', '.join(one.name for one in deployed.functions)}.",
    )
