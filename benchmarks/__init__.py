"""Benchmarks that compare fnkit with well-known programs in the same run: ``python -m benchmarks``."""
