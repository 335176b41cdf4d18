"""The physical uplink control channel of one user."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ran.phy.config.base import Config

#: OFDM symbols of every format (TS 38.211 table 6.3.2.1-1), and UCI bits (TS 38.213 §9.2.1).
SYMBOLS = {0: (1, 2), 1: (4, 14), 2: (1, 2), 3: (4, 14), 4: (4, 14)}
BITS = {0: (0, 2), 1: (1, 2), 2: (3, 1706), 3: (3, 1706), 4: (3, 115)}
#: PRBs of formats 2 and 3.
MOST_PRB = 16
# Fields that only some formats have.
_FORMATS_OF = {
    "num_prb": (2, 3),
    "initial_cyclic_shift": (0, 1),
    "occ_index": (1, 4),
    "spreading_factor": (4,),
    "modulation": (3, 4),
    "additional_dmrs": (3, 4),
    "n_id": (2, 3, 4),
    "n_id0": (2,),
    "n_rnti": (2, 3, 4),
}


class Pucch(Config):
    """A PUCCH resource of one user and the UCI on it (TS 38.211 §6.3.2, Rel-18).

    format: 0 to 4. num_bits: UCI bits, 0 to 2 in format 0 (0: scheduling request alone), 1 or 2 in format 1, else 3 and
    more, which are coded together.
    start_symbol, num_symbols: in the slot. prb_start, num_prb: in the carrier, of the first hop; formats 2 and 3 have
    up to 16 PRBs (format 3: a product of powers of 2, 3, 5).
    second_hop_prb: first PRB of the second hop of intra-slot frequency hopping; null, the default: no hopping.
    group_hopping: pucch-GroupHopping, "neither", "enable" (group hopping) or "disable" (sequence hopping).
    hopping_id: of base sequences and cyclic shifts, 0 to 1023; default the cell identity.
    initial_cyclic_shift: m_0 of formats 0 and 1. occ_index: orthogonal cover, of format 1 in time, of format 4 in
    frequency, where spreading_factor is 2 or 4.
    modulation: "QPSK" or "pi/2-BPSK", additional_dmrs: of formats 3 and 4.
    n_id: of scrambling in formats 2 to 4, n_id0: of the DM-RS of format 2; default the cell identity. n_rnti: of
    scrambling.
    """

    format: Literal[0, 1, 2, 3, 4]
    num_bits: Annotated[int, Field(ge=0, le=1706)] = 1
    start_symbol: Annotated[int, Field(ge=0, le=13)] = 0
    num_symbols: Annotated[int, Field(ge=1, le=14)] = 14
    prb_start: Annotated[int, Field(ge=0, le=274)] = 0
    num_prb: Annotated[int, Field(ge=1, le=MOST_PRB)] = 1
    second_hop_prb: Annotated[int, Field(ge=0, le=274)] | None = None
    group_hopping: Literal["neither", "enable", "disable"] = "neither"
    hopping_id: Annotated[int, Field(ge=0, le=1023)] | None = None
    initial_cyclic_shift: Annotated[int, Field(ge=0, le=11)] = 0
    occ_index: Annotated[int, Field(ge=0, le=6)] = 0
    spreading_factor: Literal[2, 4] = 2
    modulation: Literal["QPSK", "pi/2-BPSK"] = "QPSK"
    additional_dmrs: bool = False
    n_id: Annotated[int, Field(ge=0, le=1023)] | None = None
    n_id0: Annotated[int, Field(ge=0, le=65535)] | None = None
    n_rnti: Annotated[int, Field(ge=0, le=65535)] = 1

    @property
    def bits_per_symbol(self) -> int:
        """Q_m of the modulated symbols; of format 1 that of its one symbol."""
        if self.format == 1:
            return self.num_bits
        return 1 if self.modulation == "pi/2-BPSK" else 2

    @property
    def num_hops(self) -> int:
        """Parts of the slot at frequencies of their own."""
        return 1 if self.second_hop_prb is None else 2

    @property
    def num_subcarriers(self) -> int:
        """M_sc: subcarriers in a symbol."""
        return 12 * self.num_prb

    @model_validator(mode="after")
    def _values_go_together(self) -> Pucch:
        name = f"PUCCH format {self.format}"
        low, high = SYMBOLS[self.format]
        if not low <= self.num_symbols <= high:
            raise ValueError(
                f"num_symbols {self.num_symbols} of {name}; allowed: {low} to {high} (TS 38.211 table 6.3.2.1-1)"
            )
        if self.start_symbol + self.num_symbols > 14:
            raise ValueError(
                f"start_symbol {self.start_symbol} with num_symbols {self.num_symbols}; allowed: start_symbol 0 to "
                f"{14 - self.num_symbols}, within the slot (TS 38.211 §6.3.2.1)"
            )
        least, most = BITS[self.format]
        if not least <= self.num_bits <= most:
            raise ValueError(f"num_bits {self.num_bits} of {name}; allowed: {least} to {most} (TS 38.213 §9.2.1)")
        for field, formats in _FORMATS_OF.items():
            if self.format not in formats and getattr(self, field) != type(self).model_fields[field].default:
                allowed = ", ".join(map(str, formats))
                raise ValueError(
                    f"{field} {getattr(self, field)} of {name}; allowed: in formats {allowed} (TS 38.211 §6.3.2)"
                )
        if self.num_hops == 2 and self.num_symbols == 1:
            raise ValueError(
                f"second_hop_prb {self.second_hop_prb} with num_symbols 1; allowed: from 2 symbols on "
                "(TS 38.211 §6.3.2.1)"
            )
        if self.format == 3 and not _smooth(self.num_prb):
            raise ValueError(
                f"num_prb {self.num_prb} of {name}; allowed: 1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16 "
                "(TS 38.211 §6.3.2.6.3)"
            )
        if self.format in (1, 4) and self.occ_index >= self.num_covers:
            raise ValueError(
                f"occ_index {self.occ_index} of {name} here; allowed: 0 to {self.num_covers - 1} (TS 38.211 tables "
                "6.3.2.4.1-1 and 6.3.2.6.3-1)"
            )
        return self

    @property
    def num_covers(self) -> int:
        """Orthogonal covers that there are: the fewest symbols of a kind in a hop in format 1, N_SF in format 4."""
        if self.format == 4:
            return self.spreading_factor
        half = self.num_symbols // 2
        parts = ((0, self.num_symbols),) if self.num_hops == 1 else ((0, half), (half, self.num_symbols))
        # DM-RS are the even symbols
        counts = [[sum(n % 2 == kind for n in range(*part)) for kind in (0, 1)] for part in parts]
        return min(min(pair) for pair in counts)


def _smooth(number: int) -> bool:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number == 1
