"""Channel models behind one interface, usable with any simulator: see `channels.interface`."""

from __future__ import annotations

import inspect

from channels.awgn import Awgn
from channels.cdl import Cdl
from channels.hst import Hst
from channels.interface import Channel
from channels.paths import GridPart, LargeScale, PathAngles, Paths
from channels.profiles import PowerDelayProfile, power_delay_profile, profile_names
from channels.rayleigh import RayleighBlock
from channels.raytraced import RayTraced
from channels.recorded import Recorded
from channels.scenarios import Inf, Inh, Rma, Sma, Uma, Umi
from channels.tdl import Tdl

_MODELS: tuple[type[Channel], ...] = (
    Awgn, RayleighBlock, Tdl, Cdl, Hst, Umi, Uma, Rma, Sma, Inh, Inf, RayTraced, Recorded,
)  # fmt: skip
#: Every channel model by the name that experiments use.
CHANNELS: dict[str, type[Channel]] = {model.name: model for model in _MODELS}


def catalogue() -> dict[str, str]:
    """Name and one-line description of every channel model."""
    return {name: (inspect.getdoc(model) or "").split("\n")[0] for name, model in CHANNELS.items()}


__all__ = [
    "CHANNELS",
    "Awgn",
    "Cdl",
    "Channel",
    "GridPart",
    "Hst",
    "Inf",
    "Inh",
    "LargeScale",
    "PathAngles",
    "Paths",
    "PowerDelayProfile",
    "RayTraced",
    "RayleighBlock",
    "Recorded",
    "Rma",
    "Sma",
    "Tdl",
    "Uma",
    "Umi",
    "catalogue",
    "power_delay_profile",
    "profile_names",
]
