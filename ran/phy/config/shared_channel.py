"""What a PUSCH and a PDSCH allocation have in common."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ran.phy.config.allocation import Allocation
from ran.phy.config.base import Config
from ran.phy.config.reference_signals import Dmrs
from ran.phy.dmrs_positions import Direction, dmrs_positions, dmrs_positions_of_hops


class SharedChannel(Config):
    """What a PUSCH and a PDSCH allocation have in common. All PRBs of the carrier are allocated by default.

    mapping_type: "A" or "B"; start_symbol, num_symbols: time allocation within the slot.
    mcs_table, mcs_index: TS 38.214 tables 5.1.3.1-1 to 5.1.3.1-4; table 4 reaches 1024QAM.
    num_layers: layers of each user; the layers of a user share its unit power.
    n_rnti: radio network temporary identifier of the first user, 0 to 65535; the others count up from it. 65535 is the
        SI-RNTI, 65534 the P-RNTI (TS 38.321 table 7.1-1).
    n_id: data scrambling identity; default the cell identity.
    rv: redundancy version.
    overhead: xOverhead, REs per PRB that are taken off for the transport block size (TS 38.214 §5.1.3.2).
    max_num_layers: maxMIMO-Layers for limited-buffer rate matching (TS 38.212 §5.4.2.1); default num_layers.
    allocation: resource blocks inside the carrier; default all.
    """

    direction: ClassVar[Direction]
    younger_fields: ClassVar[tuple[str, ...]] = ("rv", "overhead", "max_num_layers", "allocation")

    mapping_type: Literal["A", "B"] = "A"
    start_symbol: Annotated[int, Field(ge=0, le=13)] = 0
    num_symbols: Annotated[int, Field(ge=1, le=14)] = 14
    mcs_table: Literal[1, 2, 3, 4] = 1
    mcs_index: Annotated[int, Field(ge=0, le=28)] = 14
    num_layers: Annotated[int, Field(ge=1, le=8)] = 1
    n_rnti: Annotated[int, Field(ge=0, le=65535)] = 1
    n_id: Annotated[int, Field(ge=0, le=1023)] | None = None
    dmrs: Dmrs = Dmrs()
    rv: Literal[0, 1, 2, 3] = 0
    overhead: Literal[0, 6, 12, 18] = 0
    max_num_layers: Annotated[int, Field(ge=1, le=8)] | None = None
    allocation: Allocation = Allocation()

    @model_validator(mode="before")
    @classmethod
    def _in_plain_form(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = {k: v for k, v in data.items() if not (k in ("dmrs", "allocation") and v is None)}
        if isinstance(data, dict) and isinstance(data.get("dmrs_ports"), list):
            data = {**data, "dmrs_ports": tuple(data["dmrs_ports"])}
        return data

    @property
    def name_of_channel(self) -> str:
        """Its key in an experiment."""
        return "pusch" if self.direction == "uplink" else "pdsch"

    @property
    def hop_lengths(self) -> tuple[int, ...]:
        """OFDM symbols of each hop of intra-slot frequency hopping (TS 38.214 §6.3.1); all in one without it."""
        if self.allocation.hopping != "intra-slot":
            return (self.num_symbols,)
        return (self.num_symbols // 2, self.num_symbols - self.num_symbols // 2)

    @property
    def has_dmrs(self) -> bool:
        """Whether there are DM-RS at all, as there are in every slot of the standard."""
        return True

    @property
    def dmrs_groups(self) -> tuple[tuple[int, ...], ...]:
        """OFDM symbols of the slot that carry DM-RS, one tuple of 1 or 2 symbols per DM-RS position."""
        if not self.has_dmrs:
            return ()
        dmrs = self.dmrs
        if len(self.hop_lengths) == 2:
            of_hops = dmrs_positions_of_hops(
                self.mapping_type,
                self.start_symbol,
                self.hop_lengths,
                dmrs.length,
                dmrs.additional_position,
                dmrs.type_a_position,
            )
            return tuple((symbol,) for symbol in of_hops)
        first = dmrs_positions(
            self.direction,
            self.mapping_type,
            self.start_symbol,
            self.num_symbols,
            dmrs.length,
            dmrs.additional_position,
            dmrs.type_a_position,
        )
        return tuple(tuple(range(symbol, symbol + dmrs.length)) for symbol in first)

    def _check_frequency_density(self) -> None:
        """Every so many pairs are counted over PRBs in a row."""
        if self.dmrs.frequency_density == 1:
            return
        found = self.allocation
        parts = found.prbs is not None or found.rbg_bitmap is not None or found.vrb_bundle is not None
        if parts or found.hopping != "none":
            raise ValueError(
                f"dmrs.frequency_density: got {self.dmrs.frequency_density} with an allocation that may have gaps or "
                "hops; allowed: 1, or PRBs in a row (allocation.first_prb, num_prb)"
            )

    def _check_layers_for_buffer(self) -> None:
        if self.max_num_layers is not None and self.max_num_layers < self.num_layers:
            raise ValueError(
                f"max_num_layers {self.max_num_layers} is below num_layers {self.num_layers}; "
                f"allowed: {self.num_layers} or more (TS 38.212 §5.4.2.1)"
            )
