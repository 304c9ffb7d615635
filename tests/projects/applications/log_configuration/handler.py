"""Configures logging by a dictionary, with a formatter of its own that writes JSON."""

import io
import json
import logging.config

stream = io.StringIO()


class JsonFormatter(logging.Formatter):
    def format(self, record):
        fields = {"level": record.levelname, "text": record.getMessage(), "file": record.filename}
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info).splitlines()[-1]
        return json.dumps(fields)


logging.config.dictConfig({
    "version": 1,
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stream": {"class": "logging.StreamHandler", "formatter": "json", "stream": stream}},
    "loggers": {"shop": {"handlers": ["stream"], "level": "INFO"}},
})


def handle(event, context):
    logger = logging.getLogger("shop")
    logger.debug("hidden")
    logger.info("order %d", 7)
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("failed")
    return {"body": [json.loads(line) for line in stream.getvalue().splitlines()]}
