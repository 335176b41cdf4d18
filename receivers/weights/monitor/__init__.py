"""References of monitoring for the shipped weights: what their trainings were like."""
