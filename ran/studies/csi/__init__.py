"""Downlink CSI feedback: what codebooks, classical coders and learned models are worth, bit by bit."""
