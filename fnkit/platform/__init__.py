"""A local implementation of the Functions API v1beta1 that builds and runs functions.

It shares only ``fnkit.contract`` and ``fnkit.errors`` with the kit; the kit talks to it over HTTP.
``docs/architecture.md`` describes its processes.
"""
