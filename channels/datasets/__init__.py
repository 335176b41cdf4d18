"""Channel files of other programs."""
