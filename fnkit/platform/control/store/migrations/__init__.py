"""Numbered SQL migrations. ``Store`` runs those above the database's ``user_version``, in order."""
