import main
import pytest

from fnkit.testing import call, make_event


@pytest.fixture(autouse=True)
def published(monkeypatch):
    messages = []

    async def publish(subject, message):
        messages.append((subject, message))

    monkeypatch.setattr(main, "publish", publish)
    monkeypatch.setattr(main, "enqueue", lambda message: messages.append(("priced", message)))
    return messages


def test_order_is_published(published):
    response = call(main.order, make_event("POST", json_body={"item": "tea", "amount": "2"}))
    assert response.status == 202
    assert published == [("orders.new", {"item": "tea", "amount": 2})]


def test_order_without_an_item_is_refused(published):
    assert call(main.order, make_event("POST", json_body={})).status == 400
    assert not published


def test_price_is_passed_on(published):
    call(main.price, make_event("POST", json_body={"item": "tea", "amount": 2}))
    assert published == [("priced", {"item": "tea", "amount": 2, "total": 8})]
