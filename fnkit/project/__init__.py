"""Combines settings and a scan report into one validated, frozen ``Project``, the input of all later stages."""

from fnkit.project.building import build_project
from fnkit.project.model import CronSpec, FunctionSpec, NamespaceSpec, Project, SourceLocation, TriggerSpec
from fnkit.project.problems import PROBLEMS, Explanation, explain
from fnkit.project.reading import find_root, read_settings
from fnkit.project.schema import settings_schema
from fnkit.project.secret_values import SecretValues, read_secret_values
from fnkit.project.settings import Settings

__all__ = [
    "PROBLEMS",
    "CronSpec",
    "Explanation",
    "FunctionSpec",
    "NamespaceSpec",
    "Project",
    "SecretValues",
    "Settings",
    "SourceLocation",
    "TriggerSpec",
    "build_project",
    "explain",
    "find_root",
    "read_secret_values",
    "read_settings",
    "settings_schema",
]
