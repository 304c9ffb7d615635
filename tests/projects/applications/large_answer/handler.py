"""Answers with megabytes."""


def handle(event, context):
    return {"body": "0123456789abcdef" * 131072}
