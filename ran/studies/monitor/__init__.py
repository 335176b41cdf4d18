"""Monitoring: does a trained receiver still do what it was trained to, told without labels."""
