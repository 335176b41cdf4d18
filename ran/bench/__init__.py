"""Speed of the toolkit on this machine, beside a peer's, with the floor that the machine sets."""
