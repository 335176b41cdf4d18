"""One slot: bits, grid, channel, observation, receiver, decoded block."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ran.link.batch import SlotBatch
    from ran.link.config import LinkConfig
    from ran.link.link import Link
    from ran.link.outcomes import NonFiniteError
    from ran.link.streams import stream
    from ran.stats.counts import Counts

#: Imported when they are first used: modules beside them are needed without torch.
_HOMES = {
    "SlotBatch": "ran.link.batch",
    "LinkConfig": "ran.link.config",
    "Link": "ran.link.link",
    "Counts": "ran.stats.counts",
    "NonFiniteError": "ran.link.outcomes",
    "stream": "ran.link.streams",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(import_module(_HOMES[name]), name))


__all__ = ["Counts", "Link", "LinkConfig", "NonFiniteError", "SlotBatch", "stream"]
