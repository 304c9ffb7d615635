"""Functions that containerd runs from their images, and nothing else: no platform, no gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.containerd import running_containerd
from tests.support.control_process import running_control, zip_archive
from tests.support.core_runtime import CoreRuntimeProcess
from tests.support.fake_data_plane import connected_data_plane
from tests.support.registry import RegistryClient

__all__ = ["running_containers"]


@contextmanager
def running_containers(home: Path, handlers: Mapping[str, str]) -> Iterator[dict[str, CoreRuntimeProcess]]:
    """Deploy functions, pull their images and run them once the platform has ended.

    Args:
        home: The data directory of the platform.
        handlers: The module of each function, by its name.
    """
    with ExitStack() as stack:
        containerd = stack.enter_context(running_containerd())
        images = {}
        with running_control(home) as control, connected_data_plane(control.settings.control_socket):
            registry = RegistryClient(control, control.settings.secret_key)
            namespace = control.create_namespace()
            for name, source in handlers.items():
                function = control.create_function(namespace["id"], name, handler="handler.handle")
                repository = registry.deploy(function, zip_archive({"handler.py": source}))
                images[name] = f"localhost:{control.settings.api_port}/{repository}:1"
                containerd.pull(images[name], f"nologin:{registry.secret_key}")
        yield {
            name: CoreRuntimeProcess(container.port, container.output.parent, container.process)
            for name, image in images.items()
            for container in [stack.enter_context(containerd.running(image))]
        }
