"""Reads a form with a file, as a browser sends it."""

import email.policy
from email.parser import BytesParser


def handle(event, context):
    head = f"Content-Type: {event['headers']['Content-Type']}\r\n\r\n"
    message = BytesParser(policy=email.policy.HTTP).parsebytes((head + event["body"]).encode())
    return {"body": [[part.get_param("name", header="Content-Disposition"), part.get_filename(),
                      part.get_payload(decode=True).decode()] for part in message.iter_parts()]}
