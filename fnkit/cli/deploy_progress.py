"""Shows the events of a deploy: as live progress on a terminal, and as lines with ``--verbose``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.output import Output

if TYPE_CHECKING:
    from fnkit.deploy.events import Event, Report

__all__ = ["DeployProgress", "deploy_progress"]


@dataclass(frozen=True, slots=True)
class DeployProgress:
    """The progress display of a deploy.

    Args:
        report: Callback for the events of the deploy library.
        paused: Context manager that hides the display, for use around a prompt.
    """

    report: Report
    paused: Callable[[], AbstractContextManager[None]]


@contextmanager
def deploy_progress(output: Output, title: str) -> Iterator[DeployProgress]:
    """Show the events of a deploy while the block runs."""
    from fnkit.deploy.events import Finished, Started, Step, Waiting

    with output.progress(title) as progress:

        def report(event: Event) -> None:
            match event:
                case Started():
                    progress.grow(event.total)
                case Step():
                    progress.update(f"{event.name}: {event.text}")
                    output.detail(f"{event.kind} {event.name}: {event.text}")
                case Finished():
                    progress.update(f"{event.name}: {event.failure or 'done'}", advance=1)
                    output.detail(f"{event.kind} {event.name}: {event.failure or 'done'} ({event.seconds:.2f} s)")
                case Waiting():
                    output.message(f"Waiting for {event.whom} …")

        yield DeployProgress(report, progress.paused)
