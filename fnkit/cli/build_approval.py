"""Asks the user on a terminal before a project's builds run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.bundler.builds.permission import AllowBuildsCallback, BuildRequest
    from fnkit.cli.deploy_progress import DeployProgress
    from fnkit.cli.output import Output
    from fnkit.cli.progress import ProgressDisplay


def ask_before_builds(
    output: Output, progress: DeployProgress | ProgressDisplay, *, allowed: bool
) -> AllowBuildsCallback:
    """Return a callback that asks on a terminal and records the answer; elsewhere it refuses.

    A yes covers the rest of the run: the user allows what the project declares now.

    Args:
        output: Where to ask.
        progress: Hidden while the question is shown.
        allowed: Whether ``--allow-builds`` was given; then nothing is asked or recorded.
    """
    from fnkit.deploy.allowed_builds import AllowedBuilds

    recorded = AllowedBuilds(os.environ)
    answers: list[bool] = []

    def allow(request: BuildRequest) -> bool:
        if allowed or recorded.covers(request):
            return True
        if output.as_json or not sys.stdin.isatty():
            return False
        if not answers:
            question = f"The project {request.root} {request}, which runs its code on this machine. Allow it?"
            with progress.paused():
                answers.append(output.confirm(question, yes=False))
        if answers[0]:
            recorded.add(request)
        return answers[0]

    return allow
