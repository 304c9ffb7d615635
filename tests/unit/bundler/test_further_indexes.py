"""Which index, with which credentials, a file of a lock is fetched from."""

from __future__ import annotations

import pytest

from fnkit.bundler.dependencies.further_indexes import find_index

SETTINGS = {
    "index": [
        {"name": "team-a", "url": "https://host.test/a/simple", "explicit": True},
        {"name": "team.b", "url": "https://host.test/b/simple"},
        {"url": "https://unnamed.test/simple"},
    ],
    "extra-index-url": ["https://extra.test/simple"],
}


@pytest.mark.parametrize(
    ("url", "environ", "index"),
    [
        ("https://host.test/a/x.whl", {}, "https://host.test/a/simple"),
        ("https://host.test/b/x.whl", {}, "https://host.test/b/simple"),
        ("https://host.test/files/x.whl", {}, "https://host.test/a/simple"),
        ("https://unnamed.test/x.whl", {"UV_INDEX__PASSWORD": "word"}, "https://unnamed.test/simple"),
        ("https://extra.test/x.whl", {}, "https://extra.test/simple"),
        ("https://other.test/x.whl", {}, None),
        ("https://host.test:8443/a/x.whl", {}, None),
        ("https://host.test/b/x.whl", {"UV_INDEX_TEAM_B_PASSWORD": "a/b"}, "https://:a%2Fb@host.test/b/simple"),
        (
            "https://host.test/a/x.whl",
            {"UV_INDEX": "https://u:p@host.test/a/simple"},
            "https://u:p@host.test/a/simple",
        ),
        (
            "https://env.test/x.whl",
            {"UV_INDEX": "https://x.test env=https://env.test/s?a=b"},
            "https://env.test/s?a=b",
        ),
        ("https://env.test/x.whl", {"UV_EXTRA_INDEX_URL": "https://env.test/a=b/"}, "https://env.test/a=b/"),
    ],
)
def test_index_of_a_file(url: str, environ: dict[str, str], index: str | None) -> None:
    assert find_index(url, SETTINGS, environ) == index


def test_user_and_password_are_those_of_the_index() -> None:
    environ = {
        "UV_INDEX_TEAM_A_USERNAME": "some one",
        "UV_INDEX_TEAM_A_PASSWORD": "p@ss",
        "UV_INDEX_TEAM_B_USERNAME": "x",
    }
    assert (
        find_index("https://host.test/a/x.whl", SETTINGS, environ) == "https://some%20one:p%40ss@host.test/a/simple"
    )
