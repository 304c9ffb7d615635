"""Shares objects between processes through a manager."""

import multiprocessing


def fill(shared):
    shared["answer"] = 42


def handle(event, context):
    try:
        with multiprocessing.get_context("fork").Manager() as manager:
            shared = manager.dict()
            process = multiprocessing.get_context("fork").Process(target=fill, args=(shared,))
            process.start()
            process.join()
            return {"body": dict(shared)}
    except (OSError, EOFError) as error:
        return {"body": type(error).__name__}
