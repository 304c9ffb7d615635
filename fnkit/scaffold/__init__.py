"""Templates → a new project.

A template is a folder under ``templates/``: files that end in ``.jinja`` are rendered and lose that ending,
``dot-…`` becomes ``.…``, and ``template.toml`` says in one line what the template is. ``catalogue`` finds
templates, ``naming`` turns a folder's name into a project's, ``project`` writes all files or none.
"""

from fnkit.scaffold.catalogue import Template, list_templates
from fnkit.scaffold.naming import project_name
from fnkit.scaffold.project import create_project

__all__ = ["Template", "create_project", "list_templates", "project_name"]
