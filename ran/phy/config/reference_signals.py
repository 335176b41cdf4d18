"""Reference signals beside the data: DM-RS and PT-RS."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ran.phy.config.base import Config


class Dmrs(Config):
    """DM-RS of a PUSCH or a PDSCH (TS 38.211 §6.4.1.1 and §7.4.1.1, Rel-18).

    config_type: 1 has 2 CDM groups of 6 REs per PRB, 2 has 3 of 4.
    length: symbols of each DM-RS position, 1 (single-symbol) or 2 (double-symbol, twice the ports).
    type_a_position: symbol of the first DM-RS with mapping type A, 2 or 3.
    additional_position: additional DM-RS positions, 0 to 3; 0 or 1 with double symbols.
    num_cdm_groups_without_data: CDM groups whose REs are kept free of data; the REs of the others carry data.
        Also sets the DM-RS power: 0, 3 or 4.77 dB for 1, 2 or 3, relative to data (TS 38.214 tables 6.2.2-1 and 4.1-1).
    n_id: scrambling identity of the DM-RS; default the cell identity.
    n_scid: 0 or 1.
    low_papr_type: base sequences with transform precoding: 1 (TS 38.211 §5.2.2), or 2 (§5.2.3), which is for pi/2-BPSK.
    hopping: of the base sequences with transform precoding, by slot and symbol: "group", "sequence" or "none".
    reference_crb: common resource block from which the sequence of CP-OFDM counts: 0 is point A; for SI-RNTI the first
        of CORESET 0 (TS 38.211 §7.4.1.1.2).
    frequency_density: a CDM group sends every so many of its pairs of pilots; the REs of the others carry data, and all
        REs count for the transport block size, without the limit of 156 per PRB. Beyond the standard, which has 1.
    """

    younger_fields = ("config_type", "length", "low_papr_type", "hopping", "reference_crb", "frequency_density")

    type_a_position: Literal[2, 3] = 2
    additional_position: Literal[0, 1, 2, 3] = 1
    num_cdm_groups_without_data: Literal[1, 2, 3] = 2
    n_id: Annotated[int, Field(ge=0, le=65535)] | None = None
    n_scid: Literal[0, 1] = 0
    config_type: Literal[1, 2] = 1
    length: Literal[1, 2] = 1
    low_papr_type: Literal[1, 2] = 1
    hopping: Literal["none", "group", "sequence"] = "none"
    reference_crb: Annotated[int, Field(ge=0, le=2473)] = 0
    frequency_density: Literal[1, 2, 4, 8] = 1

    @model_validator(mode="after")
    def _groups_exist(self) -> Dmrs:
        if self.num_cdm_groups_without_data == 3 and self.config_type == 1:
            raise ValueError(
                "num_cdm_groups_without_data 3 needs config_type 2, got 1; allowed: 1, 2 (TS 38.211 table 6.4.1.1.3-1)"
            )
        return self


class Ptrs(Config):
    """PT-RS of a PUSCH without transform precoding, one PT-RS port (TS 38.211 §6.4.1.2, 38.214 §6.2.3.1, Rel-18).

    time_density: L_PT-RS, every so many symbols. frequency_density: K_PT-RS, in every so many PRBs.
    re_offset: resourceElementOffset, 0 to 3 for "offset00" to "offset11".
    layer: layer of the user whose DM-RS port the PT-RS is associated with.
    power: ptrs-Power, row 0 or 1 of TS 38.214 table 6.2.3.1-3.
    """

    time_density: Literal[1, 2, 4] = 1
    frequency_density: Literal[2, 4] = 2
    re_offset: Literal[0, 1, 2, 3] = 0
    layer: Annotated[int, Field(ge=0, le=3)] = 0
    power: Literal[0, 1] = 0
