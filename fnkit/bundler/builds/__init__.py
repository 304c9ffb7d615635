"""Builds that run code of a project: the user's permission, a copy of the inputs, a bounded process, a cache."""
