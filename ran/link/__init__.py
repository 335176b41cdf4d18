"""One slot: bits, grid, channel, observation, receiver, decoded block."""

from ran.link.batch import SlotBatch
from ran.link.config import LinkConfig
from ran.link.link import Link
from ran.link.outcomes import DropOutcomes, NonFiniteError
from ran.link.streams import stream

__all__ = ["DropOutcomes", "Link", "LinkConfig", "NonFiniteError", "SlotBatch", "stream"]
