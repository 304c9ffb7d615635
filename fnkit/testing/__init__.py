"""Helpers for the tests of a project: events, calls of handlers, and a platform of the tests' own.

pytest finds the fixtures without configuration (``fnkit.testing.plugin``, ``docs/testing-projects.md``). This
package needs the standard library only, so that it fits into the environment of every project.
"""

from fnkit.testing.call import call
from fnkit.testing.events import make_context, make_event
from fnkit.testing.http import HttpResponse
from fnkit.testing.platform import PlatformForTests, running_platform
from fnkit.testing.project import DeployedProject, wait_until

__all__ = [
    "DeployedProject",
    "HttpResponse",
    "PlatformForTests",
    "call",
    "make_context",
    "make_event",
    "running_platform",
    "wait_until",
]
