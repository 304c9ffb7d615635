"""A real platform under load, while everything that can be killed is: ``python -m tests.soak``, ``make soak``."""
