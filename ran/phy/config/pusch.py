"""An allocation of the uplink."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ran.phy.codebook import num_tpmi
from ran.phy.config.reference_signals import Ptrs
from ran.phy.config.shared_channel import SharedChannel
from ran.phy.config.uci import Uci
from ran.phy.constellation import check_mean, check_points, shifted_qam
from ran.phy.mcs import mcs, num_mcs

_CONSTELLATIONS = "null, [re, im] of every point, {mean_power: P}, or weights by name or .safetensors file"


class Pusch(SharedChannel):
    """One PUSCH allocation that all users share (TS 38.211 §6.3.1, 38.214 §6.1, Rel-18).

    mapping_type: "A" or "B"; start_symbol, num_symbols: time allocation within the slot.
    mcs_table, mcs_index: TS 38.214 tables 5.1.3.1-1 to 5.1.3.1-4; table 4 (1024QAM) is the downlink's, and offered here
        for studies beyond the standard. With transform precoding tables 6.1.4.1-1, 5.1.3.1-2 and 6.1.4.1-2 for 1, 2, 3.
    num_layers: layers of each user; the layers of a user share its unit power.
    n_rnti: radio network temporary identifier of the first user; the others count up from it.
    n_id: data scrambling identity; default the cell identity.
    rv: redundancy version. overhead: xOverhead. limited_buffer: limited-buffer rate matching (TS 38.212 §5.4.2.1), for
        max_num_layers layers.
    num_antenna_ports, tpmi: codebook-based precoding of TS 38.211 §6.3.1.5; without them every layer has its antenna.
    transform_precoding: DFT-s-OFDM. pi2_bpsk: tp-pi2BPSK, the lowest MCS use pi/2-BPSK.
    ptrs: phase-tracking reference signals; none by default.
    constellation: points in place of QAM, real and imaginary parts [2**bits_per_symbol][2] of unit mean power, the
        label of a point its index with the first bit highest; a study beyond the standard, for one layer and CP-OFDM.
        {"mean_power": p} is QAM around a mean of power p: a superimposed pilot. Experiments and recipes also take the
        name or the file of weights that were trained with a constellation.
    pilotless: no DM-RS; all REs of the allocation carry data and count for the transport block size, without the limit
        of 156 per PRB. Needs a constellation whose mean is not zero, from which receivers estimate the channel.
    uci: uplink control information beside the transport block, or in place of it; none by default.
    """

    direction = "uplink"
    younger_fields = (
        *SharedChannel.younger_fields,
        "num_antenna_ports",
        "tpmi",
        "transform_precoding",
        "pi2_bpsk",
        "limited_buffer",
        "ptrs",
        "constellation",
        "pilotless",
        "uci",
    )

    num_layers: Annotated[int, Field(ge=1, le=4)] = 1
    num_antenna_ports: Literal[1, 2, 4] | None = None
    tpmi: Annotated[int, Field(ge=0, le=27)] = 0
    transform_precoding: bool = False
    pi2_bpsk: bool = False
    limited_buffer: bool = False
    ptrs: Ptrs | None = None
    constellation: Annotated[
        tuple[tuple[float, float], ...] | None,
        Field(json_schema_extra={"allowed": _CONSTELLATIONS}),
    ] = None
    pilotless: bool = False
    uci: Uci | None = None

    @property
    def has_dmrs(self) -> bool:
        return not self.pilotless

    @field_validator("constellation", mode="before")
    @classmethod
    def _points_may_be_shifted_qam(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dict) and set(value) == {"mean_power"} and {"mcs_table", "mcs_index"} <= info.data.keys():
            entry = mcs(info.data["mcs_table"], info.data["mcs_index"])
            return shifted_qam(entry.bits_per_symbol, value["mean_power"])
        # strict validation takes lists only straight from JSON
        return tuple(tuple(p) if isinstance(p, list) else p for p in value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _allocation_is_allowed(self) -> Pusch:
        if self.mapping_type == "A" and self.start_symbol != 0:
            raise ValueError(
                f"start_symbol {self.start_symbol} is not possible with mapping type A; "
                "allowed: 0 (TS 38.214 table 6.1.2.1-1)"
            )
        if self.mapping_type == "A" and self.num_symbols < 4:
            raise ValueError(
                f"num_symbols {self.num_symbols} is not possible with mapping type A; "
                "allowed: 4 to 14 (TS 38.214 table 6.1.2.1-1)"
            )
        if self.start_symbol + self.num_symbols > 14:
            raise ValueError(
                f"num_symbols {self.num_symbols} from start_symbol {self.start_symbol} leaves the slot; "
                f"allowed: at most {14 - self.start_symbol} (TS 38.214 table 6.1.2.1-1)"
            )
        _ = self.dmrs_groups
        last = num_mcs(self.mcs_table, self.transform_precoding) - 1
        if self.mcs_index > last:
            raise ValueError(
                f"mcs_index {self.mcs_index} has no code rate in mcs_table {self.mcs_table}; "
                f"allowed: 0 to {last} (TS 38.214 {'§6.1.4.1' if self.transform_precoding else '§5.1.3.1'})"
            )
        self._check_layers_for_buffer()
        self._check_frequency_density()
        self._check_precoding()
        self._check_transform_precoding()
        self._check_ptrs()
        self._check_constellation()
        self._check_allocation()
        self._check_uci()
        return self

    def _check_uci(self) -> None:
        if self.uci is not None and self.allocation.hopping == "intra-slot":
            raise ValueError("uci: got some with intra-slot hopping; allowed: without hopping")
        if self.uci is not None and (self.pilotless or self.constellation is not None):
            raise ValueError("uci: got some with a constellation of its own; allowed: QAM and DM-RS")

    def _check_allocation(self) -> None:
        found = self.allocation
        if found.vrb_bundle is not None:
            raise ValueError("allocation.vrb_bundle: a PUSCH is not interleaved; allowed: null (TS 38.211 §6.3.1.7)")
        if found.reserved and self.transform_precoding:
            raise ValueError("allocation.reserved: got some with transform_precoding; allowed: CP-OFDM")
        if found.hopping == "intra-slot" and self.ptrs is not None:
            raise ValueError("allocation.hopping: got intra-slot with ptrs; allowed: without PT-RS")
        if found.hopping == "intra-slot" and self.pilotless:
            raise ValueError("allocation.hopping: got intra-slot with pilotless; allowed: with DM-RS")
        if self.transform_precoding and (found.prbs is not None or found.rbg_bitmap is not None):
            raise ValueError(
                "allocation: got resource allocation type 0 with transform_precoding; allowed: first_prb with num_prb "
                "(TS 38.214 §6.1.2.2)"
            )

    def _check_constellation(self) -> None:
        if self.constellation is None:
            if self.pilotless:
                raise ValueError("pilotless: got true without a constellation; allowed: with one whose mean is not 0")
            return
        if self.transform_precoding or self.num_layers != 1:
            got = "transform_precoding" if self.transform_precoding else f"{self.num_layers} layers"
            raise ValueError(f"constellation: got one with {got}; allowed: CP-OFDM, one layer")
        check_points(self.constellation, mcs(self.mcs_table, self.mcs_index).bits_per_symbol)
        if not self.pilotless:
            return
        check_mean(self.constellation)
        if self.ptrs is not None:
            raise ValueError("pilotless: got true with ptrs; allowed: without, PT-RS go with DM-RS (TS 38.214 §6.2.3)")

    def _check_precoding(self) -> None:
        if self.num_antenna_ports is None:
            if self.tpmi:
                raise ValueError(f"tpmi {self.tpmi} needs num_antenna_ports; allowed: 1, 2, 4 (TS 38.211 §6.3.1.5)")
            return
        if self.num_layers > self.num_antenna_ports:
            raise ValueError(
                f"num_layers {self.num_layers} exceeds num_antenna_ports {self.num_antenna_ports}; "
                f"allowed: 1 to {self.num_antenna_ports} (TS 38.211 §6.3.1.5)"
            )
        last = num_tpmi(self.num_layers, self.num_antenna_ports) - 1
        if self.tpmi > last:
            raise ValueError(
                f"tpmi {self.tpmi} does not exist for {self.num_layers} layers on {self.num_antenna_ports} antenna "
                f"ports; allowed: 0 to {last} (TS 38.211 §6.3.1.5)"
            )

    def _check_transform_precoding(self) -> None:
        if not self.transform_precoding:
            for name, value, default in (
                ("pi2_bpsk", self.pi2_bpsk, False),
                ("dmrs.low_papr_type", self.dmrs.low_papr_type, 1),
                ("dmrs.hopping", self.dmrs.hopping, "none"),
            ):
                if value != default:
                    raise ValueError(
                        f"{name} {value!r} needs transform_precoding; allowed: {default!r} "
                        "(TS 38.211 §6.3.1.2 and §6.4.1.1.1)"
                    )
            return
        if self.num_layers != 1:
            raise ValueError(
                f"num_layers {self.num_layers} is not possible with transform_precoding; allowed: 1 (TS 38.211 §6.3.1)"
            )
        if self.dmrs.config_type != 1:
            raise ValueError(
                "dmrs.config_type 2 is not possible with transform precoding; allowed: 1 (TS 38.211 §6.4.1.1.3)"
            )
        if self.dmrs.frequency_density != 1:
            raise ValueError(
                f"dmrs.frequency_density {self.dmrs.frequency_density} is not possible with transform precoding; "
                "allowed: 1, since data between pilots would not be spread (TS 38.211 §6.3.1.4)"
            )
        if self.dmrs.num_cdm_groups_without_data != 2:
            raise ValueError(
                f"dmrs.num_cdm_groups_without_data {self.dmrs.num_cdm_groups_without_data} is not possible with "
                "transform precoding; allowed: 2 (TS 38.212 tables 7.3.1.1.2-6 and 7.3.1.1.2-7)"
            )
        if self.ptrs is not None:
            raise ValueError("ptrs: got PT-RS with transform precoding; allowed: null (only CP-OFDM has PT-RS here)")
        if (
            self.dmrs.low_papr_type == 2
            and mcs(self.mcs_table, self.mcs_index, True, self.pi2_bpsk).bits_per_symbol != 1
        ):
            raise ValueError(
                "dmrs.low_papr_type 2 needs pi/2-BPSK data (pi2_bpsk: true and an MCS of order q); allowed: 1 "
                "(TS 38.211 §6.4.1.1.1.2)"
            )
        if self.dmrs.low_papr_type == 1 and self.dmrs.n_id is not None and self.dmrs.n_id > 1007:
            raise ValueError(
                f"dmrs.n_id {self.dmrs.n_id} with transform precoding; allowed: 0 to 1007 "
                "(nPUSCH-Identity, TS 38.211 §6.4.1.1.1.2)"
            )

    def _check_ptrs(self) -> None:
        if self.ptrs is not None and self.ptrs.layer >= self.num_layers:
            raise ValueError(
                f"ptrs.layer {self.ptrs.layer} does not exist; allowed: 0 to {self.num_layers - 1} (TS 38.214 §6.2.3)"
            )
