"""Persistent state of the control plane: one SQLite file, a directory of archives, encrypted secrets."""
