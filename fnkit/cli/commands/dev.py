"""``fnkit dev``: serve the project on a platform of its own, and deploy what changes."""

from __future__ import annotations

import os
import queue
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.build_approval import ask_before_builds
from fnkit.cli.completion import complete_functions
from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, allow_builds_option, common_options

if TYPE_CHECKING:
    from types import FrameType

    from fnkit.bundler.builds.permission import AllowBuildsCallback, BuildRequest
    from fnkit.cli.dev_run import DevEvent
    from fnkit.cli.dev_screen import DevScreen
    from fnkit.cli.output import View
    from fnkit.deploy.loading import ProjectIdentity
    from fnkit.deploy.user_cache import CacheDirectory
    from fnkit.dev.model import Rejected, Reloaded
    from fnkit.dev.session import DevSession
    from fnkit.platform.supervisor.launcher import RunningPlatform


@command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Port of the functions.  [default: that of the last time, or a free one]",
)
@click.option(
    "--brokers",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    metavar="FILE",
    help="Brokers of triggers.  [default: brokers.toml of the local platform]",
)
@click.option(
    "--log-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Append the same output to this file.",
)
@click.option(
    "--debug",
    "debugged",
    metavar="NAME",
    shell_complete=complete_functions,
    help="Run this function under a debugger that editors attach to.",
)
@click.option(
    "--debug-port",
    type=click.IntRange(1, 65535),
    metavar="N",
    help="Port of the debugger.  [default: 5678, or a free one]",
)
@click.option("--from-bundle", is_flag=True, help="Deploy the archives for each change, as deploy does.")
@allow_builds_option
@common_options
def dev(
    common: CommonOptions,
    *,
    port: int | None,
    brokers: Path | None,
    log_file: Path | None,
    debugged: str | None,
    debug_port: int | None,
    from_bundle: bool,
    allow_builds: bool,
) -> int | None:
    """Serve the project, and deploy what changes as soon as it is saved.

    The functions run on a platform of their own, which is thrown away at the end. Crons and triggers fire. The
    requests, the output of all functions and their tracebacks are shown. Press q or Ctrl-C to stop.

    With --debug, a function in Python or Node has one instance and no timeout, and editors can attach to it: the
    configuration for VS Code is added to .vscode/launch.json.
    """
    from fnkit.cli.dev_debugging import debugged_function
    from fnkit.cli.dev_platform import dev_data_directory, running_dev_platform
    from fnkit.cli.dev_screen import open_screen
    from fnkit.deploy.loading import load_identity
    from fnkit.deploy.user_cache import open_cache_directory

    identity = load_identity(common.directory, stage=common.stage)
    cache = open_cache_directory(os.environ)
    data_dir = dev_data_directory(cache, identity)
    is_interactive = not common.output.as_json and sys.stdin.isatty() and sys.stdout.isatty()
    run = _DevCommand(common, identity, cache, from_bundle=from_bundle, allow_builds=allow_builds)
    with (
        _ending_on_signals(),
        open_screen(
            as_json=common.output.as_json,
            colour=common.output.colour,
            is_interactive=is_interactive,
            log_file=log_file,
        ) as screen,
        nullcontext()
        if debugged is None
        else debugged_function(common, identity, cache, debugged, debug_port) as debug,
    ):
        debugger = debug.debugger if debug is not None else None
        while True:
            with common.output.progress("Starting"), ExitStack() as stack:
                platform = stack.enter_context(
                    running_dev_platform(data_dir, port=port, brokers=brokers, debugger=debugger)
                )
                rest = stack.pop_all()
            with rest:
                notices = [debug.view] if debug is not None else []
                if not run.serve(platform, screen, notices, is_interactive=is_interactive):
                    return None


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that the platform is stopped."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _DevCommand:
    """What stays the same when the session is started again."""

    def __init__(
        self,
        common: CommonOptions,
        identity: ProjectIdentity,
        cache: CacheDirectory,
        *,
        from_bundle: bool,
        allow_builds: bool,
    ) -> None:
        self._common = common
        self._identity = identity
        self._cache = cache
        self._from_bundle = from_bundle
        self._allow_builds = allow_builds

    def serve(
        self, platform: RunningPlatform, screen: DevScreen, notices: Sequence[View], *, is_interactive: bool
    ) -> bool:
        """Deploy the project and show what happens until the end; return whether to start again."""
        from fnkit.cli.deploy_progress import deploy_progress
        from fnkit.cli.dev_actions import DevActions
        from fnkit.cli.dev_platform import dev_endpoint
        from fnkit.cli.dev_run import DevRun, KeyPressed
        from fnkit.cli.keys import KeyReader
        from fnkit.cli.views.dev import NoteView, ServingView
        from fnkit.client import FunctionsApi
        from fnkit.client.loki import LogServer
        from fnkit.contract.limits import REGIONS
        from fnkit.deploy.pipeline import DeployRequest
        from fnkit.dev.failures import read_build_output
        from fnkit.dev.output import OutputFollower
        from fnkit.dev.reloading import Reloader
        from fnkit.dev.session import DevSession

        events: queue.Queue[DevEvent] = queue.Queue()
        endpoint = dev_endpoint(platform, self._identity.region or REGIONS[0])

        def describe(outcome: Reloaded) -> ServingView:
            return ServingView(
                project=self._identity.project,
                gateway_url=platform.gateway_url,
                functions=outcome.functions,
                seconds=outcome.seconds,
            )

        server = LogServer(url=endpoint.api_url, token=endpoint.secret_key, is_platform=True)
        with FunctionsApi(endpoint) as api, ExitStack() as stack:
            with deploy_progress(self._common.output, "Deploying", lines_stay=False) as progress:
                permission = _Permission(
                    ask_before_builds(self._common.output, progress, allowed=self._allow_builds)
                )
                request = DeployRequest(
                    directory=self._identity.root, stage=self._identity.stage, allow_builds=permission
                )
                session = DevSession(
                    request,
                    api,
                    environ=os.environ,
                    cache=self._cache,
                    report=progress.report,
                    build_output=lambda function_id: read_build_output(server, function_id),
                    from_bundle=self._from_bundle,
                )
                first = _deploy_first(session)
            permission.asks = False
            actions = DevActions(api, lambda text: events.put(NoteView(text=text)))
            output = OutputFollower(server, lambda: [one.id for one in session.functions], events.put)
            reloader = Reloader(session, self._identity.root, events.put)
            output.start()
            stack.callback(output.stop)
            reloader.start()
            stack.callback(reloader.stop)
            if is_interactive:
                stack.enter_context(KeyReader(lambda key: events.put(KeyPressed(key))).reading())
            return DevRun(screen, events, actions, describe, self._identity.root, session.shown).run(first, notices)


def _deploy_first(session: DevSession) -> Reloaded | Rejected:
    """Deploy the project. If its own files are the obstacle, they can be corrected while it is watched."""
    from fnkit.dev.model import rejected_because_of
    from fnkit.errors import BundleError, ProjectError

    try:
        return session.deploy()
    except (ProjectError, BundleError) as error:
        return rejected_because_of(error)


class _Permission:
    """Asks before builds run, until the session has begun: then keys are read, and nothing can be asked.

    Attributes:
        asks: Whether questions can be asked.
    """

    def __init__(self, ask: AllowBuildsCallback) -> None:
        self._ask = ask
        self.asks = True

    def __call__(self, request: BuildRequest) -> bool:
        """Return whether the builds are allowed."""
        from fnkit.deploy.allowed_builds import AllowedBuilds

        return self._ask(request) if self.asks else AllowedBuilds(os.environ).covers(request)
