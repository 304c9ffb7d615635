"""Looks at services every minute, and remembers what it saw."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from fnkit import Context, Event, Response, cron, function

STATE = Path("/tmp/probe.json")
ATTEMPTS = 3
calls = 0


def load() -> dict[str, list[int]]:
    """Return the statuses seen by this instance, by target."""
    return json.loads(STATE.read_text()) if STATE.exists() else {}


def status_of(url: str) -> int:
    """Return the status of a URL, 0 if nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def probe(url: str) -> int:
    """Return the first good status in a few attempts, or the last bad one."""
    status = 0
    for _ in range(ATTEMPTS):
        status = status_of(url)
        if status == 200:
            break
        time.sleep(0.01)
    return status


@cron("* * * * *", name="every-minute", args={"targets": {}})
@function(memory=128, max_scale=1)
def check(event: Event, context: Context) -> dict[str, int]:
    """Probe the targets of the cron, and print what changed."""
    targets = json.loads(event["body"])["targets"]
    seen = load()
    found = {}
    for name, url in sorted(targets.items()):
        found[name] = probe(url)
        before = seen.setdefault(name, [])
        if not before or before[-1] != found[name]:
            print(f"{name}: {before[-1] if before else 'new'} -> {found[name]}")
        before.append(found[name])
    STATE.write_text(json.dumps(seen))
    print(f"checked {len(found)} targets")
    return found


@function(memory=128, max_scale=1)
def flaky(event: Event, context: Context) -> Response:
    """Fail two of three requests."""
    global calls
    calls += 1
    return {"statusCode": 200 if calls % 3 == 0 else 503, "body": f"call {calls}"}


@function(memory=128)
def health(event: Event, context: Context) -> Response:
    """Answer."""
    return {"statusCode": 200, "body": "healthy"}
