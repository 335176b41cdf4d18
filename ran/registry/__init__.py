"""One registry per kind of thing that a user can name or bring: channels, receivers, beam predictors, ...

A name is a shipped one, `FILE.py:Class`, or an entry point of an installed package in the group `ran6g.<kind>`.
Listing takes no torch: descriptions are read from source text.
"""

from ran.registry.kinds import KINDS, Kind
from ran.registry.lookup import descriptions, find_class, installed, names

__all__ = ["KINDS", "Kind", "descriptions", "find_class", "installed", "names"]
