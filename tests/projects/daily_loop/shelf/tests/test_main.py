import main
import pytest

from fnkit.testing import call, make_event


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "DATABASE", tmp_path / "shelf.sqlite")
    monkeypatch.setenv("ADMIN_PEPPER", "salt")


def test_book_can_be_added_and_read():
    added = call(main.add, make_event("POST", json_body={"title": "Dune", "pages": 412}))
    assert added.status == 201
    assert call(main.books, make_event(path="/1")).json()["title"] == "Dune"


def test_book_without_pages_is_rejected():
    assert call(main.add, make_event("POST", json_body={"title": "Dune"})).status == 422


@pytest.mark.parametrize(("key", "status"), [("salt", 200), ("sugar", 403)])
def test_admin_needs_the_key(key, status):
    assert call(main.admin, make_event(query={"key": key})).status == status
