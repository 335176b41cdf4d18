"""A link budget: the Es/N0 of a link from powers, noise and geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from ran.errors import InputError
from ran.phy.config import Carrier, Config

#: Boltzmann's constant, J/K (SI, exact).
BOLTZMANN = 1.380649e-23

PowerDbm = Annotated[float, Field(ge=-60, le=100)]


class PowerControl(Config):
    """Open-loop power control of TS 38.213 §7.1.1 (Rel-17), without TPC commands and delta_TF.

    P = min(P_CMAX, p0_dbm + 10 log10(2^mu M_RB) + alpha PL) for M_RB allocated resource blocks, where PL is minus the
    path gain of the link budget. p0_dbm: P_O_PUSCH, per resource block at 15 kHz. alpha: 0, 0.4, 0.5, ... or 1.
    """

    p0_dbm: Annotated[float, Field(ge=-202, le=24)]
    alpha: Annotated[float, Field(ge=0, le=1)] = 1.0

    @field_validator("alpha")
    @classmethod
    def _is_an_alpha(cls, value: float) -> float:
        allowed = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        if value not in allowed:
            raise ValueError(f"got {value:g}; allowed: 0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1 (TS 38.331 Alpha)")
        return value


class LinkBudget(Config):
    """Powers and noise of a link whose channel has absolute gains; in place of `esn0_db`.

    tx_power_dbm: of the transmitter, or of every user, over the allocation; a list is swept. With power_control: the
        most that a user may send (P_CMAX).
    noise_figure_db, temperature_k: of the receiver. The noise per resource element and antenna is k T F times the
        subcarrier spacing.
    bandwidth_hz: over which the power is spread evenly; left out, the allocated resource blocks. A data resource
        element gets tx_power / bandwidth * subcarrier spacing, which its layers share: the unit power of `esn0_db`.
        DM-RS have their power offset on top: with CDM groups without data it moves power within a symbol.
    """

    tx_power_dbm: Annotated[tuple[PowerDbm, ...], Field(min_length=1, max_length=500)]
    noise_figure_db: Annotated[float, Field(ge=0, le=60)] = 5.0
    temperature_k: Annotated[float, Field(gt=0, le=1e5)] = 290.0
    bandwidth_hz: Annotated[float, Field(gt=0, le=1e11)] | None = None
    power_control: PowerControl | None = None

    @field_validator("tx_power_dbm", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return (value,)
        return tuple(value) if isinstance(value, list) else value

    @field_validator("tx_power_dbm")
    @classmethod
    def _ascends(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted({power + 0.0 for power in value}))

    def identity(self) -> dict[str, Any]:
        """What decides the physics of a drop beside the transmit power."""
        return self.model_dump(mode="json", exclude={"tx_power_dbm"})


@dataclass(frozen=True)
class Received:
    """Large-scale state of the users of drops, float64 [batch, num_users] unless it says otherwise.

    esn0_db: received Es/N0 per resource element and antenna, mean over small-scale fading. path_gain_db,
    distance_2d_m, condition (int8): as of `channels.link_state.PathGains`. tx_power_dbm: that was sent.
    """

    esn0_db: np.ndarray
    path_gain_db: np.ndarray
    distance_2d_m: np.ndarray
    condition: np.ndarray
    tx_power_dbm: np.ndarray

    def select(self, drops: Any) -> Received:
        """Of the drops at these places."""
        return Received(*(getattr(self, name)[drops] for name in self.__dataclass_fields__))

    @property
    def amplitudes(self) -> np.ndarray:
        """By what the channel of a user is multiplied so that the noise has unit variance, [batch, num_users]."""
        return np.asarray(10 ** ((self.esn0_db - self.path_gain_db) / 20))

    @property
    def noise_var(self) -> np.ndarray:
        """Noise variance when the strongest user of a drop has unit mean power, [batch]."""
        return np.asarray(10 ** (-self.esn0_db.max(1) / 10))


def noise_dbm(budget: LinkBudget, subcarrier_spacing_hz: float) -> float:
    """Noise power of a resource element at one receive antenna, dBm."""
    density = 10 * math.log10(BOLTZMANN * budget.temperature_k * 1e3)
    return density + 10 * math.log10(subcarrier_spacing_hz) + budget.noise_figure_db


def tx_powers_dbm(
    budget: LinkBudget,
    tx_power_dbm: float,
    path_gain_db: np.ndarray,
    carrier: Carrier,
    num_prb: Sequence[int] | None = None,
) -> np.ndarray:
    """What users send, dBm, of the shape of `path_gain_db`, whose last axis is users.

    num_prb: resource blocks of each user; by default all have the carrier's.
    """
    control = budget.power_control
    if control is None:
        return np.full_like(path_gain_db, tx_power_dbm)
    blocks_db = [10 * math.log10(2**carrier.numerology * n) for n in num_prb or (carrier.num_prb,)]
    return np.minimum(tx_power_dbm, control.p0_dbm + np.array(blocks_db) - control.alpha * path_gain_db)


def received(
    budget: LinkBudget,
    tx_power_dbm: float,
    carrier: Carrier,
    num_prb: Sequence[int],
    path_gain_db: np.ndarray,
    distance_2d_m: np.ndarray,
    condition: np.ndarray,
) -> Received:
    """Es/N0 of every user; arrays [batch, num_users]. num_prb: resource blocks of each user."""
    spacing_hz = carrier.subcarrier_spacing_hz
    sent = tx_powers_dbm(budget, tx_power_dbm, path_gain_db, carrier, num_prb)
    bandwidths_hz = [budget.bandwidth_hz or 12 * n * spacing_hz for n in num_prb]
    per_re = sent - [10 * math.log10(bandwidth_hz / spacing_hz) for bandwidth_hz in bandwidths_hz]
    esn0_db = per_re + path_gain_db - noise_dbm(budget, spacing_hz)
    return Received(esn0_db, path_gain_db, distance_2d_m, condition, sent)


def check_link_budget(budget: LinkBudget | None, channels: Any, num_users: int, has_waveform: bool) -> None:
    """`InputError` unless a budget and channels with absolute gains come together."""
    absolute = [channel.has_absolute_gains for channel in channels]
    if budget is None:
        if any(absolute):
            raise InputError(
                f"esn0_db: got Es/N0 for a channel whose gains hold path loss ({channels[absolute.index(True)].name}); "
                "allowed: link_budget: {tx_power_dbm: 23, noise_figure_db: 5} in place of esn0_db, or a channel "
                "without pathloss"
            )
        return
    if not all(absolute):
        name = channels[absolute.index(False)].name
        raise InputError(
            f"link_budget: got one with channel {name!r}, whose gains hold no path loss; allowed: pathloss: true in a "
            "scenario (umi, uma, rma, sma, inh, inf), normalise: none with ray-traced, or esn0_db in place of it"
        )
    if num_users > 1 and len(channels) == 1:
        raise InputError(
            f"channel: got one channel for {num_users} users with link_budget; allowed: a list with one channel per "
            "user, as each stands at a place of its own"
        )
    if has_waveform:
        raise InputError("waveform: got one with link_budget; allowed: none, slots in the frequency domain")
