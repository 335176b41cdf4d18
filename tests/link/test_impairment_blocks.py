"""Impairments from the blocks of an experiment file."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from channels.impairments import IMPAIRMENTS, MemoryPolynomial, PhaseNoise, PoleZeroPhaseNoise, Rapp
from ran.errors import InputError
from ran.link.catalogue import build_impairments, impairment_catalogue

BLOCKS = """
- {name: rapp, input_back_off_db: 6, smoothness: 3, restore_power: true}
- {name: saleh, input_back_off_db: 9.5}
- {name: memory-polynomial, input_back_off_db: 8, coefficients: [[1, [-0.1, 0.05]], ["0.05j", "-0.02+0.01j"]]}
- {name: nr-power-amplifier, input_back_off_db: 8, model: gan-28ghz}
- {name: phase-noise, carrier_hz: 2.8e+10, oscillator: tr38803-45ghz, per_antenna: true}
- {name: pole-zero-phase-noise, psd0_dbc_hz: -80, poles: [[100000, 2]], zeros: [[2.0e+6, 2]]}
- {name: wiener-phase-noise, linewidth_hz: 100}
- {name: carrier-frequency-offset, offset_ppm: 0.1, carrier_hz: 3.5e+9, spread: uniform}
- {name: sampling-clock-offset, offset_ppm: 10}
- {name: iq-imbalance, gain_db: 0.3, phase_deg: 2}
- {name: dc-offset, level_db: -30}
- {name: converter, bits: 8, clip_db: 10}
- {name: jammer, level_db: 0, frequency_hz: 1.0e+6}
- {name: gaussian-interference, level_db: -10, bandwidth_hz: 5.0e+6}
- {name: ofdm-interference, level_db: -10, num_subcarriers: 120, num_sources: 2}
- {name: interference-bursts, level_db: 10, duration_s: 3.5e-5}
- {name: antenna-gains, gains_db: [0, -3.5]}
"""


def test_every_impairment_can_be_written_in_a_file() -> None:
    blocks: list[dict[str, Any]] = yaml.safe_load(BLOCKS)
    built = build_impairments(blocks, "waveform.transmit_impairments")
    assert [impairment.name for impairment in built] == list(IMPAIRMENTS) == list(impairment_catalogue())
    rapp, _, polynomial, _, oscillator, own, *_ = built
    assert isinstance(rapp, Rapp)
    assert (rapp.input_back_off_db, rapp.smoothness, rapp.restore_power) == (6.0, 3.0, True)
    assert isinstance(polynomial, MemoryPolynomial)
    assert polynomial.coefficients == [[1, -0.1 + 0.05j], [0.05j, -0.02 + 0.01j]]
    assert isinstance(oscillator, PhaseNoise)
    assert oscillator.per_antenna
    assert isinstance(own, PoleZeroPhaseNoise)
    assert len(impairment_catalogue()["rapp"]) > 20


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (
            {"name": "rap"},
            "receive[1].name: got 'rap'; allowed: FILE.py:ClassName, antenna-gains, carrier-frequency-offset, ",
        ),
        ({"name": "rapp"}, "receive[1].input_back_off_db: missing; 'rapp' needs it"),
        ({"name": "rapp", "back_off": 3}, "receive[1].back_off: unknown option of 'rapp'; allowed: input_back_off_db"),
        ({"name": "converter", "bits": 8.5}, "receive[1].bits: got 8.5; allowed: "),
        ({"name": "converter", "bits": 40}, "receive[1].bits: got 40; allowed: 1 to 24"),
        ({"name": "phase-noise", "carrier_hz": 1e9, "oscillator": "tr38803"}, "receive[1]: oscillator: got 'tr38803'"),
        ({"name": "memory-polynomial", "input_back_off_db": 3, "coefficients": [["x"]]}, "receive[1].coefficients.0.0"),
        ({}, "receive[1].name: got None; allowed: "),
    ],
)
def test_bad_blocks_are_refused_in_one_line(block: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build_impairments([{"name": "iq-imbalance"}, block], "receive")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
