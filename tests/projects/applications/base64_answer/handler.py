"""Answers with an image."""

import base64

PIXEL = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00"


def handle(event, context):
    body = base64.b64encode(PIXEL).decode()
    return {"statusCode": 201, "headers": {"Content-Type": "image/gif"}, "body": body, "isBase64Encoded": True}
