"""Random fields over the plane whose values are alike nearby: large-scale parameters of users of one site."""

from __future__ import annotations

import numpy as np

#: Waves per field. A value is their sum, and so close to Gaussian.
_NUM_WAVES = 200
#: Waves times places that are held at once.
_STEP = 1 << 20


def correlated_fields(generator: np.random.Generator, distance_m: np.ndarray, places_m: np.ndarray) -> np.ndarray:
    """Values at places of independent fields with correlation exp(-d / distance), float64 [num_fields, num_places].

    distance_m [num_fields]: correlation distances (TR 38.901 §7.4.4 and table 7.5-6). places_m [num_places, 2] or
    [num_fields, num_places, 2]. Zero mean, unit variance over the fields that may be drawn.

    A field is a sum of plane waves of random direction and phase. The two-dimensional spectrum of exp(-d / D) is
    proportional to (1 + (kD)^2)^(-3/2), so that the wave number is sqrt((1 - u)^-2 - 1) / D of a uniform u.
    """
    num_fields = len(distance_m)
    uniforms = generator.random((num_fields, 3, _NUM_WAVES))
    number = np.sqrt((1 - uniforms[:, 0]) ** -2 - 1) / np.asarray(distance_m, np.float64)[:, None]
    angle, start = 2 * np.pi * uniforms[:, 1], 2 * np.pi * uniforms[:, 2]
    waves = number[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    places = np.broadcast_to(places_m, (num_fields, *np.shape(places_m)[-2:]))
    values = np.empty(places.shape[:2])
    step = max(1, _STEP // _NUM_WAVES)
    for first in range(0, places.shape[1], step):
        part = slice(first, first + step)
        phases = places[:, part] @ waves.transpose(0, 2, 1) + start[:, None]
        values[:, part] = np.cos(phases).sum(-1)
    return values * np.sqrt(2 / _NUM_WAVES)
