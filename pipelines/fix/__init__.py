"""Writing what a run planned: the plan, a second look at both sides, the writes, and the journal that remembers them."""
