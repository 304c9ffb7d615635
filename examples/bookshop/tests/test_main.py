from fnkit.testing import call, make_event

from main import book, books, forget_orders, order


def test_books_are_found_by_title() -> None:
    assert call(books, make_event("/?search=E&limit=2")).json() == [
        {"number": 1, "title": "Emma", "cents": 990},
        {"number": 2, "title": "Persuasion", "cents": 850},
    ]


def test_unknown_book_is_404() -> None:
    assert call(book, make_event("/books/2")).json() == {"number": 2, "title": "Persuasion", "cents": 850}
    response = call(book, make_event("/books/9"))
    assert (response.status, response.json()) == (404, {"detail": "there is no book 9"})


def test_order_is_priced_and_posted() -> None:
    placed = {"customer": "Ada", "lines": [{"number": 1, "amount": 2}]}
    assert call(order, make_event(json_body=placed)).json() == {"customer": "Ada", "cents": 2280}
    voucher = make_event(json_body=placed, headers={"X-Voucher": "FREE"})
    assert call(order, voucher).json() == {"customer": "Ada", "cents": 1980}


def test_every_fault_of_an_order_is_named() -> None:
    response = call(order, make_event(json_body={"lines": [{"number": "1"}, {"number": 1, "amount": 0}]}))
    assert response.status == 422
    assert [fault["loc"] for fault in response.json()["detail"]] == [
        ["body", "customer"],
        ["body", "lines", 0, "number"],
        ["body", "lines", 1],
    ]


def test_cron_passes_its_arguments() -> None:
    assert call(forget_orders, make_event(json_body={"days": 90})).text == "forgot orders older than 90 days"
