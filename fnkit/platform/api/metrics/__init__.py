"""``GET /metrics``: what the platform counts, as Prometheus reads it (docs/metrics.md)."""
