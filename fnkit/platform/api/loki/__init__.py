"""Loki's HTTP API over functions' logs, as Grafana, ``logcli`` and Cockpit's users call it: ``/loki/api/v1``."""
