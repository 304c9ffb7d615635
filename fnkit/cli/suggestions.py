"""Commands to suggest: for the same project, stage, region and platform as the command that suggests them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from fnkit.cli.options import ApiOptions, CommonOptions

_DEFAULT_PERIOD: Final = "5m"


def suggested_command(common: CommonOptions, api: ApiOptions, *arguments: str) -> str:
    """Return a command line of fnkit that goes to the same place.

    Args:
        common: The common options of this command.
        api: The API options of this command.
        *arguments: The verb and its arguments.
    """
    options = {
        "--stage": common.stage,
        "--region": api.region,
        "--project-id": api.project_id,
        "--profile": api.profile,
        "--api-url": api.api_url,
    }
    words = ["fnkit", *arguments]
    if common.directory != Path.cwd():
        words += ["-C", str(common.directory)]
    for option, value in options.items():
        if value:
            words += [option, value]
    return shlex.join([*words, "--local"] if api.local else words)


def logs_command(common: CommonOptions, api: ApiOptions, function: str, *, since: str = _DEFAULT_PERIOD) -> str:
    """Return the command that shows what a function wrote recently."""
    return suggested_command(common, api, "logs", function, "--since", since)
