"""One file a connector that writes."""
