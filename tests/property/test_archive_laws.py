"""An archive's bytes follow from its content: not from order, place, times, umask or the working folder."""

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
"""So a saved plan begins, which is no part of an archive: ``tests/integration/test_saved_plans.py``."""

_FEW = st.binary(max_size=200).filter(lambda content: not content.startswith(_PLAN))
_CONTENTS = st.one_of(_FEW, st.just(b"many " * 100_000))
_HANDLER = "def handle(event, context):\n    return 1\n"


def _plant(root: Path, files: dict[str, bytes], order: random.Random, umask: int) -> None:
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
def test_equal_content_gives_equal_bytes_anywhere(files: dict[str, bytes], order: random.Random) -> None:
    files = {**files, "handler.py": _HANDLER.encode()}
    seen = []
    here = Path.cwd()
    for umask in (0o022, 0o077):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, str(order.randint(0, 10**9)), "project")
            _plant(root, files, order, umask)
            os.chdir(root if umask == 0o077 else here)
            try:
                bundle = BundleRun(Path(folder)).bundle(project_with(root, function_spec("h", "handler.handle")))
            finally:
                os.chdir(here)
            seen.append((bundle.digest, bundle.slices, bundle.path.read_bytes()))
            with zipfile.ZipFile(bundle.path) as archive:
                assert archive.testzip() is None
                inside = {name: archive.read(name) for name in archive.namelist()}
            assert {name: inside[name] for name in files} == files
            assert set(inside) - set(files) <= {name for name in inside if name.startswith("package/fnkit/")}
            assert bundle.size == bundle.path.stat().st_size
            assert bundle.unpacked_size == sum(len(content) for content in inside.values())
    assert seen[0] == seen[1]


@settings(deadline=None, max_examples=examples(15))
@given(st.dictionaries(_NAMES, _CONTENTS, max_size=4), _NAMES, _FEW)
def test_another_content_gives_another_digest(files: dict[str, bytes], name: str, content: bytes) -> None:
    digests = set()
    versions = [files, {**files, name: content}]
    for version in versions:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "project")
            _plant(root, {**version, "handler.py": _HANDLER.encode()}, random.Random(1), 0o022)  # noqa: S311 - no secret
            digests.add(
                BundleRun(Path(folder)).bundle(project_with(root, function_spec("h", "handler.handle"))).digest
            )
    assert len(digests) == (1 if versions[0] == versions[1] else 2)
