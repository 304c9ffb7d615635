"""Loki's HTTP API for the logs of functions, for Grafana, ``logcli`` and clients of Cockpit: ``/loki/api/v1``."""
