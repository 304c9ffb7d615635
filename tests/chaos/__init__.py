"""Guarantees of triggers while everything is killed. Each module runs by itself: ``python -m tests.chaos.sqs``."""
