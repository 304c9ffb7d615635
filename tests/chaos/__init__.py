"""Triggers under load while processes are killed: ``python -m tests.chaos.nats``, ``python -m tests.chaos.sqs``."""
