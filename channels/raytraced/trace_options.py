"""What a ray tracer is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import numpy as np

from channels.errors import bad_value, unknown_name
from channels.raytraced.user_places import number, user_places


@dataclass(frozen=True)
class TraceOptions:
    """A scene, both ends, and how far rays are followed.

    scene: name of a scene of Sionna RT ("munich", "etoile", ...), or a Mitsuba file that ends in .xml.
    carrier_frequency_hz: decides the materials and phases. base_position_m: of the base station, [x, y, z].
    users: block of `channels.raytraced.user_places`.
    max_depth: most interactions along a ray. refraction: through walls. diffraction: around edges.
    scattering: share of the amplitude that every surface scatters diffusely (the scattering coefficient of all
        materials), 0 for none.
    samples: rays sent out to find reflections. max_rays: the strongest kept per position; relative_db: those weaker
        than the strongest by more are left out. max_path_loss_db: beyond it a position is in outage, its rays are left
        out. seed: of the tracer.
    """

    scene: str
    carrier_frequency_hz: float
    base_position_m: tuple[float, float, float]
    users: Mapping[str, Any]
    max_depth: int = 3
    refraction: bool = False
    diffraction: bool = False
    scattering: float = 0.0
    samples: int = 200_000
    max_rays: int = 64
    relative_db: float = 40.0
    max_path_loss_db: float = 150.0
    seed: int = 1
    positions_m: np.ndarray = field(init=False, repr=False, compare=False)
    headings_rad: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places, headings = user_places(self.users)
        object.__setattr__(self, "positions_m", places)
        object.__setattr__(self, "headings_rad", headings)

    def plain(self) -> dict[str, Any]:
        """The options as plain values for JSON, the scene's folder left out, whose content decides."""
        values = {option.name: getattr(self, option.name) for option in fields(self) if option.init}
        return values | {
            "scene": self.scene.replace("\\", "/").rpartition("/")[2],
            "base_position_m": list(self.base_position_m),
            "users": _plain(self.users),
        }


_WHOLE = {"max_depth": (0, 20), "samples": (1, 10**9), "max_rays": (1, 10**5), "seed": (0, 2**31 - 1)}
_REAL = {
    "carrier_frequency_hz": (1e8, 1e12),
    "scattering": (0.0, 1.0),
    "relative_db": (0.0, 300.0),
    "max_path_loss_db": (0.0, 300.0),
}


def trace_options(block: Mapping[str, Any]) -> TraceOptions:
    """From the block of an experiment file; `ValueError` in one line names the option."""
    known = {option.name: option for option in fields(TraceOptions) if option.init}
    if not isinstance(block, Mapping):
        raise bad_value("trace", block, f"a block of options: {', '.join(known)}")
    values = dict(block)
    for key in values:
        if key not in known:
            raise unknown_name("trace", key, known)
    for name, option in known.items():
        if name not in values and option.default is MISSING:
            raise bad_value(f"trace.{name}", None, "a value; the option is needed")
    if not isinstance(values["scene"], str) or not values["scene"]:
        raise bad_value("trace.scene", values["scene"], "a scene's name or a file .xml")
    for name, (least, most) in _WHOLE.items():
        value = values.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise bad_value(f"trace.{name}", value, f"an integer from {least} to {most}")
    for name, (low, high) in _REAL.items():
        if name in values:
            values[name] = number(f"trace.{name}", values[name])
            if not low <= values[name] <= high:
                raise bad_value(f"trace.{name}", values[name], f"{low:g} to {high:g}")
    for name in ("refraction", "diffraction"):
        if not isinstance(values.get(name, False), bool):
            raise bad_value(f"trace.{name}", values[name], "true or false")
    place = values["base_position_m"]
    if not isinstance(place, (list, tuple)) or len(place) != 3:
        raise bad_value("trace.base_position_m", place, "[x, y, z] in metres")
    values["base_position_m"] = tuple(number("trace.base_position_m", entry) for entry in place)
    return TraceOptions(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
