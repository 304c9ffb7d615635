import pytest
from fnkit.testing import call, make_event

from main import on_order


def test_an_order_is_priced(capsys: pytest.CaptureFixture[str]) -> None:
    response = call(on_order, make_event(json_body={"id": 7, "lines": [{"sku": "TEA", "quantity": 3}]}))
    assert response.json() == {"id": 7, "total": 1350}
    assert capsys.readouterr().out == "order 7: 13.50 €\n"


def test_what_nobody_sells_is_refused() -> None:
    response = call(on_order, make_event(json_body={"id": 8, "lines": [{"sku": "HAT", "quantity": 1}]}))
    assert (response.status, response.text) == (422, "nobody sells HAT")
