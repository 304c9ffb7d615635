"""What fnkit costs, always beside something everybody knows, in the same run: ``python -m benchmarks``."""
