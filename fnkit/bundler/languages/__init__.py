"""Bundles the functions of each language, one module per language; ``bundle`` has the table of them."""
