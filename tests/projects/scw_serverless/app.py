import os

from scw_serverless import Serverless

app = Serverless("NAMESPACE", env={"SHARED": "everywhere"}, secret={"SHARED_KEY": "hidden"})


@app.func(privacy="public", env={"GREETING": "hello"}, secret={"TOKEN": "s3cret"}, memory_limit=256, timeout="30s")
def hello_world(event, context):
    """Says hello."""
    seen = [os.environ[name] for name in ("GREETING", "TOKEN", "SHARED", "SHARED_KEY")]
    return {"statusCode": 200, "body": " ".join([*seen, event["path"]])}


@app.schedule("*/5 * * * *", inputs={"table": "orders"}, privacy="private")
def clean_up(event, context):
    return {"statusCode": 200, "body": "clean"}
