"""Carrier and PUSCH configuration: frozen, checked once, then trusted everywhere below."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Arithmetic of the LDPC decoder's messages.
Precision = Literal["int8", "float32"]


class Config(BaseModel):
    """Base of every configuration object: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Carrier(Config):
    """The carrier and the slot under test (TS 38.211 §4, Rel-18; normal cyclic prefix).

    subcarrier_spacing_khz: 15, 30, 60 or 120.
    num_prb: physical resource blocks of the grid, all allocated to the users, 1 to 275.
    n_cell_id: physical cell identity; also the default of every scrambling identity.
    slot_number: slot within the frame; enters the DM-RS sequence (TS 38.211 §6.4.1.1.1.1).
    """

    subcarrier_spacing_khz: Literal[15, 30, 60, 120] = 30
    num_prb: Annotated[int, Field(ge=1, le=275)] = 24
    n_cell_id: Annotated[int, Field(ge=0, le=1007)] = 1
    slot_number: Annotated[int, Field(ge=0)] = 0

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
        return self


class Dmrs(Config):
    """DM-RS of a PUSCH, configuration type 1, single-symbol (TS 38.211 §6.4.1.1, Rel-18).

    type_a_position: symbol of the first DM-RS with mapping type A, 2 or 3.
    additional_position: additional DM-RS positions, 0 to 3.
    num_cdm_groups_without_data: 1 leaves the REs of the other CDM group to data, 2 keeps them empty.
        Also sets the DM-RS power: 0 dB for 1, 3 dB for 2, relative to data (TS 38.214 table 6.2.2-1).
    n_id: scrambling identity of the DM-RS; default the cell identity.
    n_scid: 0 or 1.
    """

    type_a_position: Literal[2, 3] = 2
    additional_position: Literal[0, 1, 2, 3] = 1
    num_cdm_groups_without_data: Literal[1, 2] = 2
    n_id: Annotated[int, Field(ge=0, le=65535)] | None = None
    n_scid: Literal[0, 1] = 0


class Pusch(Config):
    """One PUSCH allocation that all users share (TS 38.211 §6.3.1, 38.214 §6.1, Rel-18).

    start_symbol, num_symbols: time allocation within the slot, mapping type A.
    mcs_table, mcs_index: TS 38.214 tables 5.1.3.1-1 and 5.1.3.1-2.
    num_layers: layers of each user; the layers of a user share its unit power.
    n_rnti: radio network temporary identifier of the first user; the others count up from it.
    n_id: data scrambling identity; default the cell identity.
    """

    mapping_type: Literal["A"] = "A"
    start_symbol: Annotated[int, Field(ge=0, le=13)] = 0
    num_symbols: Annotated[int, Field(ge=1, le=14)] = 14
    mcs_table: Literal[1, 2] = 1
    mcs_index: Annotated[int, Field(ge=0, le=28)] = 14
    num_layers: Annotated[int, Field(ge=1, le=4)] = 1
    n_rnti: Annotated[int, Field(ge=1, le=65519)] = 1
    n_id: Annotated[int, Field(ge=0, le=1023)] | None = None
    dmrs: Dmrs = Dmrs()

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("dmrs", ...) is None:
            data = {k: v for k, v in data.items() if k != "dmrs"}
        return data

    @model_validator(mode="after")
    def _allocation_is_allowed(self) -> Pusch:
        if self.start_symbol != 0:
            raise ValueError(
                f"start_symbol {self.start_symbol} is not possible with mapping type A; "
                "allowed: 0 (TS 38.214 table 6.1.2.1-1)"
            )
        if self.num_symbols < 4:
            raise ValueError(
                f"num_symbols {self.num_symbols} is not possible with mapping type A; "
                "allowed: 4 to 14 (TS 38.214 table 6.1.2.1-1)"
            )
        if self.dmrs.additional_position == 3 and self.dmrs.type_a_position == 3:
            raise ValueError("dmrs.additional_position 3 needs dmrs.type_a_position 2, got 3 (TS 38.211 §6.4.1.1.3)")
        last = 27 if self.mcs_table == 2 else 28
        if self.mcs_index > last:
            raise ValueError(
                f"mcs_index {self.mcs_index} has no code rate in mcs_table {self.mcs_table}; "
                f"allowed: 0 to {last} (TS 38.214 §5.1.3.1)"
            )
        return self


class Users(Config):
    """The users that share the allocation by MU-MIMO with orthogonal DM-RS ports.

    num_users: users transmitting at once.
    dmrs_ports: one list of DM-RS ports (0 to 3, TS 38.211 table 6.4.1.1.3-1) per user, one port per layer;
        by default ports are handed out alternating between the CDM groups: 0, 2, 1, 3.
    """

    num_users: Annotated[int, Field(ge=1, le=4)] = 1
    dmrs_ports: tuple[tuple[Annotated[int, Field(ge=0, le=3)], ...], ...] | None = None


class Decoder(Config):
    """LDPC decoding: layered normalised min-sum with at most `num_iterations` iterations, stopped by the syndrome.

    precision: arithmetic of the messages, int8 or float32.
    """

    num_iterations: Annotated[int, Field(ge=1, le=1000)] = 20
    precision: Precision = "int8"
