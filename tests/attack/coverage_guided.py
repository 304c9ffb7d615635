"""``python -m tests.attack.coverage_guided PARSER [--seconds N]``: fuzzes a parser with atheris, by coverage.

atheris, which is not among the dependencies of development, has to be installed: it exists for few versions of
Python. What it finds belongs to ``KNOWN_INPUTS`` of ``tests/integration/test_attack.py``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Fuzz until the time is over; libFuzzer exits with an error and writes the input at the first fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack.coverage_guided", description=__doc__)
    parser.add_argument("parser")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    try:
        atheris = import_module("atheris")
    except ImportError:
        parser.exit(2, "atheris is not installed: pip install atheris\n")
    with atheris.instrument_imports(include=["fnkit"]):
        parsers = import_module("tests.attack.parsers")
    if arguments.parser not in parsers.PARSERS:
        parser.exit(2, f"no such parser; there are {', '.join(parsers.PARSERS)}\n")
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(parsers.PARSERS[arguments.parser].seeds):
            Path(corpus, str(number)).write_bytes(seed)
        options = [f"-max_total_time={arguments.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=100000"]
        atheris.Setup([sys.argv[0], *options, corpus], lambda content: parsers.check(arguments.parser, content))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
