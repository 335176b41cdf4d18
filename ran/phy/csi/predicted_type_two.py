"""Enhanced type II codebook for predicted PMI (typeII-Doppler-r18, TS 38.214 §5.2.2.2.10, Rel-18): PMI and precoders.

The report says the precoders of N4 intervals of some slots that follow: coefficients of the enhanced type II codebook,
by beam and tap, and for each of them Q Doppler shifts, of which the first is 0. With N4 = 1 it is enhanced type II with
another table of combinations. With 48, 64 and 128 ports it is typeII-Doppler-r19 of Rel-19, which takes its
codebook from there (§5.2.2.2.11a).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

import numpy as np

from ran.errors import InputError, bad_value
from ran.phy.csi.enhanced_type_two import (
    COEFFICIENT_AMPLITUDES,
    NUM_PHASES,
    POLARISATION_AMPLITUDES,
    Combinations,
    EnhancedTypeTwo,
    check_num_nonzero,
)
from ran.phy.csi.port_layout import orthogonal_beams

CLAUSE = "TS 38.214 §5.2.2.2.10"
#: paramCombination-Doppler-r18 (TS 38.214 table 5.2.2.2.10-1).
_COMBINATIONS: Combinations = {
    1: (2, Fraction(1, 8), Fraction(1, 16), Fraction(1, 4)),
    2: (2, Fraction(1, 4), Fraction(1, 8), Fraction(1, 2)),
    3: (4, Fraction(1, 4), Fraction(1, 8), Fraction(1, 4)),
    4: (4, Fraction(1, 4), Fraction(1, 4), Fraction(1, 4)),
    5: (4, Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)),
    6: (4, Fraction(1, 4), Fraction(1, 4), Fraction(3, 4)),
    7: (4, Fraction(1, 2), Fraction(1, 4), Fraction(1, 2)),
    8: (6, Fraction(1, 4), None, Fraction(1, 2)),
    9: (6, Fraction(1, 4), None, Fraction(3, 4)),
}
#: vectorLengthDD-r18 and unitDurationDD-r18.
NUM_INTERVALS, SLOTS_PER_INTERVAL = (1, 2, 4, 8), (1, 2)


@dataclass(frozen=True)
class PredictedTypeTwo(EnhancedTypeTwo):
    """What a report is configured with, as in `EnhancedTypeTwo` but for the table of combinations, 1 to 9.

    num_intervals: N4 (vectorLengthDD-r18). slots_per_interval: d, slots of an interval (unitDurationDD-r18); nothing in
    the report depends on it. `InputError` for what the clause does not allow.
    """

    clause: ClassVar[str] = CLAUSE
    parameter: ClassVar[str] = "paramCombination-Doppler-r18"
    combinations: ClassVar[Combinations] = _COMBINATIONS
    of_four_ports: ClassVar[int] = 3

    num_intervals: int = 4
    slots_per_interval: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, allowed in (
            ("N4 (vectorLengthDD-r18)", self.num_intervals, NUM_INTERVALS),
            ("d (unitDurationDD-r18)", self.slots_per_interval, SLOTS_PER_INTERVAL),
        ):
            if value not in allowed:
                raise bad_value(name, value, f"{', '.join(map(str, allowed))} ({CLAUSE})")

    @property
    def num_shifts(self) -> int:
        """Q."""
        return 1 if self.num_intervals == 1 else 2

    @property
    def reports_shifts(self) -> bool:
        """Whether i_1,10,l is reported."""
        return self.num_intervals > 1


@dataclass(frozen=True, eq=False)
class PredictedPmi:
    """The precoding matrix indicator of one report.

    q, beams, taps, start, k1: as in `EnhancedPmi`. shifts: of every layer Q numbers n_4, of which the first is 0.
    bitmap bool [num_layers, Q, M, 2 L]: non-zero coefficients. strongest: of every layer (tau*, i*), with f* = 0. k2, c
    int [num_layers, Q, M, 2 L], 0 where the bitmap is.
    """

    config: PredictedTypeTwo
    q: tuple[int, int]
    beams: tuple[int, ...]
    taps: tuple[tuple[int, ...], ...]
    start: int
    shifts: tuple[tuple[int, ...], ...]
    bitmap: np.ndarray
    strongest: tuple[tuple[int, int], ...]
    k1: np.ndarray
    k2: np.ndarray
    c: np.ndarray

    def __post_init__(self) -> None:
        check_num_nonzero(self.bitmap.sum((1, 2, 3)), self.config.most_per_layer, CLAUSE)
        for layer, (shift, place) in enumerate(self.strongest):
            if not self.bitmap[layer, shift, 0, place]:
                raise InputError(
                    f"i_1,8 of layer {layer + 1}: got coefficient {place} of shift {shift}, whose bit in i_1,7 is 0; "
                    f"allowed: a non-zero coefficient of tap 0 ({CLAUSE})"
                )

    @property
    def rank(self) -> int:
        return len(self.taps)

    @property
    def num_nonzero(self) -> int:
        """K^NZ."""
        return int(self.bitmap.sum())

    @cached_property
    def coefficients(self) -> np.ndarray:
        """Amplitudes and phases of every layer, complex128 [num_layers, Q, M, 2 L]; 0 where the bitmap is."""
        amplitude = POLARISATION_AMPLITUDES[self.k1].repeat(self.config.num_beams, 1)
        values = COEFFICIENT_AMPLITUDES[self.k2] * np.exp(2j * np.pi * self.c / NUM_PHASES)
        return np.where(self.bitmap, amplitude[:, None, None, :] * values, 0)

    def precoder(self) -> np.ndarray:
        """Unit-norm vector of every layer, interval and PMI unit, complex128 [num_layers, N4, N3, num_ports].

        The matrix of table 5.2.2.2.10-2 has these columns over sqrt(num_layers).
        """
        config = self.config
        units, intervals = np.arange(config.num_units), np.arange(config.num_intervals)
        # [layer, unit, tap] and [layer, interval, shift] on [layer, shift, tap, 2 L]
        over_units = np.exp(2j * np.pi * units[None, :, None] * np.array(self.taps)[:, None, :] / config.num_units)
        over_time = np.exp(
            2j * np.pi * intervals[None, :, None] * np.array(self.shifts)[:, None, :] / config.num_intervals
        )
        mixed = np.einsum("lut,lstb->lsub", over_units, self.coefficients)
        mixed = np.einsum("lns,lsub->lnub", over_time, mixed)
        beams = orthogonal_beams(config.n1, config.n2)[self.q][list(self.beams)]
        fields = mixed.reshape(*mixed.shape[:3], 2, config.num_beams) @ beams
        flat = fields.reshape(*mixed.shape[:3], -1)
        norm = np.linalg.norm(flat, axis=-1, keepdims=True)
        return np.divide(flat, norm, out=np.zeros_like(flat), where=norm > 0)
