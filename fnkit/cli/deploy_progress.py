"""Shows the events of a deploy: as live progress on a terminal, and as lines with ``--verbose``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.output import Output

if TYPE_CHECKING:
    from fnkit.deploy.events import DeployEvent, EventCallback

__all__ = ["DeployProgress", "deploy_progress"]


@dataclass(frozen=True, slots=True)
class DeployProgress:
    """The progress display of a deploy.

    Args:
        report: Callback for the events of the deploy library.
        paused: Context manager that hides the display, for use around a prompt.
    """

    report: EventCallback
    paused: Callable[[], AbstractContextManager[None]]


@contextmanager
def deploy_progress(output: Output, title: str) -> Iterator[DeployProgress]:
    """Show the events of a deploy while the block runs."""
    from fnkit.deploy.events import ResourceFinished, ApplyStarted, ResourceStep, WaitingForLock

    with output.progress(title) as progress:

        def report(event: DeployEvent) -> None:
            match event:
                case ApplyStarted():
                    progress.add_steps(event.total)
                case ResourceStep():
                    progress.update(f"{event.name}: {event.text}")
                    output.detail(f"{event.kind} {event.name}: {event.text}")
                case ResourceFinished():
                    progress.update(f"{event.name}: {event.failure or 'done'}", advance=1)
                    output.detail(f"{event.kind} {event.name}: {event.failure or 'done'} ({event.seconds:.2f} s)")
                case WaitingForLock():
                    output.message(f"Waiting for {event.holder} …")

        yield DeployProgress(report, progress.paused)
