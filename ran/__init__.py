"""ran6g: simulate, train, compare, export and verify receivers on a 3GPP link.

Nothing heavy is imported here; take what you need from ``ran.phy``, ``ran.link``, ``ran.sim``, ...
"""

__version__ = "0.1.0"
