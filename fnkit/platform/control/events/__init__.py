"""Cron scheduler and queue triggers."""
