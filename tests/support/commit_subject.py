"""Check the subject of a commit message: an area, a colon, an imperative, at most 72 characters."""

from __future__ import annotations

import re
import sys
from pathlib import Path

SUBJECT = re.compile(r"^[a-z][a-z0-9_./, -]*: \S.*[^.]$")
LENGTH_MAX = 72
EXEMPT = ("Merge ", "Revert ", "fixup! ", "squash! ")


def problem_of(subject: str) -> str | None:
    """Return what is wrong with the subject, or ``None``."""
    if subject.startswith(EXEMPT):
        return None
    if len(subject) > LENGTH_MAX:
        return f"the subject has {len(subject)} characters; the limit is {LENGTH_MAX}"
    if not SUBJECT.match(subject):
        return "the subject needs an area prefix and no final full stop: `queues: retry acks after reconnect`"
    return None


def main(path: str) -> int:
    """Check the message in the file that git passes to the commit-msg hook."""
    subject = Path(path).read_text(encoding="utf-8").split("\n", maxsplit=1)[0]
    problem = problem_of(subject)
    if problem is not None:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201 - the output of a hook
    return problem is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
