"""A real platform under load while its processes are killed: ``python -m tests.soak``, ``make soak``."""
