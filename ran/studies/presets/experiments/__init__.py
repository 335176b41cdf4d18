"""Experiments of `ran sim` that follow evaluation assumptions of 3GPP."""
