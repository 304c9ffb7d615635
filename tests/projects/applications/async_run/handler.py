"""Runs coroutines to completion in each call."""

import asyncio


async def fetch(number):
    await asyncio.sleep(0)
    return number * 2


async def fetch_all(numbers):
    return await asyncio.gather(*(fetch(number) for number in numbers))


def handle(event, context):
    return {"body": asyncio.run(fetch_all(range(3)))}
