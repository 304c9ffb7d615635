import os


def hello(event, context):
    seen = [os.environ[name] for name in ("GREETING", "TOKEN", "SHARED", "SHARED_KEY")]
    return {"statusCode": 200, "body": " ".join([*seen, event["path"]])}


def closed(event, context):
    print("closed was called")
    return {"statusCode": 200, "body": "in"}
