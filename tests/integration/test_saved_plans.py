"""A plan that is saved in the project directory is not part of the archive."""

from __future__ import annotations

from pathlib import Path

from fnkit.bundler.files.selection import select_files
from fnkit.plan import Plan
from fnkit.plan.model import encode_plan


def test_saved_plan_is_excluded_and_other_json_is_not(tmp_path: Path) -> None:
    plan = Plan(api_url="", region="", project_id="", project="", stage="", namespace="", changes=())
    (tmp_path / "plan.json").write_bytes(encode_plan(plan))
    (tmp_path / "data.json").write_text('{"fnkit": "data"}')
    (tmp_path / "main.py").write_text("")
    assert select_files(tmp_path) == ("data.json", "main.py")
