"""Builds a project's deployment archives: file selection, lock files, wheels, dependency layers and slices.

``docs/bundling.md`` describes the formats and the rules. Nothing is imported here: commands that only resolve or
install packages should not pay for the bundlers of all languages.
"""
