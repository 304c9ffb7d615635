from pathlib import Path

import pytest

from tests.support.commit_subject import main, problem_of


@pytest.mark.parametrize(
    ("subject", "valid"),
    [
        ("queues: retry acks after reconnect", True),
        ("data_plane/gateway: bound the request head", True),
        ("Merge branch 'main'", True),
        ("Retry acks after reconnect", False),
        ("queues: retry acks after reconnect.", False),
        ("queues: " + "x" * 65, False),
    ],
)
def test_commit_subject_has_an_area_and_at_most_72_characters(subject: str, *, valid: bool) -> None:
    assert (problem_of(subject) is None) is valid


def test_hook_rejects_an_invalid_subject(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = tmp_path / "MESSAGE"
    message.write_text("fix stuff\n\nA body.\n", encoding="utf-8")
    assert main(str(message)) == 1
    assert "area prefix" in capsys.readouterr().err
