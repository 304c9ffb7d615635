"""What the keys of ``fnkit dev`` do besides restarting and quitting, and the questions that they ask."""

from __future__ import annotations

import http.client
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from fnkit.client import FunctionsApi
from fnkit.contract.deliveries import SendMessage
from fnkit.dev.model import ServedFunction
from fnkit.errors import FnkitError

KEY_LINE: Final = "[o] open  [c] run a cron  [e] send an event  [l] clear  [r] restart  [q] quit"
NARROW_KEY_LINE: Final = "[o]pen [c]ron [e]vent [r]estart [q]uit"
_MAX_CHOICES: Final = 9
_REQUEST_SECONDS: Final = 3600.0
_ENTER: Final = ("\r", "\n")
_BACKSPACE: Final = ("\x7f", "\x08")
_ESCAPE: Final = "\x1b"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several things to do.

    Attributes:
        label: Its name.
        act: Does it, given the text that was typed.
        asks: What to ask for; empty to do it at once.
    """

    label: str
    act: Callable[[str], None]
    asks: str = ""


class Prompt:
    """A question at the bottom of the terminal, answered with single keys.

    Args:
        title: What is chosen.
        choices: At least one.
    """

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        self._title = title
        self._choices = choices[:_MAX_CHOICES]
        self._chosen = self._choices[0] if len(self._choices) == 1 else None
        self._text = ""

    @property
    def line(self) -> str:
        """The question, with the answer so far."""
        if self._chosen is not None:
            return f"{self._chosen.asks} for {self._chosen.label} (Enter sends, Esc cancels): {self._text}"
        listed = "  ".join(f"[{number}] {one.label}" for number, one in enumerate(self._choices, 1))
        return f"{self._title}: {listed}  [Esc] cancel"

    @property
    def is_decided(self) -> bool:
        """Whether nothing has to be asked."""
        return self._chosen is not None and not self._chosen.asks

    def press(self, key: str) -> bool:
        """Handle a key; return whether the question is over."""
        if key == _ESCAPE:
            return True
        if self._chosen is None:
            number = int(key) - 1 if key.isdecimal() else -1
            if not 0 <= number < len(self._choices):
                return False
            self._chosen = self._choices[number]
            if not self._chosen.asks:
                self.act()
                return True
            return False
        if key in _ENTER:
            self.act()
            return True
        self._text = self._text[:-1] if key in _BACKSPACE else self._text + (key if key.isprintable() else "")
        return False

    def act(self) -> None:
        """Do what was chosen."""
        if self._chosen is not None:
            self._chosen.act(self._text)


class DevActions:
    """Opens functions, runs crons and sends events. What takes time runs in threads.

    Args:
        api: The API of the session's platform.
        note: Called with a sentence for the user, from any thread.
    """

    def __init__(self, api: FunctionsApi, note: Callable[[str], None]) -> None:
        self._api = api
        self._note = note

    def opening(self, functions: Sequence[ServedFunction]) -> Prompt | None:
        """Return the question which function to open in the browser."""
        return _prompt("open", [Choice(one.name, self._opener(one)) for one in functions])

    def crons(self, functions: Sequence[ServedFunction]) -> Prompt | None:
        """Return the question which cron to run."""
        choices = [
            Choice(f"{one.name}/{name}", self._runner(f"{one.name}/{name}", cron_id))
            for one in functions
            for name, cron_id in one.crons
        ]
        return _prompt("run", choices)

    def events(self, functions: Sequence[ServedFunction]) -> Prompt | None:
        """Return the question where to send an event: a message to a trigger, or a request to a function."""
        choices = [
            Choice(f"{one.name}/{name}", self._sender(name, trigger_id, address), "message")
            for one in functions
            for name, trigger_id, address in one.triggers
        ]
        choices += [
            Choice(one.name, self._requester(one), "body of a POST, empty for a GET")
            for one in functions
            if not one.triggers
        ]
        return _prompt("send to", choices)

    def _opener(self, function: ServedFunction) -> Callable[[str], None]:
        def open_url(_text: str) -> None:
            self._in_background(lambda: webbrowser.open(function.url))

        return open_url

    def _runner(self, name: str, cron_id: str) -> Callable[[str], None]:
        def run(_text: str) -> None:
            self._note(f"Running the cron {name}.")
            self._in_background(lambda: self._api.deliveries.run_cron(cron_id))

        return run

    def _sender(self, name: str, trigger_id: str, address: str) -> Callable[[str], None]:
        def send(text: str) -> None:
            subject = address.replace("*", "test").replace(">", "test")
            message = SendMessage(body=text, subject=subject if subject != address else None)
            self._note(f"Sending a message to the trigger {name}.")
            self._in_background(lambda: self._api.deliveries.send_message(trigger_id, message))

        return send

    def _requester(self, function: ServedFunction) -> Callable[[str], None]:
        def send(text: str) -> None:
            self._in_background(lambda: self._request(function, text))

        return send

    def _request(self, function: ServedFunction, body: str) -> None:
        """Send a request to a function. Its response is shown by the line that the platform logs."""
        url = urlsplit(function.path_url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=_REQUEST_SECONDS)
        headers = {"X-Auth-Token": self._api.endpoint.secret_key} if function.is_private else {}
        try:
            connection.request("POST" if body else "GET", url.path, body=body.encode() or None, headers=headers)
            content = connection.getresponse().read(_SHOWN_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self._note(f"{function.name} could not be reached: {error}.")
        else:
            self._note(f"{function.name}: {content.decode('utf-8', 'replace')}")
        finally:
            connection.close()

    def _in_background(self, work: Callable[[], object]) -> None:
        def run() -> None:
            try:
                work()
            except FnkitError as error:
                self._note(f"{error.message} {error.hint or ''}".rstrip())

        threading.Thread(target=run, name="action", daemon=True).start()


_SHOWN_BYTES: Final = 2000


def _prompt(title: str, choices: Sequence[Choice]) -> Prompt | None:
    return Prompt(title, choices) if choices else None
