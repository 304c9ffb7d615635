"""Routes to functions, for tests that do not get them from control."""

from __future__ import annotations

import msgspec

from fnkit.platform.model.routing import LocalProgram, Route

__all__ = ["make_route"]


def make_route(name: str = "f", **changes: object) -> Route:
    """Return a route to the public function ``<name>.test``.

    Args:
        name: The name of the function, and its id.
        changes: Changed fields of the route, or of its program.
    """
    program = {field: changes.pop(field) for field in LocalProgram.__struct_fields__ if field in changes}
    route = Route(
        function_id=name,
        generation=1,
        name=name,
        namespace_id="00000000-0000-4000-8000-000000000001",
        region="fr-par",
        project_id="00000000-0000-4000-8000-000000000002",
        hosts=(f"{name}.test",),
        path_prefix=f"/fr-par/tests/{name}",
        runtime="python311",
        language="Python",
        program=msgspec.structs.replace(LocalProgram(interpreter="", code_dir=""), **program),
        handler="handler.handle",
        memory=256,
        cpu=140,
        timeout=30.0,
        min_scale=0,
        max_scale=5,
        privacy="public",
        http_option="enabled",
        sandbox="v2",
        environment={},
    )
    return msgspec.structs.replace(route, **changes)
