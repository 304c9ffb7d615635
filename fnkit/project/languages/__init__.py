"""Checks the handlers of each language, one module per language; ``handlers`` has the table of them."""
