import pytest
from fnkit.testing import HttpResponse, call, make_event

from functions import SELLER, invoices, reminders

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


def make(invoice: object) -> HttpResponse:
    return call(invoices, make_event(json_body=invoice))


def test_an_invoice_is_made_and_its_link_shows_it() -> None:
    made = make(INVOICE)
    assert made.status == 201
    assert made.json()["total"] == "158.82"
    page = call(invoices, make_event(made.json()["link"]))
    assert page.status == 200
    assert "158.82 €" in page.text
    assert "<svg" in page.text


def test_what_a_customer_is_called_cannot_change_the_page() -> None:
    page = call(invoices, make_event(make(INVOICE).json()["link"])).text
    assert "Hopper &lt;Compilers&gt;" in page
    assert "<Compilers>" not in page


def test_a_changed_link_leads_nowhere() -> None:
    link = make(INVOICE).json()["link"]
    assert call(invoices, make_event(f"{link}x")).status == 404


def test_all_problems_are_told_at_once() -> None:
    refused = make({"number": "", "due": "soon", "lines": [{"text": "Review", "price": -1}]})
    assert refused.status == 422
    assert set(refused.json()["problems"]) == {"number", "customer", "due", "lines[0].price"}


@pytest.mark.parametrize("body", ["", "[]", "{", "{}", "NaN"])
def test_a_body_that_is_no_invoice_is_refused(body: str) -> None:
    assert call(invoices, make_event(method="POST", body=body)).status == 422


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1e9", "0.00001", True, None, []])
def test_an_amount_that_is_none_is_refused(price: object) -> None:
    refused = make({**INVOICE, "lines": [{"text": "Review", "price": price}]})
    assert list(refused.json()["problems"]) == ["lines[0].price"]


def test_other_methods_are_told_what_is_allowed() -> None:
    assert call(invoices, make_event(method="DELETE")).status == 405


def test_reminders_name_what_is_overdue(capsys: pytest.CaptureFixture[str]) -> None:
    event = make_event(json_body={"today": "2026-03-01", "grace_days": 14})
    assert call(reminders, event).json() == {"overdue": ["2026-002"]}
    assert capsys.readouterr().out == "2026-002: Noether & Filles owes 480.00 since 2026-02-01\n"
