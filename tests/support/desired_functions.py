"""A declared function with usual settings, for plans in tests."""

from __future__ import annotations

from fnkit.plan.model import FunctionConfig
from fnkit.plan.state import DesiredFunction


def desired_function(
    name: str, *, tags: tuple[str, ...], runtime: str = "python313", function_urls: dict[str, str] | None = None
) -> DesiredFunction:
    return DesiredFunction(
        name=name,
        settings=FunctionConfig(
            runtime=runtime,
            handler="app.handle",
            memory=256,
            min_scale=0,
            max_scale=5,
            timeout="300s",
            privacy="public",
            http_option="enabled",
            sandbox="v2",
            description="",
            environment={"LEVEL": "info"},
            private_network_id="",
        ),
        secrets=(),
        tags=tags,
        crons=(),
        code="a" * 32,
        archive="b" * 64,
        function_urls=function_urls or {},
    )
