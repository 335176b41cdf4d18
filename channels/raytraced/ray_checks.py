"""What holds for every set of rays, wherever it comes from: finite values within their ranges, in order."""

from __future__ import annotations

import math

import numpy as np

from channels.raytraced.ray_set import Interaction, RaySet
from channels.value_checks import check_delays, check_values

#: Carriers for which rays are traced.
FREQUENCIES_HZ = (1e8, 1e12)
#: Power gain of a position with rays: its square root is a float32 still, and power can be normalised.
_LEAST_GAIN = 1e-36
#: float32 of pi is above pi.
_ROUNDING = 1e-5
_ZENITH = "radians from the z axis, 0 to pi (zeniths, not elevations)"
_AZIMUTH = "radians from the x axis towards y, -2 pi to 2 pi"
_KNOWN = (0, *(int(interaction) for interaction in Interaction if interaction))


def check_rays(source: str, rays: RaySet) -> None:
    """`ValueError` of one line that names source, field, value and what is allowed, unless the values make sense.

    source: the file that the rays come from, or the program. Shapes are taken to fit.
    """
    carrier = "hertz from 1e8 to 1e12"
    check_values(source, "carrier_frequency_hz", rays.carrier_frequency_hz, *FREQUENCIES_HZ, carrier)
    for name in ("base_position_m", "positions_m"):
        check_values(source, name, getattr(rays, name))
    headings = rays.headings_rad
    check_values(source, "headings_rad", np.where(np.isnan(headings), 0.0, headings), allowed="finite numbers, or NaN")
    check_delays(source, "delays_s", rays.delays_s)
    check_values(source, "transfer", rays.transfer)
    gains = rays.path_gains[rays.served]
    if (gains < _LEAST_GAIN).any():
        weakest = int(rays.served[gains.argmin()])
        allowed = "from -360 dB, or no rays (an outage)"
        raise ValueError(f"{source}: transfer: got a gain of {gains.min():g} at position {weakest}; allowed: {allowed}")
    for end in ("base", "user"):
        zenith, azimuth, radius = f"{end}_zenith_rad", f"{end}_azimuth_rad", f"{end}_radius_m"
        check_values(source, zenith, getattr(rays, zenith), -_ROUNDING, math.pi + _ROUNDING, _ZENITH)
        whole = 2 * math.pi + _ROUNDING
        check_values(source, azimuth, getattr(rays, azimuth), -whole, whole, _AZIMUTH)
        check_values(source, radius, getattr(rays, radius), 0.0, allowed="finite metres from 0")
    # the first ray of a position is the one that the others' delays count from
    falling = np.diff(rays.delays_s) < 0
    falling[rays.first[1:-1][(rays.first[1:-1] > 0) & (rays.first[1:-1] < len(rays.delays_s))] - 1] = False
    if falling.any():
        place = int(np.flatnonzero(falling)[0]) + 1
        before, value = float(rays.delays_s[place - 1]), float(rays.delays_s[place])
        raise ValueError(
            f"{source}: delays_s[{place}]: got {value!r} after {before!r}; allowed: ascending within a position"
        )
    strange = ~np.isin(rays.interactions, _KNOWN)
    if strange.any():
        ray, depth = (int(index) for index in np.argwhere(strange)[0])
        given = int(rays.interactions[ray, depth])
        raise ValueError(
            f"{source}: interactions[{ray}, {depth}]: got {given}; allowed: {', '.join(str(code) for code in _KNOWN)}"
        )
    met = rays.vertices_m[rays.interactions > 0]
    check_values(source, "vertices_m of interactions", met)
