"""Site-specific channels: rays between a base station and users of a scene, traced once and kept in a file."""

from __future__ import annotations

from channels.raytraced.deepmimo import read_deepmimo
from channels.raytraced.model import RayTraced
from channels.raytraced.ray_cache import cached_rays
from channels.raytraced.ray_file import read_rays, shipped_sets, write_rays
from channels.raytraced.ray_set import Interaction, RaySet
from channels.raytraced.trace_options import TraceOptions, trace_options

__all__ = [
    "Interaction",
    "RaySet",
    "RayTraced",
    "TraceOptions",
    "cached_rays",
    "read_deepmimo",
    "read_rays",
    "shipped_sets",
    "trace_options",
    "write_rays",
]
