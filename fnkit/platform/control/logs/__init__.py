"""Functions' logs as Loki's API shows them, read from the segments that the data plane appends to (decision 38)."""
