"""Every folder name yields a project name that the platform accepts."""

import re

from hypothesis import given
from hypothesis import strategies as st

from fnkit.scaffold import project_name

RULE = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@given(st.text())
def test_any_folder_name_yields_a_valid_project_name(folder: str) -> None:
    name = project_name(folder)
    assert RULE.fullmatch(name)
    assert len(name) <= 40


@given(st.text())
def test_project_name_is_idempotent(folder: str) -> None:
    assert project_name(project_name(folder)) == project_name(folder)
