"""``make scaleway``: one run against the real API, recorded for the replayer (``tests/conformance``)."""
