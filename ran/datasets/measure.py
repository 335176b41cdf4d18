"""Errors of what the DM-RS tell about users, over the slots of a data set, whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from channels.awgn import Awgn
from channels.rayleigh import RayleighBlock
from channels.tdl import Tdl
from ran.config.validation import validate
from ran.datasets.reader import DropDataset
from ran.datasets.recorded import points_of
from ran.datasets.request import Kind
from ran.datasets.write import link_of
from ran.errors import InputError, bad_value
from ran.link import Link, SlotBatch
from ran.sim.experiment import Experiment
from ran.stats import Estimate, student_mean
from receivers.classical.user_measurements import delay_moments, equalized, estimated, measured_with

#: Slots that are measured at once.
_BATCH = 16
#: Most Es/N0 of a table.
_MOST_POINTS = 64
_KIND: Kind = "slots"
_DB = "dB"


@dataclass(frozen=True)
class MeasurementError:
    """Error of a quantity of a user at an Es/N0: its mean (bias) and the root of its mean square, 95 % intervals.

    truth: mean of what is true, in the same unit.
    """

    esn0_db: float
    user: int
    quantity: str
    truth: float
    bias: Estimate
    rmse: Estimate


def measurement_errors(
    path: Path, most_slots: int | None = None, say: Callable[[str], None] = lambda text: None
) -> list[MeasurementError]:
    """Measure the slots of a data set and compare with what is true of them.

    most_slots: at every Es/N0. Quantities whose truth the data set does not state are left out: timing and CFO where
    they are drawn at random, CFO beside a line of sight that moves, the first path and the Doppler of channels that are
    no TDL. So is, at an Es/N0, what some slot has none of: the SINR of an estimate that is wronger than none, the CFO
    of a single DM-RS position.
    InputError for a file that is no data set of simulated slots, with the channel.
    """
    dataset = DropDataset(path)
    if dataset.header.attrs["kind"] != _KIND or "h" not in dataset.fields:
        raise InputError(
            f"{path}: got a data set of {dataset.header.attrs['kind']} with {', '.join(dataset.fields)}; allowed: "
            "simulated slots, written --with-channel"
        )
    experiment = validate(Experiment, dataset.header.json("experiment"), str(path))
    if experiment.link_budget is not None:
        raise InputError(f"{path}: link_budget: got one; allowed: Es/N0 points")
    points = points_of(dataset)
    if len(np.unique(points)) > _MOST_POINTS:
        raise bad_value(f"{path}: esn0_db", f"{len(np.unique(points))} points", f"at most {_MOST_POINTS}")
    link = link_of(experiment)
    stated = _stated(experiment, link)
    found: list[MeasurementError] = []
    for point in np.unique(points):
        places = np.flatnonzero(points == point)[:most_slots]
        parts = []
        for start in range(0, len(places), _BATCH):
            say(f"{point:g} dB: {start} of {len(places)} slots")
            values = dataset.batch(places[start : start + _BATCH])
            batch = link.recorded(
                values["y"], values["noise_var"], values["transport_blocks"].numpy(), values["coded_bits"], values["h"]
            )
            with torch.inference_mode():
                parts.append(_errors(batch, stated))
        for quantity in parts[0]:
            errors = np.concatenate([part[quantity][0] for part in parts])
            if not np.isfinite(errors).all():
                say(f"{point:g} dB: {quantity} is left out, some slots have none")
                continue
            truth = np.concatenate([part[quantity][1] for part in parts])
            found += [_row(float(point), user, quantity, errors, truth) for user in range(errors.shape[1])]
    return found


def _row(esn0_db: float, user: int, quantity: str, errors: NDArray, truth: NDArray) -> MeasurementError:
    unit = unit_of(quantity)
    of_user = errors[:, user]
    square = student_mean(of_user**2)
    ends = [float(np.sqrt(max(end, 0.0))) for end in (square.value or 0.0, square.low or 0.0, square.high or 0.0)]
    rmse = replace(square, value=ends[0], low=ends[1], high=ends[2], unit=unit)
    return MeasurementError(
        esn0_db, user, quantity, float(truth[:, user].mean()), replace(student_mean(of_user), unit=unit), rmse
    )


def unit_of(quantity: str) -> str:
    """Unit that a quantity's name ends in."""
    return {"db": _DB, "ns": "ns", "hz": "Hz"}[quantity.rsplit("_", 1)[-1]]


def _stated(experiment: Experiment, link: Link) -> Mapping[str, NDArray[np.float64]]:
    """What the experiment says of every user, [num_users]; quantities that it leaves to chance are absent."""
    waveform, num_users = experiment.waveform, experiment.users.num_users
    channels = link.channels * num_users if len(link.channels) == 1 else link.channels
    known: dict[str, NDArray[np.float64]] = {}
    fading = [channel.doppler_hz for channel in channels if isinstance(channel, Tdl)]
    if len(fading) == num_users:
        known["doppler_spread_hz"] = np.array(fading) / np.sqrt(2)
        if waveform is None or waveform.timing_offset_max_s == 0:
            offsets = (0.0,) if waveform is None else waveform.timing_offset_s
            # the first tap of every TDL profile has no delay
            known["first_path_ns"] = np.resize(offsets, num_users) * 1e9
    # a line of sight has a Doppler shift of its own, which no receiver tells from an offset
    centred = all(
        isinstance(channel, Awgn | RayleighBlock)
        or (isinstance(channel, Tdl) and (channel.doppler_hz == 0 or channel.power_delay_profile.los_power == 0))
        for channel in channels
    )
    if centred and (waveform is None or waveform.cfo_max_hz == 0):
        known["cfo_hz"] = np.resize((0.0,) if waveform is None else waveform.cfo_hz, num_users)
    return known


def _errors(batch: SlotBatch, stated: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[NDArray, NDArray]]:
    """Errors and truth [batch, num_users] by quantity."""
    observation, h = batch.observation, batch.truth.h
    still, estimate, common_hz = estimated(observation)
    measured = measured_with(still, estimate, common_hz)
    users = range(max(observation.layer_to_user) + 1)
    layers = [[layer for layer, user in enumerate(observation.layer_to_user) if user == one] for one in users]
    error = (equalized(still, estimate)[0] - _sent(batch)).abs().double() ** 2
    sinr = np.stack([1 / error[:, own].mean((1, 2)).numpy() - 1 for own in layers], 1)
    rsrp = _received_power(batch, layers)
    spread, mean_delay = delay_moments(observation, h)
    truth: dict[str, NDArray[Any]] = {
        # an estimate that is wronger than none has no SINR
        "sinr_db": 10 * np.log10(np.where(sinr > 0, sinr, np.nan)),
        "rsrp_db": 10 * np.log10(rsrp),
        "mean_delay_ns": mean_delay * 1e9,
        "delay_spread_ns": spread * 1e9,
        **{name: np.broadcast_to(values, sinr.shape) for name, values in stated.items()},
    }
    values = {
        "sinr_db": measured.sinr_db,
        "rsrp_db": measured.rsrp_db,
        "first_path_ns": measured.first_path_s * 1e9,
        "mean_delay_ns": measured.mean_delay_s * 1e9,
        "delay_spread_ns": measured.delay_spread_s * 1e9,
        "cfo_hz": measured.cfo_hz,
        "doppler_spread_hz": measured.doppler_spread_hz,
    }
    return {name: (values[name] - truth[name], truth[name]) for name in values if name in truth}


def _sent(batch: SlotBatch) -> torch.Tensor:
    """Unit-power data symbols that were sent, before any transform precoding, [batch, num_layers, num_data_re]."""
    observation = batch.observation
    sent = batch.x.flatten(2)[..., observation.data_mask.flatten()] / observation.layer_amplitude
    if not observation.transform_precoding:
        return sent
    return torch.fft.ifft(sent.unflatten(-1, (-1, observation.data_mask.shape[1])), norm="ortho").flatten(-2)


def _received_power(batch: SlotBatch, layers: list[list[int]]) -> NDArray[np.float64]:
    """Mean over the antennas of the power at the REs of each user's DM-RS, [batch, num_users]."""
    observation = batch.observation
    symbols = list(observation.layout.symbols)
    sent = observation.pilots[:, symbols].abs().double() ** 2
    power = (batch.truth.h[:, :, :, symbols].abs().double() ** 2).mean(1)
    found = []
    for own in layers:
        num_re = (sent[own].sum(0) > 0).sum()
        found.append((power[:, own] * sent[own]).sum((1, 2, 3)) / num_re)
    return torch.stack(found, 1).numpy()
