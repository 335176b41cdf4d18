"""Carrier, PUSCH and PDSCH configuration: frozen, checked once, then trusted everywhere below."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from ran.phy.codebook import num_tpmi
from ran.phy.constellation import check_mean, check_points, shifted_qam
from ran.phy.dmrs_positions import Direction, dmrs_positions
from ran.phy.mcs import McsEntry, mcs, num_mcs

_CONSTELLATIONS = "null, [re, im] of every point, {mean_power: P}, or weights by name or .safetensors file"

#: Arithmetic of the LDPC decoder's messages.
Precision = Literal["int8", "float32"]


class Config(BaseModel):
    """Base of every configuration object: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    #: Fields that are younger than stored results. At their default they are left out when a configuration is written,
    #: so that an experiment of before keeps its name, and with it its random numbers.
    younger_fields: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _leave_out_younger_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        for name in self.younger_fields:
            if getattr(self, name) == type(self).model_fields[name].default:
                values.pop(name, None)
        return values


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
    """

    younger_fields = ("config_type", "length", "low_papr_type", "hopping")

    type_a_position: Literal[2, 3] = 2
    additional_position: Literal[0, 1, 2, 3] = 1
    num_cdm_groups_without_data: Literal[1, 2, 3] = 2
    n_id: Annotated[int, Field(ge=0, le=65535)] | None = None
    n_scid: Literal[0, 1] = 0
    config_type: Literal[1, 2] = 1
    length: Literal[1, 2] = 1
    low_papr_type: Literal[1, 2] = 1
    hopping: Literal["none", "group", "sequence"] = "none"

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


class SharedChannel(Config):
    """What a PUSCH and a PDSCH allocation have in common. All PRBs of the carrier are allocated.

    mapping_type: "A" or "B"; start_symbol, num_symbols: time allocation within the slot.
    mcs_table, mcs_index: TS 38.214 tables 5.1.3.1-1 to 5.1.3.1-4; table 4 reaches 1024QAM.
    num_layers: layers of each user; the layers of a user share its unit power.
    n_rnti: radio network temporary identifier of the first user; the others count up from it.
    n_id: data scrambling identity; default the cell identity.
    rv: redundancy version.
    overhead: xOverhead, REs per PRB that are taken off for the transport block size (TS 38.214 §5.1.3.2).
    max_num_layers: maxMIMO-Layers for limited-buffer rate matching (TS 38.212 §5.4.2.1); default num_layers.
    """

    direction: ClassVar[Direction]
    younger_fields: ClassVar[tuple[str, ...]] = ("rv", "overhead", "max_num_layers")

    mapping_type: Literal["A", "B"] = "A"
    start_symbol: Annotated[int, Field(ge=0, le=13)] = 0
    num_symbols: Annotated[int, Field(ge=1, le=14)] = 14
    mcs_table: Literal[1, 2, 3, 4] = 1
    mcs_index: Annotated[int, Field(ge=0, le=28)] = 14
    num_layers: Annotated[int, Field(ge=1, le=8)] = 1
    n_rnti: Annotated[int, Field(ge=1, le=65519)] = 1
    n_id: Annotated[int, Field(ge=0, le=1023)] | None = None
    dmrs: Dmrs = Dmrs()
    rv: Literal[0, 1, 2, 3] = 0
    overhead: Literal[0, 6, 12, 18] = 0
    max_num_layers: Annotated[int, Field(ge=1, le=8)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_plain_form(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("dmrs", ...) is None:
            data = {k: v for k, v in data.items() if k != "dmrs"}
        if isinstance(data, dict) and isinstance(data.get("dmrs_ports"), list):
            data = {**data, "dmrs_ports": tuple(data["dmrs_ports"])}
        return data

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

    def _check_layers_for_buffer(self) -> None:
        if self.max_num_layers is not None and self.max_num_layers < self.num_layers:
            raise ValueError(
                f"max_num_layers {self.max_num_layers} is below num_layers {self.num_layers}; "
                f"allowed: {self.num_layers} or more (TS 38.212 §5.4.2.1)"
            )


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
        self._check_precoding()
        self._check_transform_precoding()
        self._check_ptrs()
        self._check_constellation()
        return self

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


class Harq(Config):
    """Hybrid ARQ: one process per drop, whose transport blocks are sent until they arrive (TS 38.321 §5.4.2, Rel-18).

    max_transmissions: of one block, the first included.
    rv: redundancy versions in order, repeated where there are more transmissions; [0] is chase combining.
    round_trip_slots: from a transmission to the next of the same process.
    """

    max_transmissions: Annotated[int, Field(ge=1, le=16)] = 4
    rv: Annotated[tuple[Literal[0, 1, 2, 3], ...], Field(min_length=1, max_length=16)] = (0, 2, 3, 1)
    round_trip_slots: Annotated[int, Field(ge=1, le=1000)] = 8

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("rv"), list):
            data = {**data, "rv": tuple(data["rv"])}
        return data

    @model_validator(mode="after")
    def _starts_decodable(self) -> Harq:
        if self.rv[0] != 0:
            raise ValueError(f"rv {list(self.rv)} starts with {self.rv[0]}; allowed: sequences that start with 0")
        return self

    def rv_of(self, attempt: int) -> Literal[0, 1, 2, 3]:
        """Redundancy version of the transmission number `attempt`, from 0."""
        return self.rv[attempt % len(self.rv)]


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
    """

    direction = "downlink"

    mcs_index_2: Annotated[int, Field(ge=0, le=28)] | None = None
    rv_2: Literal[0, 1, 2, 3] | None = None
    dmrs_ports: tuple[Annotated[int, Field(ge=0, le=11)], ...] | None = None
    prg_size: Literal[2, 4] | None = None

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
        return self


class Users(Config):
    """The users that share the allocation by MU-MIMO with orthogonal DM-RS ports.

    num_users: users transmitting at once.
    dmrs_ports: one list of DM-RS ports (TS 38.211 tables 6.4.1.1.3-1 and -2: 0 to 3, 5, 7 or 11) per user, one port per
        layer; by default ports are handed out alternating between the CDM groups: 0, 2, 1, 3.
    """

    num_users: Annotated[int, Field(ge=1, le=12)] = 1
    dmrs_ports: tuple[tuple[Annotated[int, Field(ge=0, le=11)], ...], ...] | None = None


class Decoder(Config):
    """LDPC decoding: layered normalised min-sum with at most `num_iterations` iterations, stopped by the syndrome.

    precision: arithmetic of the messages, int8 or float32.
    """

    num_iterations: Annotated[int, Field(ge=1, le=1000)] = 20
    precision: Precision = "int8"
