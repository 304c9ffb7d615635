"""Pictures of what commands show, for the documentation.

Run with ``python -m tests.support.pictures``. Each picture is the output of real commands in a terminal, with the
same replacements as in the golden files, as an SVG without anything from elsewhere: no font, no address.
"""

from __future__ import annotations

import io
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path
from urllib.error import HTTPError

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.support.command import Command
from tests.support.project_tree import write_files
from tests.support.screen_world import RUNTIME, ScreenWorld, let_an_order_fail, screen_world
from tests.support.screens import normalised
from tests.support.source_tree import REPOSITORY
from tests.support.terminal import TerminalSession, terminal
from tests.support.terminal_screen import shown_text, with_marks
from tests.support.waiting import wait_until

__all__ = ["FOLDER", "PICTURES", "Picture", "main", "svg"]

FOLDER = REPOSITORY / "docs" / "pictures"
_COLUMNS = 96
_MARK = re.compile(r"‹([^›]*)›(.*?)‹/›")
_PROGRESS = re.compile(r"^  ‹green›✓ .* of \d+‹/›$")
_COUNT = re.compile(r"\d+ of \d+")
_TIME = re.compile(r"^(‹dim›)?(\d\d:\d\d:\d\d)")
_SERVED_AT = re.compile(r"is served at (http://127\.0\.0\.1:\d+)")
_MILLISECONDS = re.compile(r"(?: {2,}|\b)\d+ ms\b")  # in a column or in a sentence
_SHOWN_MILLISECONDS = "12 ms"
_DEV_PORT = re.compile(r"(?<=:)8[45]\d\d\b")
_THEME = TerminalTheme(
    (24, 26, 31),
    (213, 216, 222),
    [
        *((60, 64, 72), (240, 113, 120), (143, 200, 120), (232, 191, 106)),
        *((110, 168, 240), (205, 140, 230), (95, 200, 210), (213, 216, 222)),
    ],
)
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of commands.

    Attributes:
        name: Name of its file.
        commands: What is typed, one after the other.
        directory: Where.
        before: Prepares the world.
        play: Uses a command that waits for somebody.
        home: The data directory of its platform.
    """

    name: str
    commands: tuple[str, ...]
    directory: Callable[[ScreenWorld], Path]
    before: Callable[[ScreenWorld], None] | None = None
    play: Callable[[TerminalSession, Path], None] | None = None
    home: Callable[[ScreenWorld], Path] = field(default=lambda world: world.platform.home)


def svg(name: str, lines: Sequence[Text], title: str) -> str:
    """Return a picture of lines in a terminal."""
    console = Console(
        record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in lines:
        console.print(line, soft_wrap=False, no_wrap=False)
    drawn = console.export_svg(title=title, theme=_THEME, code_format=_SVG, unique_id=f"fnkit-{name}")
    return "\n".join(line.strip() for line in drawn.splitlines() if line.strip()) + "\n"


def _lines(picture: Picture, world: ScreenWorld) -> Iterator[Text]:
    """Run the commands of a picture, and yield what the terminal shows."""
    directory = picture.directory(world)
    environment = {"FNKIT_HOME": str(picture.home(world)), "COLORTERM": "", "TZ": "UTC"}
    for number, command in enumerate(picture.commands):
        if number:
            yield Text()
        yield Text.assemble(("$ ", "green"), (command, "bold"))
        arguments = command.split()[1:]
        with terminal(*arguments, directory=directory, columns=_COLUMNS, variables=environment) as session:
            if picture.play:
                picture.play(session, directory)
            session.wait()
            assert "Traceback" not in session.plain or picture.name in ("logs", "dev"), session.plain
            marked = [with_marks(line) for line in shown_text(session.shown)]
        text = _DEV_PORT.sub("8481", normalised("\n".join(_in_order(marked)), world.literals))
        text = _MILLISECONDS.sub(_same_width, text)
        yield from (_unmarked(_TIME.sub(r"\g<1>14:05:00", line)) for line in text.splitlines())


def _in_order(lines: Sequence[str]) -> Iterator[str]:
    """Return the lines with those of progress by name: functions are deployed at once, and finish in any order."""
    progress = [line for line in lines if _PROGRESS.match(line)]
    counts = [match[0] for line in progress if (match := _COUNT.search(line))]
    first, *rest = sorted(progress, key=lambda line: "namespace" not in line) or [""]
    ordered = [first, *sorted(rest)] if progress else []
    yield from (_COUNT.sub(count, line) for line, count in zip(ordered, counts, strict=True))
    yield from dropwhile(lambda line: bool(_PROGRESS.match(line)), lines)


def _same_width(amount: re.Match[str]) -> str:
    width = len(amount[0]) if amount[0].startswith(" ") else 0
    return f"{_SHOWN_MILLISECONDS:>{width}}"


def _unmarked(line: str) -> Text:
    text, end = Text(), 0
    for mark in _MARK.finditer(line):
        text.append(line[end : mark.start()])
        text.append(mark[2], mark[1])
        end = mark.end()
    return text.append(line[end:])


_SETTINGS = f'name = "library"\n[defaults]\nruntime = "{RUNTIME}"\n'
_MAIN = '''\
import json
import sys

from fnkit import cron, function, trigger

STOCK = {"tea": 3}


@cron("NIGHTLY", name="nightly", args={"limit": 10})
@function(memory=256, secrets=["PEPPER"], domains=["library.example.com"])
def books(event, context):
    """Serve the catalogue."""
    print("looking up", event["path"])
    print("WARNING the catalogue is a week old", file=sys.stderr)
    return {"books": 3}


@function(privacy="private")
def admin(event, context):
    """Show what only the owner may see."""
    return "only for you"


@trigger(nats="library.orders", name="orders")
@function
def on_order(event, context):
    """Handle an order."""
    order = json.loads(event["body"])
    print("order of", order["item"])
    return {"left": STOCK[order["item"]]}


@function
def search(event, context):
    """Search the catalogue."""
    return []
'''
_CHANGES = (("memory=256", "memory=512"), ('"nightly", args={"limit": 10}', '"nightly", args={"limit": 99}'))
_MORE = '''

@function
def reviews(event, context):
    """Return what readers say."""
    return []
'''
_DEV = '''\
import json

from fnkit import cron, function

PRICES = {"tea": 3, "coffee": 4}


@function(memory=128)
def orders(event, context):
    """Return what an order costs."""
    items = json.loads(event["body"])
    print("received", len(items), "items")
    return {"total": sum(PRICES[item] for item in items)}


@cron("0 3 * * *", name="nightly")
@function(memory=128)
def report(event, context):
    """Report."""
    return "ok"
'''


def _library(world: ScreenWorld) -> Path:
    return world.root / "library"


def _write_library(world: ScreenWorld) -> None:
    """Write the project of most pictures, a changed one, and let an order fail."""
    nightly = next(text for text, shown in world.literals.items() if shown.startswith("30 03"))
    main = _MAIN.replace("NIGHTLY", nightly)
    changed = main
    for before, after in _CHANGES:
        assert before in changed, before
        changed = changed.replace(before, after)
    files = {"fnkit.toml": _SETTINGS, ".env": "PEPPER=salt\n"}
    write_files(_library(world), {**files, "main.py": main})
    write_files(_changed(world), {**files, "main.py": changed.replace("def admin", "def owner") + _MORE})


def _use_library(world: ScreenWorld) -> None:
    fnkit, project = world.platform.command, _library(world)
    found = fnkit("deploy", "--local", "--json", cwd=project).ok().json()["functions"]
    world.literals[str(found[0]["domain"]).partition("-")[0]] = "libraryab1cd2ef"
    fnkit("cron", "run", "books/nightly", "--local", cwd=project).ok()
    let_an_order_fail(world, project, '{"item": "coffee"}')
    fnkit("cron", "run", "books/nightly", "--local", cwd=project).ok()


def _changed(world: ScreenWorld) -> Path:
    return world.root / "changed"


def _invalid(world: ScreenWorld) -> Path:
    return world.invalid


def _new_folder(world: ScreenWorld) -> Path:
    return world.folder("new")


def _moving_clock(world: ScreenWorld) -> Path:
    """Return the home of a platform whose clock moves, so that lines of logs have times of their own."""
    return world.root / "moving"


def _call(world: ScreenWorld) -> None:
    """Call two functions, and wait until what they printed can be read."""
    fnkit, project = Command({"FNKIT_HOME": str(_moving_clock(world))}), _library(world)

    def log() -> str:
        return fnkit("logs", "--local", cwd=project).ok().stdout

    fnkit("deploy", "--local", cwd=project).ok()
    order = ("invoke", "on-order", "--data", '{"item": "coffee"}', "--remote", "--local")
    assert fnkit(*order, cwd=project).code == 1
    wait_until(lambda: "KeyError" in log())
    fnkit("invoke", "books", "--path", "/catalogue", "--remote", "--local", cwd=project).ok()
    wait_until(lambda: "week old" in log().partition("/catalogue")[2])


def _dev_project(world: ScreenWorld) -> Path:
    return write_files(world.folder("new") / "shop", {"fnkit.toml": 'name = "shop"\n', "main.py": _DEV})


def _play_dev(session: TerminalSession, directory: Path) -> None:
    """Call a function, break it, call it again, and end the session."""
    session.wait_for("[q]")
    found = _SERVED_AT.search(session.plain)
    assert found is not None, session.plain
    url = f"{found[1]}/fr-par/shop/orders/"

    def call(status: str) -> None:
        request = urllib.request.Request(url, b'["tea", "coffee"]', method="POST")
        with suppress(HTTPError), urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
        session.wait_for(status)

    call("m200")  # with its colour
    main = directory / "main.py"
    main.write_text(main.read_text(encoding="utf-8").replace(', "coffee": 4', ""), encoding="utf-8")
    session.wait_for("reloaded")
    call("m500")
    session.type("q")


PICTURES = (
    Picture("new", ("fnkit new library",), _new_folder),
    Picture("error", ("fnkit deploy --local",), _invalid),
    Picture("deploy", ("fnkit deploy --local",), _library, before=_write_library),
    Picture("status", ("fnkit status --local",), _library, before=_use_library),
    Picture("plan", ("fnkit plan --local",), _changed),
    Picture("events", ("fnkit cron list --local", "fnkit trigger deliveries on-order --local"), _library),
    Picture("logs", ("fnkit logs --limit 8 --local",), _library, before=_call, home=_moving_clock),
    Picture("dev", ("fnkit dev",), _dev_project, play=_play_dev),
)
"""In this order: some use what those before them did."""


def _draw(picture: Picture, world: ScreenWorld, *, is_wanted: bool) -> None:
    if picture.before:
        picture.before(world)
    if is_wanted:
        drawn = svg(picture.name, list(_lines(picture, world)), picture.commands[0])
        (FOLDER / f"{picture.name}.svg").write_text(drawn, encoding="utf-8")
        sys.stdout.write(f"{picture.name}.svg  {len(drawn) / 1024:.1f} kB\n")


def main(names: Sequence[str]) -> int:
    """Draw the pictures, or those that are named."""
    FOLDER.mkdir(exist_ok=True)
    with screen_world() as world:
        try:
            for picture in PICTURES:
                _draw(picture, world, is_wanted=not names or picture.name in names)
        finally:
            Command({"FNKIT_HOME": str(_moving_clock(world))})("platform", "stop").ok()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
