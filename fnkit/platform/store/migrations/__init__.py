"""Numbered SQL scripts; the store runs those above the file's ``user_version``, in order."""
