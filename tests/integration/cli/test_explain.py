"""``fnkit explain``: the table of error codes, offline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.error_page import TABLE


def test_code_is_explained(fnkit: Command) -> None:
    done = fnkit("explain", "bad-schedule").ok()
    assert done.stdout == (
        "bad-schedule\n\nMeaning\n  A schedule does not consist of five valid UNIX cron fields.\n\nWhat to do\n"
        "  Minute, hour, day of month, month, day of week; operators * - , /; names JAN-DEC and SUN-SAT; in UTC.\n"
    )


@pytest.mark.parametrize("shown", ["error[bad-schedule]:", "error[bad-schedule]", "problem[bad-schedule]:"])
def test_code_is_found_as_an_error_shows_it(fnkit: Command, shown: str) -> None:
    assert fnkit("explain", shown, "--json").ok().json() == {
        "code": "bad-schedule",
        **json.loads(TABLE.read_text())["bad-schedule"],
    }


def test_list_has_every_code_of_the_page(fnkit: Command) -> None:
    codes = fnkit("explain", "--json").ok().json()["codes"]
    assert {one["code"]: {key: one[key] for key in ("meanings", "remedies")} for one in codes} == json.loads(
        TABLE.read_text()
    )
    assert len(fnkit("explain").ok().stdout.splitlines()) == len(codes) + 1, "a row for each code, and the heading"


def test_unknown_code_is_refused_with_the_closest(fnkit: Command) -> None:
    done = fnkit("explain", "bad-shedule")
    assert done.code == 2
    assert done.stderr.startswith(
        "error[unknown-code]: There is no error code bad-shedule.\n  hint: Did you mean bad-schedule"
    )


def test_code_in_an_error_can_be_explained(fnkit: Command, tmp_path: Path) -> None:
    failed = fnkit("scan", cwd=tmp_path)
    code = failed.stderr.partition("]")[0].partition("[")[2]
    assert code == "no-settings"
    assert "neither fnkit.toml" in fnkit("explain", code).ok().stdout
