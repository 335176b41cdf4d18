"""The Monte-Carlo driver: experiments, stopping rules, workers, the store and the results."""
