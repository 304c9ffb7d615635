"""schemathesis over the served document, against a real platform: short in the tests, long as ``make fuzz``."""
