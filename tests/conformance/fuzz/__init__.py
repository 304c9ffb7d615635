"""Runs schemathesis with the served OpenAPI document against a platform: ``make fuzz``, and briefly the tests."""
