"""Logs of functions: reading, querying, tailing and pushing them.

The data plane appends lines to segment files, which this package only reads: they are the single copy of the logs,
and ``docs/decisions/logs-as-loki.md`` explains why queries scan them instead of an index.
"""
