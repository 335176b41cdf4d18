"""One slot: bits, grid, channel, observation, receiver, decoded block."""

from ran.link.config import LinkConfig
from ran.link.link import DropOutcomes, Link, NonFiniteError, SlotBatch
from ran.link.streams import stream

__all__ = ["DropOutcomes", "Link", "LinkConfig", "NonFiniteError", "SlotBatch", "stream"]
