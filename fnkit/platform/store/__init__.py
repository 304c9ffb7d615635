"""The control plane's only memory: SQLite in one file, archives in a folder, secrets sealed."""
