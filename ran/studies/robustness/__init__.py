"""Receivers on channels, speeds, bandwidths and radios that they were not made for."""
