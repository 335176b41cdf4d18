"""The large-scale state of links: what a link budget is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Numbers of the conditions; -1 where a model does not know.
CONDITION_NAMES = ("LOS", "NLOS", "O2I")


@dataclass(frozen=True)
class PathGains:
    """Of every draw of a channel with absolute gains; float64 [batch] unless it says otherwise.

    path_gain_db: mean power of an antenna pair over small-scale fading, at unit transmit power: path loss, walls,
        shadowing and the antennas' own gains. distance_2d_m: horizontal distance of the user, NaN where unknown.
    condition int8 [batch]: index into `CONDITION_NAMES`, -1 where unknown.
    """

    path_gain_db: np.ndarray
    distance_2d_m: np.ndarray
    condition: np.ndarray
