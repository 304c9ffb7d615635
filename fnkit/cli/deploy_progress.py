"""Shows a deploy's events: live where someone watches, as lines with ``-v``, not at all otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from fnkit.cli.output import Output
from fnkit.deploy.events import Event, Finished, Report, Started, Step, Waiting

__all__ = ["DeployProgress", "deploy_progress"]


@dataclass(frozen=True, slots=True)
class DeployProgress:
    """report: to hand to the library. paused: to stand around a question."""

    report: Report
    paused: Callable[[], AbstractContextManager[None]]


@contextmanager
def deploy_progress(output: Output, title: str) -> Iterator[DeployProgress]:
    """Show what ``report`` hears while the block runs."""
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
