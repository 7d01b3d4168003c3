"""Step 1 of a reconciliation, and the little Python that runs the others."""
