"""Instances of each version of Node that is found: started ahead, confined, and with modules of both kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.isolation_levels import user_parameters
from tests.support.language_programs import node_command, node_parameters, node_version

USER = 54344
pytestmark = [pytest.mark.long, pytest.mark.slow]

COMMON_JS = {
    "handler.js": """
const { readFileSync } = require("node:fs");
const { add } = require("./lib/add");
exports.handle = () => ({ body: { sum: add(1, 2), version: process.versions.node,
  start: readFileSync("/proc/self/environ", "utf8") } });
""",
    "lib/add.js": "exports.add = (a, b) => a + b;\n",
}
ES_MODULE = {
    "package.json": '{"type": "module"}',
    "handler.js": """
import { readFileSync } from "node:fs";
import { add } from "./lib/add.js";
const one = await Promise.resolve(1);
export const handle = async () => ({ body: { sum: add(one, 2), version: process.versions.node,
  start: readFileSync("/proc/self/environ", "utf8") } });
""",
    "lib/add.js": "export const add = (a, b) => a + b;\n",
}


@pytest.fixture(scope="module", params=user_parameters(USER))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, isolation = request.param
    with running_data_plane(user=user, isolation=isolation) as running:
        yield running


@pytest.mark.parametrize("files", [COMMON_JS, ES_MODULE], ids=["commonjs", "module"])
@pytest.mark.parametrize("node", node_parameters())
def test_function_runs_on_each_version(plane: DataPlaneProcess, node: str, files: dict[str, str]) -> None:
    program = node_command(node)[0]
    name = f"{node}-{'module' if 'package.json' in files else 'commonjs'}"
    plane.deploy(name, files, language="Node", runtime="node22", interpreter=program)
    answer = plane.call(name, "/").json()
    assert isinstance(answer, dict)
    assert (int(str(answer["version"]).partition(".")[0]), answer["sum"]) == (node_version(program), 3)
    is_ahead = plane.settings.isolation != "none"
    assert ("SCW_APPLICATION_NAME" in str(answer["start"])) is not is_ahead
