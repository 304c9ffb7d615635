"""Our own implementation of the Functions API v1beta1, which really builds and runs functions.

It meets the kit only in ``fnkit.contract`` and over HTTP. ``docs/architecture.md`` §4 has the picture.
"""
