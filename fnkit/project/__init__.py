"""Combines settings and a scan report into one validated, frozen ``Project``, the input of all later stages."""

from fnkit.project.build import build_project
from fnkit.project.model import CronSpec, FunctionSpec, Project
from fnkit.project.secrets import read_secret_values
from fnkit.project.settings import Settings, settings_schema
from fnkit.project.settings_file import find_root, read_settings

__all__ = [
    "CronSpec",
    "FunctionSpec",
    "Project",
    "Settings",
    "build_project",
    "find_root",
    "read_secret_values",
    "read_settings",
    "settings_schema",
]
