import json

import pytest
from fnkit import Context, Event

from main import on_order

CONTEXT: Context = {"memoryLimitInMb": 128, "functionName": "on-order", "functionVersion": ""}


def message(order: object) -> Event:
    return {
        "httpMethod": "POST",
        "path": "/",
        "headers": {},
        "queryStringParameters": {},
        "body": json.dumps(order),
    }


def test_an_order_is_priced(capsys: pytest.CaptureFixture[str]) -> None:
    answer = on_order(message({"id": 7, "lines": [{"sku": "TEA", "quantity": 3}]}), CONTEXT)
    assert json.loads(answer["body"]) == {"id": 7, "total": 1350}
    assert capsys.readouterr().out == "order 7: 13.50 €\n"


def test_what_nobody_sells_is_refused() -> None:
    answer = on_order(message({"id": 8, "lines": [{"sku": "HAT", "quantity": 1}]}), CONTEXT)
    assert (answer["statusCode"], answer["body"]) == (422, "nobody sells HAT")
