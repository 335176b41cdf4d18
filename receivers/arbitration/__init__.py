"""Several receivers of a slot, and which of them to believe."""
