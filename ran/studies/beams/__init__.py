"""Beam management: predicting the best of many beams from measurements of a few, against sweeping (TR 38.843)."""
