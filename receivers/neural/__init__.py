"""Neural receivers: short PyTorch modules behind the same interface as the classical ones."""
