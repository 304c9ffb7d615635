"""Builds a deployment: from an uploaded archive to a directory that an instance can run."""
