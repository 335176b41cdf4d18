"""Sounding reference signals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ran.phy.config.base import Config

#: n_SRS^cs,max by K_TC (TS 38.211 table 6.4.1.4.2-1, Rel-18).
MAX_CYCLIC_SHIFTS = {2: 8, 4: 12, 8: 6}
#: SRS-PeriodicityAndOffset of TS 38.331.
PERIODS_SLOTS = (1, 2, 4, 5, 8, 10, 16, 20, 32, 40, 64, 80, 160, 320, 640, 1280, 2560)


class Srs(Config):
    """An SRS resource of one user (TS 38.211 §6.4.1.4, Rel-18).

    c_srs, b_srs: row and column of table 6.4.1.4.3-1, which give the PRBs of a transmission.
    b_hop: frequency hopping where it is below b_srs. n_rrc: position in the frequency domain, in 4 PRBs.
    n_shift: PRBs from common resource block 0, or from the first PRB of the bandwidth part where that is above n_shift.
    bwp_start_crb: first common resource block of the bandwidth part; null, the default: the carrier's first.
    num_ports: antenna ports, 1, 2 or 4. comb: K_TC, every so many subcarriers, 2, 4 or 8. comb_offset: 0 to comb - 1.
    cyclic_shift: n_SRS^cs of the first port, 0 to 7 with comb 2, 11 with comb 4, 5 with comb 8.
    num_symbols: consecutive OFDM symbols. start_position: l_offset, of the first symbol, counted back from the end of
    the slot. repetition: R, symbols before the next hop.
    n_id: sequence identity, 0 to 1023; default the cell identity. hopping: of the base sequences by slot and symbol:
    "group", "sequence" or "none".
    period_slots, offset_slots: of a periodic or semi-persistent resource; null and 0, the default: aperiodic.
    """

    c_srs: Annotated[int, Field(ge=0, le=63)]
    b_srs: Literal[0, 1, 2, 3] = 0
    b_hop: Literal[0, 1, 2, 3] = 0
    n_rrc: Annotated[int, Field(ge=0, le=67)] = 0
    n_shift: Annotated[int, Field(ge=0, le=268)] = 0
    bwp_start_crb: Annotated[int, Field(ge=0, le=2473)] | None = None
    num_ports: Literal[1, 2, 4] = 1
    comb: Literal[2, 4, 8] = 2
    comb_offset: Annotated[int, Field(ge=0, le=7)] = 0
    cyclic_shift: Annotated[int, Field(ge=0, le=11)] = 0
    num_symbols: Literal[1, 2, 4, 8, 10, 12, 14] = 1
    start_position: Annotated[int, Field(ge=0, le=13)] = 0
    repetition: Literal[1, 2, 4, 5, 6, 7, 8, 10, 12, 14] = 1
    n_id: Annotated[int, Field(ge=0, le=1023)] | None = None
    hopping: Literal["none", "group", "sequence"] = "none"
    period_slots: Annotated[int, Field(ge=1, le=2560)] | None = None
    offset_slots: Annotated[int, Field(ge=0, le=2559)] = 0

    @property
    def max_cyclic_shifts(self) -> int:
        """n_SRS^cs,max."""
        return MAX_CYCLIC_SHIFTS[self.comb]

    @model_validator(mode="after")
    def _values_go_together(self) -> Srs:
        if self.comb_offset >= self.comb:
            raise ValueError(
                f"comb_offset {self.comb_offset} with comb {self.comb}; allowed: 0 to {self.comb - 1} "
                "(TS 38.211 §6.4.1.4.3)"
            )
        if self.cyclic_shift >= self.max_cyclic_shifts:
            raise ValueError(
                f"cyclic_shift {self.cyclic_shift} with comb {self.comb}; allowed: 0 to {self.max_cyclic_shifts - 1} "
                "(TS 38.211 table 6.4.1.4.2-1)"
            )
        if self.start_position < self.num_symbols - 1:
            raise ValueError(
                f"start_position {self.start_position} with num_symbols {self.num_symbols}; allowed: "
                f"{self.num_symbols - 1} to 13, so that the last symbol is in the slot (TS 38.211 §6.4.1.4.1)"
            )
        if self.num_symbols % self.repetition:
            allowed = ", ".join(str(n) for n in range(1, self.num_symbols + 1) if self.num_symbols % n == 0)
            raise ValueError(
                f"repetition {self.repetition} with num_symbols {self.num_symbols}; allowed: {allowed} "
                "(TS 38.214 §6.2.1)"
            )
        if self.period_slots is not None and self.period_slots not in PERIODS_SLOTS:
            raise ValueError(
                f"period_slots {self.period_slots}; allowed: {', '.join(map(str, PERIODS_SLOTS))} "
                "(TS 38.331, SRS-PeriodicityAndOffset)"
            )
        if self.offset_slots >= (self.period_slots or 1):
            raise ValueError(
                f"offset_slots {self.offset_slots} with period_slots {self.period_slots}; allowed: 0 to "
                f"{(self.period_slots or 1) - 1}"
            )
        return self
