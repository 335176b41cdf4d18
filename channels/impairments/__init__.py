"""Imperfections of radios at either end of a link, usable with any simulator: see `channels.impairments.interface`."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from channels.impairments.antenna_gains import AntennaGains
    from channels.impairments.chain import Chain
    from channels.impairments.converter import Converter
    from channels.impairments.dc_offset import DcOffset
    from channels.impairments.frequency_offset import CarrierFrequencyOffset
    from channels.impairments.interface import Impairment
    from channels.impairments.interference import GaussianInterference, Jammer, OfdmInterference
    from channels.impairments.interference_bursts import InterferenceBursts
    from channels.impairments.iq_imbalance import IqImbalance
    from channels.impairments.memory_polynomial import MemoryPolynomial, NrPowerAmplifier
    from channels.impairments.phase_noise import PhaseNoise, PoleZeroPhaseNoise, WienerPhaseNoise
    from channels.impairments.power_amplifier import Rapp, Saleh
    from channels.impairments.sampling_offset import SamplingClockOffset

    #: Every impairment by the name that experiments use.
    IMPAIRMENTS: dict[str, type[Impairment]]

#: Where each of them is, MODULE:Class by the same name.
IMPAIRMENT_PATHS = {
    "rapp": "channels.impairments.power_amplifier:Rapp",
    "saleh": "channels.impairments.power_amplifier:Saleh",
    "memory-polynomial": "channels.impairments.memory_polynomial:MemoryPolynomial",
    "nr-power-amplifier": "channels.impairments.memory_polynomial:NrPowerAmplifier",
    "phase-noise": "channels.impairments.phase_noise:PhaseNoise",
    "pole-zero-phase-noise": "channels.impairments.phase_noise:PoleZeroPhaseNoise",
    "wiener-phase-noise": "channels.impairments.phase_noise:WienerPhaseNoise",
    "carrier-frequency-offset": "channels.impairments.frequency_offset:CarrierFrequencyOffset",
    "sampling-clock-offset": "channels.impairments.sampling_offset:SamplingClockOffset",
    "iq-imbalance": "channels.impairments.iq_imbalance:IqImbalance",
    "dc-offset": "channels.impairments.dc_offset:DcOffset",
    "converter": "channels.impairments.converter:Converter",
    "jammer": "channels.impairments.interference:Jammer",
    "gaussian-interference": "channels.impairments.interference:GaussianInterference",
    "ofdm-interference": "channels.impairments.interference:OfdmInterference",
    "interference-bursts": "channels.impairments.interference_bursts:InterferenceBursts",
    "antenna-gains": "channels.impairments.antenna_gains:AntennaGains",
}
_HOMES = {path.partition(":")[2]: path.partition(":")[0] for path in IMPAIRMENT_PATHS.values()} | {
    "Chain": "channels.impairments.chain",
    "Impairment": "channels.impairments.interface",
}


def catalogue() -> dict[str, str]:
    """Name and one-line description of every impairment."""
    return {name: (inspect.getdoc(model) or "").split("\n")[0] for name, model in __getattr__("IMPAIRMENTS").items()}


def __getattr__(name: str) -> Any:
    if name == "IMPAIRMENTS":
        found: Any = {key: __getattr__(path.partition(":")[2]) for key, path in IMPAIRMENT_PATHS.items()}
    elif name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "IMPAIRMENTS",
    "IMPAIRMENT_PATHS",
    "AntennaGains",
    "CarrierFrequencyOffset",
    "Chain",
    "Converter",
    "DcOffset",
    "GaussianInterference",
    "Impairment",
    "InterferenceBursts",
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
