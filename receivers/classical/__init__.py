"""Classical receivers: closed forms that need no training."""
