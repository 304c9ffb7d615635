"""`make demo`: a platform of its own, two functions deployed, one called, one seen to have run by the clock.

Then one function of each other language whose toolchain is on this machine.

Everything lives in a temporary folder and on free ports, and is gone afterwards, also after Ctrl-C.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

EXAMPLES = Path(__file__).resolve().parent
FNKIT = str(Path(sys.executable).with_name("fnkit"))
IGNORED = shutil.ignore_patterns("__pycache__", ".*_cache", ".fnkit", ".venv", "*.lock", "target")
SPEED = 60
PATIENCE = 60.0  # seconds for the cron to be seen; on this clock it is due every second
LANGUAGES = (  # of examples/polyglot: language, program that it needs, function, request
    ("Node", "node", "receipt", "?shop=Café&item=Coffee:2.40"),
    ("PHP", "php", "price", "?amount=1234.5&country=fr"),
    ("Go", "go", "iban", "?number=FR7630006000011234567890189"),
    ("Rust", "cargo", "barcode", "?digits=401234567890"),
)
SHOWN = 70  # characters of a response

console = Console(highlight=False, soft_wrap=True)
# The demo's own servers are on loopback: a proxy in the environment has no business there.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoFailed(Exception):
    """A step did not work; the message says which command, and what it answered."""


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    console.print("\n[bold]fnkit[/]: from a decorated handler to an answer, on this machine\n")
    try:
        with tempfile.TemporaryDirectory(prefix="fnkit-demo-") as folder:
            show(Path(folder))
    except DemoFailed as error:
        console.print(Text(f"  ✗ {error}", style="red"))
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130
    return 0


def show(folder: Path) -> None:
    project = folder / "hello"
    shutil.copytree(EXAMPLES / "hello", project, ignore=IGNORED)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCW_")}
    environment["FNKIT_HOME"] = str(folder / "platform")

    def fnkit(*arguments: str) -> dict:
        return run(arguments, project, environment)

    try:
        with step("a platform, with a clock that runs 60 times as fast", "fnkit platform start"):
            platform = fnkit(
                "platform", "start", "--detach", "--api-port=0", "--gateway-port=0", f"--clock-speed={SPEED}"
            )
        with step("two functions, with the compiled wheel that one needs", "fnkit deploy --local"):
            functions = {one["name"]: one for one in fnkit("deploy", "--local", "--yes")["functions"]}
        with step("deployed again: nothing has changed, nothing is sent", "fnkit deploy --local"):
            again = fnkit("deploy", "--local", "--yes")
            if again["uploaded_bytes"]:
                raise DemoFailed(f"an unchanged project sent {again['uploaded_bytes']} bytes")
        hello = functions["hello"]["url"]
        with step("hello answers", f"GET {hello}?name=Ada"):
            answer = get(f"{hello}?name=Ada")
        console.print(Text(f"      {json.dumps(answer)}", style="cyan"))
        with step("heartbeat has run by itself", "every minute of that clock"):
            firing = first_firing(platform)
        console.print(
            Text(f"      POST {firing['body']} at {firing['at'][:19]} → {firing['http_status']}", style="cyan")
        )
        show_languages(folder / "polyglot", environment)
        tell_more(platform, hello)
        wait_for_reader()
    finally:
        stop(project, environment)


def show_languages(project: Path, environment: dict[str, str]) -> None:
    """Deploy and call a function of each language whose toolchain is here."""
    shutil.copytree(EXAMPLES / "polyglot", project, ignore=IGNORED)
    for language, program, name, request in LANGUAGES:
        if shutil.which(program) is None:
            console.print(Text(f"  – {language} is not shown: there is no {program} on PATH", style="dim"))
            continue
        try:
            with step(f"{name}, in {language}", f"fnkit deploy --local {name}"):
                deployed = run(("deploy", "--local", "--yes", name), project, environment)["functions"]
                url = next(one["url"] for one in deployed if one["name"] == name)
                answer = fetch(url + urllib.parse.quote(request, safe="?&=:")).decode()
        except DemoFailed as error:  # without a network, crates cannot be downloaded
            console.print(Text(f"  – {language} could not be shown: {error}", style="yellow"))
            continue
        shown = " ".join(answer.split())
        console.print(Text(f"      {shown[:SHOWN]}{'…' if len(shown) > SHOWN else ''}", style="cyan"))


def run(arguments: tuple[str, ...], folder: Path, environment: dict[str, str]) -> dict:
    """Run a fnkit command and return its JSON answer."""
    command = [FNKIT, *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    if done.returncode:
        faults = answer.get("problems") or [answer.get("error") or {"message": done.stderr.strip()[-2000:]}]
        told = "; ".join(" ".join(filter(None, (fault["message"], fault.get("hint")))) for fault in faults)
        raise DemoFailed(f"`fnkit {' '.join(arguments)}` ended with {done.returncode}: {told}")
    return answer


def first_firing(platform: dict) -> dict:
    """Wait until the cron has fired once, and return what the platform noted about it."""
    api = f"{platform['api_url']}/functions/v1beta1/regions/fr-par"
    crons: list[dict] = []
    for function in get(f"{api}/functions", platform)["functions"]:
        crons += get(f"{api}/crons?function_id={function['id']}", platform)["crons"]
    history = f"{platform['api_url']}/fnkit/v1/regions/fr-par/crons/{crons[0]['id']}/history"

    def done() -> dict | None:
        deliveries = get(history, platform)["deliveries"]
        return next((one for one in deliveries if one["status"] == "succeeded"), None)

    return until(done)


def until(look: Callable[[], dict | None]) -> dict:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise DemoFailed(f"the cron has not fired within {PATIENCE:.0f} seconds")


def get(url: str, platform: dict | None = None) -> dict:
    """GET a JSON document; with ``platform``, from its API."""
    try:
        return json.loads(fetch(url, {"X-Auth-Token": platform["secret_key"]} if platform else {}))
    except ValueError as error:
        raise DemoFailed(f"GET {url}: {error}") from error


def fetch(url: str, headers: dict[str, str] | None = None) -> bytes:
    """GET the body of a response."""
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - an address that fnkit itself gave
    try:
        with direct.open(request, timeout=30) as response:
            return response.read()
    except OSError as error:
        raise DemoFailed(f"GET {url}: {error}") from error


@contextmanager
def step(title: str, how: str) -> Iterator[None]:
    """One line: what was done, how long it took, what one would type."""
    started = time.perf_counter()
    with console.status(f"  {title} …"):
        yield
    seconds = time.perf_counter() - started
    line = Text.assemble(("  ✓ ", "green"), (f"{title:<58}", "bold"), f"{_time(seconds):>8}   ", (how, "dim"))
    console.print(line)


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def tell_more(platform: dict, hello: str) -> None:
    console.print()
    for name, url in (("hello", hello), ("API", platform["api_url"]), ("gateway", platform["gateway_url"])):
        console.print(Text.assemble(f"  {name:<9}", (url, "underline")))
    console.print("\n  Try next:")
    lines = [
        "fnkit new shop && cd shop && fnkit deploy --local",
        "fnkit platform stop     # --local keeps its platform running until then",
        "fnkit --help",
    ]
    if Path(FNKIT).is_relative_to(Path.cwd()):
        lines.insert(0, f"source {Path(FNKIT).parent.relative_to(Path.cwd())}/activate")
    for line in lines:
        console.print(Text(f"    {line}", style="bold"))


def wait_for_reader() -> None:
    """Keep the URLs alive for whoever sits at this terminal; a program that runs the demo is not kept waiting."""
    if sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI"):
        with suppress(EOFError):  # Ctrl-D, or the end of the terminal's input
            console.input("\n  The URLs answer until you press Enter. ")


def stop(project: Path, environment: dict[str, str]) -> None:
    """Stop the platform; a second Ctrl-C does not leave it running."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run(("platform", "stop"), project, environment)
    finally:
        signal.signal(signal.SIGINT, previous)


if __name__ == "__main__":
    sys.exit(main())
