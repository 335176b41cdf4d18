"""Slots for tests of neural receivers: kinds of link that they must serve, and changes that must not matter."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from ran.link import Link, LinkConfig, SlotBatch
from ran.phy.config import Carrier, Dmrs, Ptrs, Pusch, Users
from receivers.interface import SlotObservation

#: Options of `slots`.
KINDS: dict[str, dict[str, Any]] = {
    "one user": {},
    "one antenna": {"rx": 1},
    "two users": {"users": 2},
    "two layers": {"layers": 2},
    "four users": {"users": 4, "rx": 5},
    "one pilot symbol": {"dmrs": {"additional_position": 0}},
    "type 2, double symbols": {
        "users": 2,
        "dmrs": {"config_type": 2, "length": 2, "additional_position": 1, "num_cdm_groups_without_data": 3},
    },
    "PT-RS": {"ptrs": Ptrs()},
    "transform precoding": {"transform_precoding": True},
}


def slots(
    scenario: str,
    num_prb: int,
    users: int = 1,
    layers: int = 1,
    rx: int = 4,
    mcs: int = 14,
    table: int = 1,
    batch: int = 3,
    esn0_db: float = 9.0,
    **pusch: Any,
) -> SlotBatch:
    """A batch of slots over TDL-B. scenario: names the random numbers; pusch: options of `dmrs`, further fields."""
    dmrs = Dmrs(**pusch.pop("dmrs", {"additional_position": 1}))
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(mcs_index=mcs, mcs_table=table, num_layers=layers, dmrs=dmrs, **pusch),
        users=Users(num_users=users),
        num_rx_ant=rx,
        channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 200},
    )
    return Link(config).batch(range(batch), esn0_db, 1, scenario)


def early(observation: SlotObservation, delay_s: float) -> SlotObservation:
    """The same slots with their signals earlier."""
    k = torch.arange(observation.y.shape[-1], dtype=torch.float64)
    phase = torch.exp(2j * math.pi * delay_s * observation.subcarrier_spacing_hz * k).to(torch.complex64)
    return replace(observation, y=observation.y * phase)


def stronger(observation: SlotObservation) -> SlotObservation:
    """The same slots 40 dB above, signal and noise."""
    return replace(observation, y=observation.y * 100, noise_var=observation.noise_var * 1e4)


def reordered(observation: SlotObservation, antennas: list[int], layers: list[int]) -> SlotObservation:
    """The same slots with antennas and layers in another order."""
    layout = observation.layout
    return replace(
        observation,
        y=observation.y[:, antennas],
        pilots=observation.pilots[layers],
        layout=replace(
            layout,
            first_subcarrier=tuple(layout.first_subcarrier[i] for i in layers),
            cover_code=tuple(layout.cover_code[i] for i in layers),
            time_cover_code=tuple(layout.time_cover_code[i] for i in layers),
        ),
        layer_to_user=tuple(observation.layer_to_user[i] for i in layers),
    )
