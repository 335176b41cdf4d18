"""What every class of a kind keeps, as tests that a user's class can be put through."""

from ran.contracts.run import Finding, check_class

__all__ = ["Finding", "check_class"]
