"""Computes in a pool of processes."""

from concurrent.futures import ProcessPoolExecutor


def square(number):
    return number * number


def handle(event, context):
    try:
        with ProcessPoolExecutor(2) as pool:
            return {"body": list(pool.map(square, range(4)))}
    except OSError as error:
        return {"body": type(error).__name__}
