"""Builders, one per language: unpacked code → what an instance can run."""
