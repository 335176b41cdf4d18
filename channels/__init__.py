"""Channel models behind one interface, usable with any simulator: see `channels.interface`.

Models are imported when they are first used: naming them takes no torch.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

    #: Every channel model by the name that experiments use.
    CHANNELS: dict[str, type[Channel]]

#: Where every channel model is, MODULE:Class by the name that experiments use.
CHANNEL_PATHS = {
    "awgn": "channels.awgn:Awgn",
    "rayleigh-block": "channels.rayleigh:RayleighBlock",
    "tdl": "channels.tdl:Tdl",
    "cdl": "channels.cdl:Cdl",
    "hst": "channels.hst:Hst",
    "umi": "channels.scenarios:Umi",
    "uma": "channels.scenarios:Uma",
    "rma": "channels.scenarios:Rma",
    "sma": "channels.scenarios:Sma",
    "inh": "channels.scenarios:Inh",
    "inf": "channels.scenarios:Inf",
    "ray-traced": "channels.raytraced:RayTraced",
    "recorded": "channels.recorded:Recorded",
}
_HOMES = {path.partition(":")[2]: path.partition(":")[0] for path in CHANNEL_PATHS.values()} | {
    "Channel": "channels.interface",
    "GridPart": "channels.paths",
    "LargeScale": "channels.paths",
    "PathAngles": "channels.paths",
    "Paths": "channels.paths",
    "PowerDelayProfile": "channels.profiles",
    "power_delay_profile": "channels.profiles",
    "profile_names": "channels.profiles",
}


def catalogue() -> dict[str, str]:
    """Name and one-line description of every channel model."""
    return {name: (inspect.getdoc(model) or "").split("\n")[0] for name, model in __getattr__("CHANNELS").items()}


def __getattr__(name: str) -> Any:
    if name == "CHANNELS":
        found: Any = {model: __getattr__(path.partition(":")[2]) for model, path in CHANNEL_PATHS.items()}
    elif name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "CHANNELS",
    "CHANNEL_PATHS",
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
