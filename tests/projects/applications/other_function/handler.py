"""Calls another function through the gateway."""

import json
import os
import urllib.request


def handle(event, context):
    target = json.loads(event["body"])
    request = urllib.request.Request(target["url"] + "/from-a-function", headers={"Host": target["host"]})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return {"body": [answer.status, json.load(answer)]}
