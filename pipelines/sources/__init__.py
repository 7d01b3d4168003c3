"""One module a connector, each a dlt source that also gives the evidence of its pull."""
