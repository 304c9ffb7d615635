"""``fnkit platform manifests``: print what installs the platform in a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from fnkit.cli.commands.platform_start import start
from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, output_options
from fnkit.errors import UsageError

_SET_BY_THE_MANIFESTS: Final = frozenset(
    {
        *("api_port", "gateway_port", "tls_port", "detach", "timeout", "data_dir"),
        *("engine", "kubeconfig", "kube_context", "kube_namespace", "registry_host"),
    }
)


@command()
@click.option(
    "--image", required=True, metavar="IMAGE", help="Image of the platform, with fnkit and python3 on its PATH."
)
@click.option(
    "--namespace",
    default="fnkit",
    show_default=True,
    metavar="NAME",
    help="Namespace of the platform and its functions.",
)
@click.option("--storage", default="10Gi", show_default=True, metavar="SIZE", help="Size of the platform's volume.")
@click.option("--storage-class", metavar="NAME", help="Storage class of the volume. [default: the cluster's]")
@click.option(
    "--registry-port",
    type=click.IntRange(1024, 65535),
    default=5000,
    show_default=True,
    metavar="N",
    help="Port of localhost at which nodes reach the platform's registry.",
)
@click.option(
    "--registry-host",
    metavar="HOST[:PORT]",
    help="Address at which you serve the registry to nodes with TLS, instead of on localhost.",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTIONS OF PLATFORM START]")
@output_options
def manifests(
    common: CommonOptions,
    *,
    image: str,
    namespace: str,
    storage: str,
    storage_class: str | None,
    registry_port: int,
    registry_host: str | None,
    options: tuple[str, ...],
) -> None:
    """Print what installs the platform in a Kubernetes cluster.

    The output is for `kubectl apply -f -`. It contains no secrets: the platform creates its keys at its first
    start, in its volume.
    """
    from fnkit.cli.views.manifests import ManifestsView
    from fnkit.platform.supervisor.launcher import Installation, build_manifests

    _check_start_options(options)
    installation = Installation(
        image=image,
        namespace=namespace,
        storage=storage,
        storage_class=storage_class or "",
        registry_host=registry_host or "",
        registry_port=registry_port,
        arguments=options,
    )
    common.output.result(ManifestsView(tuple(build_manifests(installation))))


def _check_start_options(arguments: Sequence[str]) -> None:
    """Check the names of the options for ``platform start``. Their values are checked where it starts.

    Raises:
        UsageError: The manifests set an option themselves.
        click.UsageError: There is no such option.
    """
    given, rest, _ = start.make_parser(click.Context(start)).parse_args(list(arguments))
    if rest:
        raise UsageError(f"{rest[0]!r} is not an option of `fnkit platform start`.", hint="Options start with --.")
    for parameter in start.params:
        if parameter.name in given and parameter.name in _SET_BY_THE_MANIFESTS:
            raise UsageError(
                f"{parameter.opts[0]} cannot be passed on: the manifests set it.",
                hint="`fnkit platform manifests --help` lists what can be chosen.",
            )
