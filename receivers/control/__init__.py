"""Receivers of control channels and of random access: detectors that work on arrays, whatever made the signals."""
