"""Training of receivers: recipes, distributions, the loop and its checkpoints."""
