"""The carrier and the slot."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ran.phy.config.base import Config


class Carrier(Config):
    """The carrier and the slot under test (TS 38.211 §4, Rel-18).

    subcarrier_spacing_khz: 15, 30, 60 or 120.
    num_prb: physical resource blocks of the grid, 1 to 275; all are allocated to the users, unless `allocation` of
        the PUSCH or PDSCH says otherwise.
    n_cell_id: physical cell identity; also the default of every scrambling identity.
    slot_number: slot within the frame; enters the DM-RS sequence (TS 38.211 §6.4.1.1.1.1).
    cyclic_prefix: "normal", or "extended" (60 kHz alone, 12 symbols per slot: TS 38.211 table 4.2-1).
    first_crb: offsetToCarrier, common resource block of the carrier's first PRB, counted from point A.
    """

    younger_fields: ClassVar[tuple[str, ...]] = ("cyclic_prefix", "first_crb")

    subcarrier_spacing_khz: Literal[15, 30, 60, 120] = 30
    num_prb: Annotated[int, Field(ge=1, le=275)] = 24
    n_cell_id: Annotated[int, Field(ge=0, le=1007)] = 1
    slot_number: Annotated[int, Field(ge=0, le=79)] = 0
    cyclic_prefix: Literal["normal", "extended"] = "normal"
    first_crb: Annotated[int, Field(ge=0, le=2199)] = 0

    @property
    def numerology(self) -> int:
        """mu of TS 38.211 table 4.2-1."""
        return {15: 0, 30: 1, 60: 2, 120: 3}[self.subcarrier_spacing_khz]

    @property
    def subcarrier_spacing_hz(self) -> float:
        return self.subcarrier_spacing_khz * 1e3

    @property
    def num_subcarriers(self) -> int:
        return 12 * self.num_prb

    @property
    def num_symbols(self) -> int:
        """OFDM symbols of a slot (TS 38.211 tables 4.3.2-1 and 4.3.2-2)."""
        return 12 if self.cyclic_prefix == "extended" else 14

    @property
    def slot_duration_s(self) -> float:
        return 1e-3 / 2**self.numerology

    @model_validator(mode="after")
    def _slot_is_in_frame(self) -> Carrier:
        slots = 10 * 2**self.numerology
        if self.slot_number >= slots:
            raise ValueError(
                f"slot_number {self.slot_number} is outside the frame: at {self.subcarrier_spacing_khz} kHz "
                f"allowed are 0 to {slots - 1} (TS 38.211 table 4.3.2-1)"
            )
        if self.cyclic_prefix == "extended" and self.subcarrier_spacing_khz != 60:
            raise ValueError(
                f"cyclic_prefix extended is not possible at {self.subcarrier_spacing_khz} kHz; allowed: 60 kHz "
                "(TS 38.211 table 4.2-1)"
            )
        return self
