"""Decodes a body that is base64."""

import base64


def handle(event, context):
    return {"body": [event["isBase64Encoded"], base64.b64decode(event["body"]).decode()]}
