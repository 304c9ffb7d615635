"""An archive's bytes depend only on its content, not on order, location, times, umask or working directory."""

import os
import random
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bundle_projects import BundleRun, function_spec, project_with
from tests.support.examples import examples

_NAMES = st.sampled_from(("a.txt", "b.bin", "é.txt", "data/x.csv", "data/deep/y", "lib/z.py", "Z", "a b", "run.sh"))
_PLAN = b'{\n  "fnkit_plan": '
"""The start of a saved plan, which archives exclude: see ``tests/integration/test_saved_plans.py``."""

_SMALL = st.binary(max_size=200).filter(lambda content: not content.startswith(_PLAN))
_CONTENTS = st.one_of(_SMALL, st.just(b"many " * 100_000))
_HANDLER = "def handle(event, context):\n    return 1\n"


def _write_tree(root: Path, files: dict[str, bytes], order: random.Random, umask: int) -> None:
    names = sorted(files)
    order.shuffle(names)
    before = os.umask(umask)
    try:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])
            moment = order.randint(0, 2_000_000_000)
            os.utime(path, (moment, moment))
    finally:
        os.umask(before)


@settings(deadline=None, max_examples=examples(25))
@given(st.dictionaries(_NAMES, _CONTENTS, max_size=8), st.randoms(use_true_random=False))
def test_equal_content_gives_equal_archives_in_any_location(files: dict[str, bytes], order: random.Random) -> None:
    files = {**files, "handler.py": _HANDLER.encode()}
    archives = []
    original = Path.cwd()
    for umask in (0o022, 0o077):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, str(order.randint(0, 10**9)), "project")
            _write_tree(root, files, order, umask)
            os.chdir(root if umask == 0o077 else original)
            try:
                bundle = BundleRun(Path(folder)).bundle(project_with(root, function_spec("h", "handler.handle")))
            finally:
                os.chdir(original)
            archives.append((bundle.digest, bundle.slices, bundle.path.read_bytes()))
            with zipfile.ZipFile(bundle.path) as archive:
                assert archive.testzip() is None
                archived = {name: archive.read(name) for name in archive.namelist()}
            assert {name: archived[name] for name in files} == files
            assert set(archived) - set(files) <= {name for name in archived if name.startswith("package/fnkit/")}
            assert bundle.size == bundle.path.stat().st_size
            assert bundle.unpacked_size == sum(len(content) for content in archived.values())
    assert archives[0] == archives[1]


@settings(deadline=None, max_examples=examples(15))
@given(st.dictionaries(_NAMES, _CONTENTS, max_size=4), _NAMES, _SMALL)
def test_digest_changes_exactly_when_content_changes(files: dict[str, bytes], name: str, content: bytes) -> None:
    digests = set()
    versions = [files, {**files, name: content}]
    for version in versions:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "project")
            _write_tree(root, {**version, "handler.py": _HANDLER.encode()}, random.Random(1), 0o022)  # noqa: S311 - no secret
            digests.add(
                BundleRun(Path(folder)).bundle(project_with(root, function_spec("h", "handler.handle"))).digest
            )
    assert len(digests) == (1 if versions[0] == versions[1] else 2)
