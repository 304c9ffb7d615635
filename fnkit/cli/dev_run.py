"""The loop of ``fnkit dev``: shows what happens, and does what the keys ask for, on the main thread."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from fnkit.cli.dev_actions import KEY_LINE, NARROW_KEY_LINE, DevActions, Prompt
from fnkit.cli.dev_screen import DevScreen
from fnkit.cli.output import View
from fnkit.cli.views.dev import (
    NoteView,
    OutputLineView,
    RejectedView,
    ReloadView,
    ResponseView,
    ServingView,
    TracebackView,
)
from fnkit.cli.views.logs import LogLineView
from fnkit.client.loki import LogLine
from fnkit.dev.model import Rejected, Reloaded
from fnkit.dev.responses import read_response
from fnkit.dev.tracebacks import OutputGroup, OutputGrouper

_HOLD_SECONDS: Final = 0.3
_SIGNAL_SECONDS: Final = 0.5
"""A signal that arrives just before a wait begins is handled when the wait ends: so no wait is endless."""


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """A key was pressed."""

    key: str


DevEvent: TypeAlias = Reloaded | Rejected | KeyPressed | NoteView | list[LogLine]


class DevRun:
    """Shows the events of a session until it ends.

    Args:
        screen: Where to show them.
        events: The events, from other threads.
        actions: What the keys do.
        describe: Returns the view of all functions that answer.
        root: The project's directory.
        shown: Returns the path in the project of a file of an archive.
    """

    def __init__(
        self,
        screen: DevScreen,
        events: queue.Queue[DevEvent],
        actions: DevActions,
        describe: Callable[[Reloaded], ServingView],
        root: Path,
        shown: Callable[[str], str],
    ) -> None:
        self._screen = screen
        self._events = events
        self._actions = actions
        self._describe = describe
        self._root = root
        self._grouper = OutputGrouper(shown)
        self._served = Reloaded(changes=(), functions=(), seconds=0.0)
        self._prompt: Prompt | None = None

    def run(self, first: Reloaded | Rejected, notices: Sequence[View] = ()) -> bool:
        """Show what happens until the session ends; return whether it is to be started again.

        Args:
            first: What became of the first deploy.
            notices: What to show after it.
        """
        if isinstance(first, Rejected):
            self._screen.show(RejectedView(outcome=first, is_first=True, root=self._root))
        else:
            self._served = first
            self._screen.show(self._describe(first))
            if first.failures or any(one.failure for one in first.changes) or first.notes:
                self._screen.show(ReloadView(outcome=first, root=self._root))
        for notice in notices:
            self._screen.show(notice)
        self._screen.set_key_line(KEY_LINE, narrow=NARROW_KEY_LINE)
        while True:
            try:
                event = self._events.get(timeout=_HOLD_SECONDS if self._grouper.is_holding else _SIGNAL_SECONDS)
            except queue.Empty:
                event = []
            if isinstance(event, KeyPressed) and self._prompt is None and event.key in ("q", "r"):
                self._screen.set_key_line("")
                self._screen.show(NoteView(text="Restarting." if event.key == "r" else "Stopping."))
                return event.key == "r"
            self._handle(event)

    def _handle(self, event: DevEvent) -> None:
        match event:
            case KeyPressed():
                self._press(event.key)
            case Reloaded():
                self._show_reload(event)
            case Rejected():
                self._screen.show(RejectedView(outcome=event, root=self._root))
            case NoteView():
                self._screen.show(event)
            case list():
                self._show_lines(event)
            case _:
                assert_never(event)

    def _press(self, key: str) -> None:
        if self._prompt is not None:
            if self._prompt.press(key):
                self._prompt = None
            if self._prompt is not None:
                self._screen.set_key_line(self._prompt.line)
            else:
                self._screen.set_key_line(KEY_LINE, narrow=NARROW_KEY_LINE)
            return
        functions = self._served.functions
        match key:
            case "o":
                self._ask(self._actions.opening(functions), "There is no function to open.")
            case "c":
                self._ask(self._actions.crons(functions), "The project has no cron.")
            case "e":
                self._ask(self._actions.events(functions), "There is no function to send an event to.")
            case "l":
                self._screen.clear()
            case _:
                return

    def _ask(self, prompt: Prompt | None, nothing: str) -> None:
        if prompt is None:
            self._screen.show(NoteView(text=nothing))
        elif prompt.is_decided:
            prompt.act()
        else:
            self._prompt = prompt
            self._screen.set_key_line(prompt.line)

    def _show_reload(self, outcome: Reloaded) -> None:
        before = {one.name: one.url for one in self._served.functions}
        self._served = outcome
        self._screen.show(ReloadView(outcome=outcome, root=self._root))
        if {one.name: one.url for one in outcome.functions} != before:
            self._screen.show(self._describe(outcome))

    def _show_lines(self, lines: Sequence[LogLine]) -> None:
        width = max((len(one.name) for one in self._served.functions), default=0)
        today = datetime.now().astimezone().date().isoformat()
        for group in self._grouper.read(lines):
            for view in _views(group, width, today):
                self._screen.show(view)


def _views(group: OutputGroup, width: int, today: str) -> list[View]:
    first = group.lines[0].line
    if group.traceback is not None:
        messages = [one.line.message for one in group.lines]
        return [TracebackView(function=first.function, traceback=group.traceback, lines=messages)]
    if (response := read_response(first)) is not None:
        return [ResponseView(line=first, response=response, name_width=width)]
    return [OutputLineView(view=LogLineView(entry=one, name_width=width, today=today)) for one in group.lines]
