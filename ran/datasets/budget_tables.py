"""Tables of a data set with a link budget: what is known of every user of every drop before it is simulated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from channels.link_state import CONDITION_NAMES
from ran.link import Link
from ran.link.link_budget import Received

#: Drops that are looked at together.
_STEP = 256
_OF_USERS = {
    "received_esn0_db": ("esn0_db", "<f4", "dB", "received Es/N0 per resource element and antenna, large-scale"),
    "path_gain_db": ("path_gain_db", "<f4", "dB", "mean power gain of an antenna pair, antennas included"),
    "distance_2d_m": ("distance_2d_m", "<f4", "m", "horizontal distance of the user; NaN: unknown"),
    "condition": (
        "condition",
        "|i1",
        "",
        f"{', '.join(f'{i} {n}' for i, n in enumerate(CONDITION_NAMES))}, -1 unknown",
    ),
    "user_power_dbm": ("tx_power_dbm", "<f4", "dBm", "that the user sends, after power control"),
}
#: Names of the tables, [drop, user].
BUDGET_TABLES = tuple(_OF_USERS)


def budget_tables(
    link: Link, tx_power_dbm: NDArray[np.float64], seed: int, scenario_id: str
) -> dict[str, tuple[NDArray, str, str]]:
    """Array [drop, user], unit and description by name, and `noise_var` [drop]; tx_power_dbm [drop]."""
    parts: dict[str, list[NDArray]] = {name: [] for name in (*_OF_USERS, "noise_var")}
    with torch.inference_mode():
        for first in range(0, len(tx_power_dbm), _STEP):
            drops = np.arange(first, min(first + _STEP, len(tx_power_dbm)))
            states = _states(link, drops, tx_power_dbm[drops], seed, scenario_id)
            for name, (field, dtype, _, _) in _OF_USERS.items():
                parts[name].append(getattr(states, field).astype(dtype))
            parts["noise_var"].append(states.noise_var.astype(np.float32))
    about = {name: (unit, text) for name, (_, _, unit, text) in _OF_USERS.items()}
    about["noise_var"] = (
        "linear",
        "noise variance per resource element per antenna where the strongest user has power 1",
    )
    return {name: (np.concatenate(values), *about[name]) for name, values in parts.items()}


def _states(link: Link, drops: NDArray, powers: NDArray, seed: int, scenario_id: str) -> Received:
    """State of drops, each at its own power."""
    found: list[tuple[NDArray, Received]] = []
    for power in np.unique(powers):
        places = np.flatnonzero(powers == power)
        state = link.received([int(drop) for drop in drops[places]], float(power), seed, scenario_id)
        if state is None:
            raise TypeError("link: got one without a link budget; allowed: one with")
        found.append((places, state))
    order = np.argsort(np.concatenate([places for places, _ in found]))
    fields = Received.__dataclass_fields__
    return Received(*(np.concatenate([getattr(state, name) for _, state in found])[order] for name in fields))


def received_of(tables: Mapping[str, NDArray], drops: NDArray) -> Received | None:
    """The state of drops from a file's tables; None for a file without a link budget."""
    if "path_gain_db" not in tables:
        return None
    return Received(**{field: tables[name][drops] for name, (field, _, _, _) in _OF_USERS.items()})
