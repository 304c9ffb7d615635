"""``fnkit status``: compare the deployed functions with the project."""

from __future__ import annotations

import os

from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options


@command()
@common_options
@api_options
def status(common: CommonOptions, api: ApiOptions) -> int | None:
    """Show the status of deployed functions.

    Differences from the project are listed. The exit code is 1 if a function is in error or cannot import its
    handler, and if the project cannot be compared.
    """
    from fnkit.cli.deploy_progress import deploy_progress
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.status import StatusView
    from fnkit.deploy.status import read_project_status
    from fnkit.deploy.user_cache import open_cache_directory

    with open_api(common, api) as (client, identity), deploy_progress(common.output, "Comparing") as progress:
        inspection = read_project_status(
            identity, client, environ=os.environ, cache=open_cache_directory(os.environ), report=progress.report
        )
    common.output.result(StatusView(inspection, identity.root, common.output.verbosity > 0))
    return 1 if inspection.has_errors or inspection.drift_problem is not None else None
