"""Sweeps over experiments of studies made of jobs, such as link adaptation, beams and CSI feedback."""
