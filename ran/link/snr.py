"""The one place where signal-to-noise ratios are converted."""

from __future__ import annotations

import numpy as np

from ran.phy.numerology import cyclic_prefix_s
from ran.phy.pusch import PuschGrid


def noise_var(esn0_db: float) -> float:
    """Noise variance per RE per receive antenna for an Es/N0 in dB.

    Es is the energy of a data RE of one user, summed over its layers, at one receive antenna, over a channel of
    unit mean power per antenna pair.
    """
    return float(10 ** (-esn0_db / 10))


def ebn0_db(esn0_db: float, grid: PuschGrid) -> float:
    """Eb/N0 per receive antenna in dB.

    Eb = (energy that a user spends in the slot: data REs, DM-RS and cyclic prefixes) / (bits of its transport block).
    With E RE units of energy in the slot (unit power per data RE) and the cyclic prefixes' exact share c of the
    symbols' useful duration, Eb/N0 = Es/N0 * E * (1 + c) / tb_size.
    """
    pusch, carrier = grid.pusch, grid.carrier
    layers_of_user = slice(0, pusch.num_layers)
    pilot_energy = float((grid.pilots[layers_of_user].abs() ** 2).sum())
    energy = grid.num_data_re + pilot_energy
    allocation = slice(pusch.start_symbol, pusch.start_symbol + pusch.num_symbols)
    extended = carrier.cyclic_prefix == "extended"
    prefix = cyclic_prefix_s(carrier.numerology, carrier.slot_number, extended)[allocation]
    overhead = float(prefix.mean() * carrier.subcarrier_spacing_hz)
    return float(esn0_db + 10 * np.log10(energy * (1 + overhead) / grid.transport_block.tb_size))
