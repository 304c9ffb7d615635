"""Creates new projects from templates, and makes existing folders projects.

A template is a folder in ``templates/`` with a ``template.toml``, which contains a one-line summary. Files with the
suffix ``.jinja`` are rendered and written without it; the prefix ``dot-`` of a name becomes ``.``.
"""

from fnkit.scaffold.catalogue import Template, list_templates
from fnkit.scaffold.existing import InitializedProject, has_code, initialize_project
from fnkit.scaffold.naming import project_name
from fnkit.scaffold.project import create_project

__all__ = [
    "InitializedProject",
    "Template",
    "create_project",
    "has_code",
    "initialize_project",
    "list_templates",
    "project_name",
]
