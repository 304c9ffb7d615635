"""Two functions: one answers over HTTP, one runs every minute."""

import json
import platform
from datetime import UTC, datetime

import orjson
from fnkit import Context, Event, Response, cron, function


@function(memory=128)
def hello(event: Event, context: Context) -> Response:
    """Greet whoever calls: `/?name=Ada`."""
    name = event["queryStringParameters"].get("name", "world")
    greeting = {
        "message": f"Hello, {name}!",
        "at": datetime.now(UTC),
        "python": platform.python_version(),
        "orjson": orjson.__version__,
    }
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": orjson.dumps(greeting).decode(),
    }


@cron("* * * * *", args={"say": "tick"})
def heartbeat(event: Event, context: Context) -> dict[str, str]:
    """A cron POSTs its `args` as the body; what is printed goes to the function's log."""
    word = json.loads(event["body"])["say"]
    print(word)
    return {"said": word}
