"""Enhanced type II codebook (typeII-r16, TS 38.214 §5.2.2.2.5): configuration, PMI and the precoder that it says.

With 48, 64 and 128 ports it is eTypeII-r19 of Rel-19, which takes its codebook from there (§5.2.2.2.5a);
paramCombination 7 and 8 are for R = 1 and ranks up to 2, as with 32 ports.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, comb
from typing import ClassVar

import numpy as np

from ran.errors import InputError, bad_value
from ran.phy.csi.port_layout import orthogonal_beams, oversampling

CLAUSE = "TS 38.214 §5.2.2.2.5"
#: Values of paramCombination -> L, p for 1 and 2 layers, p for 3 and 4 layers, beta.
Combinations = dict[int, tuple[int, Fraction, Fraction | None, Fraction]]
#: paramCombination-r16 (TS 38.214 table 5.2.2.2.5-1).
_COMBINATIONS: Combinations = {
    1: (2, Fraction(1, 4), Fraction(1, 8), Fraction(1, 4)),
    2: (2, Fraction(1, 4), Fraction(1, 8), Fraction(1, 2)),
    3: (4, Fraction(1, 4), Fraction(1, 8), Fraction(1, 4)),
    4: (4, Fraction(1, 4), Fraction(1, 8), Fraction(1, 2)),
    5: (4, Fraction(1, 4), Fraction(1, 4), Fraction(3, 4)),
    6: (4, Fraction(1, 2), Fraction(1, 4), Fraction(1, 2)),
    7: (6, Fraction(1, 4), None, Fraction(1, 2)),
    8: (6, Fraction(1, 4), None, Fraction(3, 4)),
}
#: Amplitudes by k^(1), of which 0 is reserved, and by k^(2) (tables 5.2.2.2.5-2 and -3).
POLARISATION_AMPLITUDES = np.array([np.nan, *(2.0 ** (-(15 - k) / 4) for k in range(1, 16))])
COEFFICIENT_AMPLITUDES = 2.0 ** (-(7 - np.arange(8)) / 2)
NUM_PHASES = 16
#: Up to so many PMI units the taps are numbered directly, beyond within a window of 2 M taps.
WINDOW_FROM = 19


@dataclass(frozen=True)
class EnhancedTypeTwo:
    """What a report is configured with.

    n1, n2: layout of the ports. num_units: N3, precoding matrices over frequency. combination: paramCombination-r16.
    per_subband: R. max_rank: the highest rank that typeII-RI-Restriction-r16 allows; ranks from 1 on are allowed.
    `InputError` for what the clause does not allow.
    """

    clause: ClassVar[str] = CLAUSE
    parameter: ClassVar[str] = "paramCombination-r16"
    combinations: ClassVar[Combinations] = _COMBINATIONS
    #: The highest combination with 4 ports.
    of_four_ports: ClassVar[int] = 2

    n1: int
    n2: int
    num_units: int
    combination: int
    per_subband: int = 1
    max_rank: int = 1

    def __post_init__(self) -> None:
        oversampling(self.n1, self.n2)
        if self.combination not in self.combinations:
            last = len(self.combinations)
            raise bad_value(self.parameter, self.combination, f"1 to {last} ({self.clause})")
        # the last two have six beams and no rank above 2
        last = len(self.combinations)
        wide = self.num_ports >= 32 and self.per_subband == 1
        highest = self.of_four_ports if self.num_ports == 4 else last if wide else last - 2
        if self.combination > highest:
            raise bad_value(
                self.parameter,
                self.combination,
                f"1 to {highest} with {self.num_ports} ports and R = {self.per_subband} ({self.clause})",
            )
        if self.per_subband not in (1, 2):
            raise bad_value("numberOfPMI-SubbandsPerCQI-Subband", self.per_subband, f"1, 2 ({self.clause})")
        most = 2 if self.combination > last - 2 else 4
        if not 1 <= self.max_rank <= most:
            raise bad_value(
                "max_rank", self.max_rank, f"1 to {most} with paramCombination {self.combination} ({self.clause})"
            )
        if not 1 <= self.num_units <= 19 * self.per_subband:
            raise bad_value("num_units", self.num_units, f"1 to {19 * self.per_subband} with R = {self.per_subband}")

    @property
    def num_ports(self) -> int:
        return 2 * self.n1 * self.n2

    @property
    def num_beams(self) -> int:
        """L."""
        return self.combinations[self.combination][0]

    def num_taps(self, rank: int) -> int:
        """M of a rank."""
        _, low, high, _ = self.combinations[self.combination]
        share = low if rank <= 2 else high
        if share is None or not 1 <= rank <= self.max_rank:
            raise bad_value("rank", rank, f"1 to {self.max_rank} ({self.clause})")
        return ceil(share * Fraction(self.num_units, self.per_subband))

    @property
    def most_per_layer(self) -> int:
        """K0: the most non-zero coefficients of a layer; all layers together have at most twice as many."""
        return ceil(self.combinations[self.combination][3] * 2 * self.num_beams * self.num_taps(1) * self.num_shifts)

    @property
    def num_shifts(self) -> int:
        """Q, Doppler shifts of a coefficient's beam and tap; 1 in this codebook."""
        return 1

    @property
    def has_window(self) -> bool:
        """Whether i_1,5 is reported."""
        return self.num_units > WINDOW_FROM

    @property
    def num_beam_sets(self) -> int:
        return comb(self.n1 * self.n2, self.num_beams)

    def num_tap_sets(self, rank: int) -> int:
        """Values of i_1,6,l."""
        taps = self.num_taps(rank)
        return comb(2 * taps - 1, taps - 1) if self.has_window else comb(self.num_units - 1, taps - 1)


def check_num_nonzero(per_layer: np.ndarray, most: int, clause: str) -> None:
    """`InputError` where layers, int [num_layers], have more non-zero coefficients than a report may say."""
    if (per_layer > most).any() or per_layer.sum() > 2 * most:
        raise InputError(
            f"non-zero coefficients: got {per_layer.tolist()} by layer; allowed: {most} per layer and {2 * most} "
            f"together ({clause})"
        )


@dataclass(frozen=True, eq=False)
class EnhancedPmi:
    """The precoding matrix indicator of one report.

    q: (q1, q2). beams: L ascending beam numbers n = N1 n2 + n1. taps: of every layer M tap numbers n_3, of which the
    first is 0. start: M_initial, 0 to 1 - 2 M; 0 without a window. bitmap bool [num_layers, M, 2 L]: non-zero
    coefficients. strongest: of every layer its i* (with f* = 0). k1 int [num_layers, 2]. k2, c int [num_layers, M, 2
    L],
    0 where the bitmap is.
    """

    config: EnhancedTypeTwo
    q: tuple[int, int]
    beams: tuple[int, ...]
    taps: tuple[tuple[int, ...], ...]
    start: int
    bitmap: np.ndarray
    strongest: tuple[int, ...]
    k1: np.ndarray
    k2: np.ndarray
    c: np.ndarray

    def __post_init__(self) -> None:
        check_num_nonzero(self.bitmap.sum((1, 2)), self.config.most_per_layer, CLAUSE)
        for layer, place in enumerate(self.strongest):
            if not self.bitmap[layer, 0, place]:
                raise InputError(
                    f"i_1,8 of layer {layer + 1}: got {place}, whose bit in i_1,7 is 0; allowed: a "
                    "non-zero coefficient "
                    f"of tap 0 ({CLAUSE})"
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
        """Amplitudes and phases of every layer, complex128 [num_layers, M, 2 L]; 0 where the bitmap is."""
        amplitude = POLARISATION_AMPLITUDES[self.k1].repeat(self.config.num_beams, 1)
        values = COEFFICIENT_AMPLITUDES[self.k2] * np.exp(2j * np.pi * self.c / NUM_PHASES)
        return np.where(self.bitmap, amplitude[:, None, :] * values, 0)

    def precoder(self) -> np.ndarray:
        """Unit-norm vector of every layer and PMI unit, complex128 [num_layers, N3, num_ports] (table 5.2.2.2.5-5).

        The matrix of the table has these columns over sqrt(num_layers).
        """
        config = self.config
        units = np.arange(config.num_units)
        # [layer, unit, tap] on [layer, tap, 2 L]
        turns = np.exp(2j * np.pi * units[None, :, None] * np.array(self.taps)[:, None, :] / config.num_units)
        mixed = turns @ self.coefficients
        beams = orthogonal_beams(config.n1, config.n2)[self.q][list(self.beams)]
        fields = mixed.reshape(*mixed.shape[:2], 2, config.num_beams) @ beams
        flat = fields.reshape(*mixed.shape[:2], -1)
        # the sum over taps of a unit can vanish for no coefficients of a real search; such a unit has no precoder
        norm = np.linalg.norm(flat, axis=-1, keepdims=True)
        return np.divide(flat, norm, out=np.zeros_like(flat), where=norm > 0)
