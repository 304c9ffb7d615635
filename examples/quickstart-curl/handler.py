import os


def handle(event, context):
    """Answer with the greeting of the function's environment."""
    name = event.get("queryStringParameters", {}).get("name", "world")
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain"},
        "body": f"{os.environ['GREETING']}, {name}!",
    }
