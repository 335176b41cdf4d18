"""Imperfections of radios at either end of a link, usable with any simulator: see `channels.impairments.interface`."""

from __future__ import annotations

import inspect

from channels.impairments.chain import Chain
from channels.impairments.converter import Converter
from channels.impairments.dc_offset import DcOffset
from channels.impairments.frequency_offset import CarrierFrequencyOffset
from channels.impairments.interface import Impairment
from channels.impairments.interference import GaussianInterference, Jammer, OfdmInterference
from channels.impairments.iq_imbalance import IqImbalance
from channels.impairments.memory_polynomial import MemoryPolynomial, NrPowerAmplifier
from channels.impairments.phase_noise import PhaseNoise, PoleZeroPhaseNoise, WienerPhaseNoise
from channels.impairments.power_amplifier import Rapp, Saleh
from channels.impairments.sampling_offset import SamplingClockOffset

#: Every impairment by the name that experiments use.
IMPAIRMENTS: dict[str, type[Impairment]] = {
    model.name: model
    for model in (
        Rapp,
        Saleh,
        MemoryPolynomial,
        NrPowerAmplifier,
        PhaseNoise,
        PoleZeroPhaseNoise,
        WienerPhaseNoise,
        CarrierFrequencyOffset,
        SamplingClockOffset,
        IqImbalance,
        DcOffset,
        Converter,
        Jammer,
        GaussianInterference,
        OfdmInterference,
    )
}


def catalogue() -> dict[str, str]:
    """Name and one-line description of every impairment."""
    return {name: (inspect.getdoc(model) or "").split("\n")[0] for name, model in IMPAIRMENTS.items()}


__all__ = [
    "IMPAIRMENTS",
    "CarrierFrequencyOffset",
    "Chain",
    "Converter",
    "DcOffset",
    "GaussianInterference",
    "Impairment",
    "IqImbalance",
    "Jammer",
    "MemoryPolynomial",
    "NrPowerAmplifier",
    "OfdmInterference",
    "PhaseNoise",
    "PoleZeroPhaseNoise",
    "Rapp",
    "Saleh",
    "SamplingClockOffset",
    "WienerPhaseNoise",
    "catalogue",
]
