"""From an uploaded archive to a folder that an instance can run; one module per language."""
