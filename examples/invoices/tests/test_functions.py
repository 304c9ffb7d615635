import json

import pytest
from fnkit import Context, Event, Response

from functions import SELLER, invoices, reminders

CONTEXT: Context = {"memoryLimitInMb": 256, "functionName": "invoices", "functionVersion": ""}
INVOICE = {
    "number": "2026-005",
    "customer": "Hopper <Compilers>",
    "due": "2026-04-30",
    "lines": [{"text": "Review", "quantity": 1.5, "price": 80}, {"text": "Travel", "price": "12.35"}],
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SELLER, "LINK_KEY": "a key for tests"}.items():
        monkeypatch.setenv(name, value)


def call(method: str, path: str = "/", body: object = "") -> Response:
    text = body if isinstance(body, str) else json.dumps(body)
    event: Event = {"httpMethod": method, "path": path, "headers": {}, "queryStringParameters": {}, "body": text}
    return invoices(event, CONTEXT)


def test_an_invoice_is_made_and_its_link_shows_it() -> None:
    made = call("POST", body=INVOICE)
    assert made["statusCode"] == 201
    assert made["body"]["total"] == "158.82"
    page = call("GET", made["body"]["link"])
    assert page["statusCode"] == 200
    assert "158.82 €" in page["body"]
    assert "<svg" in page["body"]


def test_what_a_customer_is_called_cannot_change_the_page() -> None:
    page = call("GET", call("POST", body=INVOICE)["body"]["link"])["body"]
    assert "Hopper &lt;Compilers&gt;" in page
    assert "<Compilers>" not in page


def test_a_changed_link_leads_nowhere() -> None:
    link = call("POST", body=INVOICE)["body"]["link"]
    assert call("GET", f"{link}x")["statusCode"] == 404


def test_all_problems_are_told_at_once() -> None:
    refused = call("POST", body={"number": "", "due": "soon", "lines": [{"text": "Review", "price": -1}]})
    assert refused["statusCode"] == 422
    assert set(refused["body"]["problems"]) == {"number", "customer", "due", "lines[0].price"}


@pytest.mark.parametrize("body", ["", "[]", "{", "{}", "NaN"])
def test_a_body_that_is_no_invoice_is_refused(body: str) -> None:
    assert call("POST", body=body)["statusCode"] == 422


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1e9", "0.00001", True, None, []])
def test_an_amount_that_is_none_is_refused(price: object) -> None:
    refused = call("POST", body={**INVOICE, "lines": [{"text": "Review", "price": price}]})
    assert list(refused["body"]["problems"]) == ["lines[0].price"]


def test_other_methods_are_told_what_is_allowed() -> None:
    assert call("DELETE")["statusCode"] == 405


def test_reminders_name_what_is_overdue(capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"today": "2026-03-01", "grace_days": 14})
    event: Event = {"httpMethod": "POST", "path": "/", "headers": {}, "queryStringParameters": {}, "body": body}
    assert reminders(event, CONTEXT) == {"overdue": ["2026-002"]}
    assert capsys.readouterr().out == "2026-002: Noether & Filles owes 480.00 since 2026-02-01\n"
