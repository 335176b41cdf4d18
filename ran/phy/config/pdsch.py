"""An allocation of the downlink."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ran.phy.config.allocation import Allocation
from ran.phy.config.shared_channel import SharedChannel
from ran.phy.mcs import McsEntry, mcs, num_mcs


class Pdsch(SharedChannel):
    """One PDSCH allocation of one user (TS 38.211 §7.3.1, 38.214 §5.1, Rel-18). Rate matching has a limited buffer.

    mapping_type: "A" or "B"; start_symbol, num_symbols: time allocation within the slot.
    mcs_table, mcs_index, rv: of the first codeword. mcs_index_2, rv_2: of the second, which exists from 5 layers on;
        by default those of the first.
    num_layers: 1 to 8, which share unit power.
    n_rnti, n_id: of the data scrambling; n_id defaults to the cell identity.
    overhead: xOverhead. max_num_layers: maxMIMO-Layers for limited-buffer rate matching; default num_layers.
    dmrs_ports: DM-RS ports counted from 1000, one per layer; default alternating between the CDM groups.
    prg_size: PRBs that share a precoder, 2 or 4; default the whole band (TS 38.214 §5.1.2.3).
    tb_scaling: scaling factor S of the transport block size for P-RNTI, RA-RNTI and MsgB-RNTI (table 5.1.3.2-2).
    """

    direction = "downlink"
    younger_fields = (*SharedChannel.younger_fields, "tb_scaling")

    mcs_index_2: Annotated[int, Field(ge=0, le=28)] | None = None
    rv_2: Literal[0, 1, 2, 3] | None = None
    dmrs_ports: tuple[Annotated[int, Field(ge=0, le=11)], ...] | None = None
    prg_size: Literal[2, 4] | None = None
    tb_scaling: Annotated[float, Field(ge=0.25, le=1, json_schema_extra={"allowed": "1, 0.5, 0.25"})] = 1.0

    @property
    def codeword_layers(self) -> tuple[int, ...]:
        """Layers of each codeword (TS 38.211 table 7.3.1.3-1)."""
        n = self.num_layers
        return (n,) if n <= 4 else (n // 2, n - n // 2)

    @property
    def codeword_mcs(self) -> tuple[McsEntry, ...]:
        """MCS of each codeword."""
        second = self.mcs_index if self.mcs_index_2 is None else self.mcs_index_2
        indices = (self.mcs_index, second)[: len(self.codeword_layers)]
        return tuple(mcs(self.mcs_table, index) for index in indices)

    @property
    def codeword_rv(self) -> tuple[Literal[0, 1, 2, 3], ...]:
        """Redundancy version of each codeword."""
        return (self.rv, self.rv if self.rv_2 is None else self.rv_2)[: len(self.codeword_layers)]

    @model_validator(mode="after")
    def _allocation_is_allowed(self) -> Pdsch:
        latest, longest, shortest = (3, 14, 3) if self.mapping_type == "A" else (12, 13, 2)
        clause = "TS 38.214 table 5.1.2.1-1"
        if self.start_symbol > latest:
            raise ValueError(
                f"start_symbol {self.start_symbol} is not possible with mapping type {self.mapping_type}; "
                f"allowed: 0 to {latest} ({clause})"
            )
        if self.mapping_type == "A" and self.start_symbol == 3 and self.dmrs.type_a_position != 3:
            raise ValueError(f"start_symbol 3 with mapping type A needs dmrs.type_a_position 3, got 2 ({clause})")
        longest = min(longest, 14 - self.start_symbol)
        if not shortest <= self.num_symbols <= longest:
            raise ValueError(
                f"num_symbols {self.num_symbols} is not possible with mapping type {self.mapping_type} from symbol "
                f"{self.start_symbol}; allowed: {shortest} to {longest} ({clause})"
            )
        _ = self.dmrs_groups
        for name in ("mcs_index_2", "rv_2"):
            if getattr(self, name) is not None and self.num_layers <= 4:
                raise ValueError(
                    f"{name} {getattr(self, name)} needs a second codeword; allowed: none with {self.num_layers} "
                    "layers, from 5 layers on (TS 38.211 table 7.3.1.3-1)"
                )
        if self.dmrs.low_papr_type != 1 or self.dmrs.hopping != "none":
            raise ValueError(
                "dmrs.low_papr_type and dmrs.hopping are for a PUSCH with transform precoding (TS 38.211 §7.4.1.1)"
            )
        last = num_mcs(self.mcs_table) - 1
        for name, index in (("mcs_index", self.mcs_index), ("mcs_index_2", self.mcs_index_2 or 0)):
            if index > last:
                raise ValueError(
                    f"{name} {index} has no code rate in mcs_table {self.mcs_table}; "
                    f"allowed: 0 to {last} (TS 38.214 §5.1.3.1)"
                )
        self._check_layers_for_buffer()
        self._check_frequency_density()
        if self.dmrs.frequency_density != 1 and self.prg_size is not None:
            raise ValueError(
                f"dmrs.frequency_density: got {self.dmrs.frequency_density} with prg_size {self.prg_size}; allowed: 1, "
                "or a precoder for the whole band"
            )
        if self.tb_scaling not in (1.0, 0.5, 0.25):
            raise ValueError(f"tb_scaling {self.tb_scaling}; allowed: 1, 0.5, 0.25 (TS 38.214 table 5.1.3.2-2)")
        if self.allocation.hopping != "none":
            raise ValueError("allocation.hopping: a PDSCH does not hop; allowed: none (TS 38.214 §6.3)")
        if self.prg_size is not None and self.allocation != Allocation():
            raise ValueError(
                f"prg_size: got {self.prg_size} with an allocation inside the carrier; allowed: null, or all of it"
            )
        if self.n_rnti >= 65534 and any(entry.bits_per_symbol > 2 for entry in self.codeword_mcs):
            raise ValueError(
                f"mcs_index {self.mcs_index} with n_rnti {self.n_rnti}, the "
                f"{'SI' if self.n_rnti == 65535 else 'P'}-RNTI; allowed: QPSK (TS 38.214 §5.1.3.1)"
            )
        return self
