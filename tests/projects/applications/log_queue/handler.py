"""Logs through a queue and a thread."""

import io
import logging
import logging.handlers
import queue

stream = io.StringIO()
messages = queue.Queue()


def handle(event, context):
    listener = logging.handlers.QueueListener(messages, logging.StreamHandler(stream))
    logger = logging.getLogger("queued")
    logger.addHandler(logging.handlers.QueueHandler(messages))
    listener.start()
    logger.warning("slow")
    listener.stop()
    return {"body": stream.getvalue()}
