"""Trained models as files that other stacks run: written, run in their own runtime, measured, or refused."""
