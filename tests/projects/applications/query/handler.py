"""Answers with what it was asked."""


def handle(event, context):
    return {"body": [event["httpMethod"], event["path"], event["queryStringParameters"]]}
