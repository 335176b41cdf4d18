"""Slots of a data set as a waveform: received grids modulated to samples, one slot after the other."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ran.config.validation import validate
from ran.datasets.reader import DropDataset
from ran.datasets.sigmf import Annotation, Recording
from ran.errors import InputError, bad_value
from ran.phy.ofdm import Ofdm
from ran.sim.experiment import Experiment

#: Samples of a recording, of all antennas together.
_MAX_BYTES = 2**30


def recording_of(path: Path, first: int, count: int, frequency_hz: float = 0.0, compensate: bool = False) -> Recording:
    """What an ideal OFDM modulator makes of the received grids of `count` drops from `first` on; a channel per antenna.

    compensate: with the phase compensation of TS 38.211 §5.4 for `frequency_hz`, as transmitters send.
    Demodulating it gives the grids again. Cyclic prefixes are made from the grids: what a receiver does not keep of its
    samples, the prefixes' own noise and intersymbol interference, is not in it.
    """
    dataset = DropDataset(path, fields=None)
    if "y" not in dataset.fields or "experiment" not in dataset.header.attrs:
        kind = dataset.header.attrs["kind"]
        raise InputError(f"{path}: got a data set of {kind} without received grids of an experiment; allowed: slots")
    if first < 0 or count < 1 or first + count > len(dataset):
        raise bad_value("--slots", f"{first}:{first + count}", f"FIRST:END within 0:{len(dataset)}")
    experiment = validate(Experiment, dataset.header.json("experiment"), str(path))
    fft_size = None if experiment.waveform is None else experiment.waveform.fft_size
    ofdm = Ofdm.build(experiment.carrier, fft_size, carrier_frequency_hz=frequency_hz if compensate else 0.0)
    antennas = dataset.header.fields[0].shape[0]
    if 8 * antennas * ofdm.num_samples * count > _MAX_BYTES:
        most = _MAX_BYTES // (8 * antennas * ofdm.num_samples)
        raise bad_value("--slots", f"{first}:{first + count}", f"at most {most} slots at a time, 1 GiB of samples")
    batch = dataset.batch(range(first, first + count))
    # [antennas, slots * num_samples]
    samples = ofdm.modulate(batch["y"]).transpose(0, 1).flatten(1).to(torch.complex64).contiguous().numpy()
    notes = [
        Annotation(
            place * ofdm.num_samples,
            ofdm.num_samples,
            f"drop {first + place}",
            _noise_text(batch, place),
        )
        for place in range(count)
    ]
    attrs = dataset.header.attrs
    extra = {
        "stream_id": str(attrs["stream_id"]),
        "seed": int(attrs["seed"]),
        "fft_size": ofdm.fft_size,
        "num_subcarriers": ofdm.num_subcarriers,
        "slot_number": ofdm.slot_number,
    }
    text = f"{attrs['name']}: received grids as CP-OFDM, a channel per receive antenna; prefixes made from the grids"
    return Recording(samples if antennas > 1 else samples[0], ofdm.sample_rate_hz, frequency_hz, text, notes, extra)


def _noise_text(batch: dict[str, Tensor], place: int) -> str:
    """What a slot was sent at."""
    if "tx_power_dbm" in batch:
        received = ", ".join(f"{value:.1f}" for value in batch["received_esn0_db"][place].tolist())
        return f"{float(batch['tx_power_dbm'][place]):g} dBm, received Es/N0 {received} dB"
    return f"Es/N0 {float(batch['esn0_db'][place]):g} dB"
