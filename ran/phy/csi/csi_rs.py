"""NZP CSI-RS of 4 to 32 ports: where it is and what it is (TS 38.211 §7.4.1.5, Rel-18)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ran.errors import bad_value
from ran.phy.sequences import gold_sequence


@dataclass(frozen=True)
class _Row:
    """A row of table 7.4.1.5.3-1. groups: of every CDM group the index of k and the place of its symbol: (k, l, offset)
    is at k_i and l_j + offset. cdm: (length in frequency, length in time)."""

    num_ports: int
    cdm: tuple[int, int]
    groups: tuple[tuple[int, int, int], ...]
    densities: tuple[float, ...]


def _grid(count: int, *symbols: tuple[int, int]) -> tuple[tuple[int, int, int], ...]:
    return tuple((k, symbol, offset) for symbol, offset in symbols for k in range(count))


_BOTH = (0.5, 1.0)
#: Rows 4 to 18 of TS 38.211 table 7.4.1.5.3-1. Row 4 has its second group at k0 + 2, which `_places` knows.
_ROWS: dict[int, _Row] = {
    4: _Row(4, (2, 1), ((0, 0, 0), (0, 0, 0)), (1.0,)),
    5: _Row(4, (2, 1), _grid(1, (0, 0), (0, 1)), (1.0,)),
    6: _Row(8, (2, 1), _grid(4, (0, 0)), (1.0,)),
    7: _Row(8, (2, 1), _grid(2, (0, 0), (0, 1)), (1.0,)),
    8: _Row(8, (2, 2), _grid(2, (0, 0)), (1.0,)),
    9: _Row(12, (2, 1), _grid(6, (0, 0)), (1.0,)),
    10: _Row(12, (2, 2), _grid(3, (0, 0)), (1.0,)),
    11: _Row(16, (2, 1), _grid(4, (0, 0), (0, 1)), _BOTH),
    12: _Row(16, (2, 2), _grid(4, (0, 0)), _BOTH),
    13: _Row(24, (2, 1), _grid(3, (0, 0), (0, 1), (1, 0), (1, 1)), _BOTH),
    14: _Row(24, (2, 2), _grid(3, (0, 0), (1, 0)), _BOTH),
    15: _Row(24, (2, 4), _grid(3, (0, 0)), _BOTH),
    16: _Row(32, (2, 1), _grid(4, (0, 0), (0, 1), (1, 0), (1, 1)), _BOTH),
    17: _Row(32, (2, 2), _grid(4, (0, 0), (1, 0)), _BOTH),
    18: _Row(32, (2, 4), _grid(4, (0, 0)), _BOTH),
}
_CLAUSE = "TS 38.211 table 7.4.1.5.3-1"
#: Signs over time by CDM index (tables 7.4.1.5.3-2 to -5); the index counts frequency first.
_TIME_SIGNS = {
    1: ((1,),),
    2: ((1, 1), (1, -1)),
    4: ((1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1)),
}
_FREQUENCY_SIGNS = ((1, 1), (1, -1))


def rows_of(num_ports: int) -> tuple[int, ...]:
    """Rows of the table with so many ports."""
    found = tuple(number for number, row in _ROWS.items() if row.num_ports == num_ports)
    if not found:
        allowed = ", ".join(map(str, sorted({row.num_ports for row in _ROWS.values()})))
        raise bad_value("num_ports", num_ports, f"{allowed} ({_CLAUSE})")
    return found


@dataclass(frozen=True)
class CsiRs:
    """An NZP CSI-RS resource.

    row: of the table, 4 to 18. subcarriers: k_i of the table, subcarriers in a PRB. symbols: l_0, and l_1 where the row
    has it. density: resource elements per port and PRB; at 0.5 every other PRB has some. first_prb: the first of
    these, 0
    or 1, at density 0.5. scrambling_id: n_ID, 0 to 1023.
    """

    row: int
    subcarriers: tuple[int, ...]
    symbols: tuple[int, ...] = (4,)
    density: float = 1.0
    first_prb: int = 0
    scrambling_id: int = 0

    def __post_init__(self) -> None:
        if self.row not in _ROWS:
            raise bad_value("row", self.row, f"4 to 18 ({_CLAUSE})")
        row = _ROWS[self.row]
        if self.density not in row.densities:
            raise bad_value("density", self.density, f"{', '.join(f'{d:g}' for d in row.densities)} in row {self.row}")
        num_k, num_l = (1 + max(group[axis] for group in row.groups) for axis in (0, 1))
        for what, given, count, most in (
            ("subcarriers", self.subcarriers, num_k, 10 if self.row != 4 else 8),
            ("symbols", self.symbols, num_l, 13),
        ):
            if len(given) != count or any(not 0 <= value <= most for value in given):
                raise bad_value(what, given, f"{count} numbers from 0 to {most} in row {self.row} ({_CLAUSE})")
        if not 0 <= self.scrambling_id <= 1023:
            raise bad_value("scrambling_id", self.scrambling_id, "0 to 1023 (TS 38.211 §7.4.1.5.2)")
        if self.first_prb not in (0, 1) or (self.first_prb and self.density == 1):
            raise bad_value("first_prb", self.first_prb, "0, or 1 at density 0.5")
        places = [place for group in self._places for place in group]
        if len(set(places)) != len(places) or max(symbol for _, symbol in places) > 13:
            raise bad_value(
                "subcarriers, symbols", (self.subcarriers, self.symbols), "groups that do not overlap in a slot"
            )

    @property
    def num_ports(self) -> int:
        return _ROWS[self.row].num_ports

    @property
    def cdm_length(self) -> int:
        """L: ports that share the resource elements of a group."""
        frequency, time = _ROWS[self.row].cdm
        return frequency * time

    @property
    def _places(self) -> list[list[tuple[int, int]]]:
        """(subcarrier in a PRB, symbol) of every CDM group's elements, k' inside l'."""
        row = _ROWS[self.row]
        found = []
        for number, (k, symbol, offset) in enumerate(row.groups):
            first = self.subcarriers[k] + (2 * number if self.row == 4 else 0)
            start = self.symbols[symbol] + offset
            found.append([(first + a, start + b) for b in range(row.cdm[1]) for a in range(row.cdm[0])])
        return found

    @property
    def elements(self) -> tuple[tuple[int, int], ...]:
        """(subcarrier in a PRB, symbol) of all resource elements, CDM group after group."""
        return tuple(place for group in self._places for place in group)

    def prbs(self, num_prb: int) -> np.ndarray:
        """PRBs with resource elements, of a band from common resource block 0 on, int64."""
        return np.arange(self.first_prb if self.density == 0.5 else 0, num_prb, 2 if self.density == 0.5 else 1)

    def pilots(self, num_prb: int, slot: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """What every port sends on the resource elements of every PRB of `prbs`.

        Returns the elements, int64 [num_re, 2] (subcarrier in the PRB, symbol), and complex128 [num_prb_used,
        num_ports,
        num_re] with |value| 1 or 0. a = w_f(k') w_t(l') r(m'), m' = floor(n alpha) + k', alpha = 2 rho, with r of
        c_init = (2^10 (14 n_s + l + 1)(2 n_ID + 1) + n_ID) mod 2^31 (§7.4.1.5.2, §7.4.1.5.3).
        """
        row = _ROWS[self.row]
        elements = self.elements
        length = self.cdm_length
        used = self.prbs(num_prb)
        sequences = {symbol: self._sequence(num_prb, slot, symbol) for symbol in {symbol for _, symbol in elements}}
        values = np.zeros((len(used), row.num_ports, len(elements)), complex)
        first = (used * 2 * self.density).astype(int)
        for group in range(len(row.groups)):
            for index in range(length):
                port = group * length + index
                over_time, over_frequency = _TIME_SIGNS[row.cdm[1]][index // 2], _FREQUENCY_SIGNS[index % 2]
                for place in range(length):
                    element = group * length + place
                    sign = over_time[place // 2] * over_frequency[place % 2]
                    values[:, port, element] = sign * sequences[elements[element][1]][first + place % 2]
        return np.array(elements), values

    def _sequence(self, num_prb: int, slot: int, symbol: int) -> np.ndarray:
        seed = (2**10 * (14 * slot + symbol + 1) * (2 * self.scrambling_id + 1) + self.scrambling_id) % 2**31
        c = np.asarray(gold_sequence(seed, 4 * (num_prb + 1)), int)
        return ((1 - 2 * c[0::2]) + 1j * (1 - 2 * c[1::2])) / np.sqrt(2)


def usual_resource(num_ports: int, density: float = 1.0) -> CsiRs:
    """A resource of the row with the longest code, from the first subcarrier and symbol 4 on, of so many ports."""
    number = rows_of(num_ports)[-1]
    row = _ROWS[number]
    num_k = 1 + max(group[0] for group in row.groups)
    if row.groups[-1][1]:
        raise bad_value("num_ports", num_ports, "a row with one first symbol")
    return CsiRs(number, tuple(2 * k for k in range(num_k)), (4,), density)
