"""What tells a base station, without any labels, that a receiver no longer does what it was trained to."""
