"""The channel model against the curves that companies agreed on: calibration of TR 38.901 §7.8."""
