"""``GET /metrics``: the metrics of the platform and its functions for Prometheus; see ``docs/metrics.md``."""
