"""Runs, records, cleans up and says what it cost."""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fnkit.client import EndpointOverrides, resolve_endpoint
from fnkit.errors import FnkitError
from tests.scaleway.recording import LeakError
from tests.scaleway.run import ScalewayRun, Usage
from tests.support.source_tree import REPOSITORY

RECORDINGS: Final = REPOSITORY / "tests" / "conformance" / "recordings"

_NEEDED: Final = ("SCW_SECRET_KEY", "SCW_DEFAULT_PROJECT_ID")
_EUROS_PER_REQUEST: Final = 0.15 / 1_000_000
_EUROS_PER_GB_SECOND: Final = 1.20 / 100_000
_PRICES: Final = (
    "€0.15 per million calls, €1.20 per 100,000 GB-s, before the free tier "
    "(https://www.scaleway.com/en/docs/serverless-functions/faq/, 2025-09-24)"
)
_PROJECT: Final = "00000000-0000-4000-8000-000000000001"
_ORGANIZATION: Final = "00000000-0000-4000-8000-000000000002"


def main(arguments: Sequence[str], environ: Mapping[str, str], write: Callable[[str], None]) -> int:
    """Run the program.

    Args:
        arguments: The command line, without the program's name.
        environ: The environment, which has the credentials.
        write: Called with each line of output.

    Returns:
        0: done; 1: a step or the cleanup failed; 2: no credentials; 130: interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.scaleway", description=__doc__)
    parser.add_argument("--output", type=Path, default=RECORDINGS, help="folder of the recording")
    parser.add_argument("--runtime", default="python313")
    options = parser.parse_args(arguments)
    if missing := [name for name in _NEEDED if not environ.get(name)]:
        write(f"Set {' and '.join(missing)} (and SCW_DEFAULT_REGION, if it is not fr-par) to record the real API.")
        return 2
    try:
        endpoint = resolve_endpoint(EndpointOverrides(), environ)
    except FnkitError as error:
        write(f"error: {error.message}")
        return 2
    began = time.monotonic()
    run = ScalewayRun(endpoint, options.runtime, write)
    code = _run_and_clean_up(run, write)
    try:
        path = _write_recording(run, options.output, environ, is_complete=code == 0)
    except LeakError as error:
        write(f"error: {error}")
        return 1
    write(f"Recorded {run.transport.exchanges} requests in {time.monotonic() - began:.0f} s: {path}")
    write(_cost(run.usage))
    return code


def _run_and_clean_up(run: ScalewayRun, write: Callable[[str], None]) -> int:
    """Return the exit code. However the run ends, what it created is deleted, and what is left is named."""
    code = 0
    try:
        run.run()
    except KeyboardInterrupt:
        write("Interrupted.")
        code = 130
    except FnkitError as error:
        write(f"error: {error.message}")
        code = 1
    finally:
        with _signals_ignored():
            left = list(run.clean_up())
        for what in left:
            write(f"Left, please delete it: {what}")
    if left:
        return code or 1
    write("Nothing is left but, perhaps, the empty registry namespace of the functions namespace.")
    return code


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Let nothing interrupt the cleanup; all its waits end by themselves."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_recording(run: ScalewayRun, folder: Path, environ: Mapping[str, str], *, is_complete: bool) -> Path:
    """Write the recording without anything private, and return its path.

    Raises:
        LeakError: Something private would be in it.
    """
    text = run.transport.render(_private_values(run, environ))
    today = dt.datetime.now(dt.UTC).date().isoformat()
    suffix = "" if is_complete else "-incomplete"
    path = folder / f"scaleway-{run.endpoint.region}-{today}-{run.namespace[-8:]}{suffix}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _private_values(run: ScalewayRun, environ: Mapping[str, str]) -> dict[str, str]:
    bodies = [entry["response_body"] for entry in run.transport.entries]
    organizations = {
        str(body["organization_id"]) for body in bodies if isinstance(body, dict) and "organization_id" in body
    }
    # The organization of a default project has the project's ID, and shows it in the recording too.
    private = dict.fromkeys(organizations, _ORGANIZATION) | {run.endpoint.project_id: _PROJECT}
    private |= {run.endpoint.secret_key: "secret-key", run.secret: "secret"}
    others = ("SCW_ACCESS_KEY", "SCW_DEFAULT_ORGANIZATION_ID")
    return {environ[name]: name for name in others if environ.get(name)} | private


def _cost(usage: Usage) -> str:
    euros = usage.calls * _EUROS_PER_REQUEST + usage.gigabyte_seconds * _EUROS_PER_GB_SECOND
    used = f"{usage.calls} calls of the function, at most {usage.gigabyte_seconds:.3f} GB-s"
    return f"Cost: {used}: €{euros:.8f} at {_PRICES}."
