"""Configuration of `ran decode`: what a recording holds, and who decodes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ran.phy.config import Carrier, Config, Decoder, Pdsch, Pusch, Users

Format = Literal["sigmf", "text", "pcap", "data-lake", "grid"]
#: Axes of an array by the words of the configuration.
AXES = ("slot", "antenna", "symbol", "subcarrier", "iq")
_Number = Annotated[int, Field(ge=0)]


def _tuples(data: Any) -> Any:
    """Lists as tuples, all the way down: strict validation takes lists only straight from JSON."""
    if isinstance(data, list | tuple):
        return tuple(_tuples(item) for item in data)
    return {key: _tuples(value) for key, value in data.items()} if isinstance(data, dict) else data


class Fronthaul(Config):
    """IQ samples as on a fronthaul, in text or in packets (O-RAN.WG4.CUS).

    bit_width: bits of an I or Q, 1 to 16; default as the file has it: by the bytes of a PRB in text, by the header of
        sections in packets that have one.
    compression: "bfp" is block floating point, a parameter byte before every PRB, "none" plain two's complement.
    num_prb: PRBs that text holds per symbol and antenna; default the carrier's. first_prb: the first of them.
    num_symbols, first_symbol: OFDM symbols that text holds of a slot; default all of the slot.
    order: of text from the slowest to the fastest, "symbol antenna prb" or another order of these words.
    direction: of packets, "uplink" or "downlink". eaxc: identities of the antennas in order; default all that occur.
    section_header: whether sections have the two bytes of udCompHdr; default by the lengths of messages.
    """

    bit_width: Annotated[int, Field(ge=1, le=16)] | None = None
    compression: Literal["bfp", "none"] = "bfp"
    num_prb: Annotated[int, Field(ge=1, le=275)] | None = None
    first_prb: Annotated[int, Field(ge=0, le=274)] = 0
    num_symbols: Annotated[int, Field(ge=1, le=14)] | None = None
    first_symbol: Annotated[int, Field(ge=0, le=13)] = 0
    order: str = "symbol antenna prb"
    direction: Literal["uplink", "downlink"] = "uplink"
    eaxc: tuple[Annotated[int, Field(ge=0, le=65535)], ...] | None = None
    section_header: bool | None = None

    @field_validator("order")
    @classmethod
    def _names_every_axis(cls, value: str) -> str:
        if sorted(value.split()) != ["antenna", "prb", "symbol"]:
            raise ValueError(f"got {value!r}; allowed: symbol, antenna and prb in any order")
        return value


class Samples(Config):
    """A recording in the time domain.

    sample_rate_hz: default as the file says. carrier_frequency_hz: f_0 of the phase compensation of TS 38.211 §5.4, 0
        to leave it out; default as the file says. frequency_shift_hz: where the carrier's middle is in the baseband.
    first_sample: start of the first slot; default it is searched by its DM-RS. search: slots whose numbers are tried,
        "configured" is that of `carrier.slot_number` alone, "frame" all of a frame. cfo_hz: carrier frequency offset;
        default it is estimated. num_slots: at most so many.
    """

    sample_rate_hz: Annotated[float, Field(gt=0)] | None = None
    carrier_frequency_hz: Annotated[float, Field(ge=0, le=1e12)] | None = None
    frequency_shift_hz: float = 0.0
    first_sample: _Number | None = None
    search: Literal["configured", "frame"] = "configured"
    cfo_hz: float | None = None
    num_slots: Annotated[int, Field(ge=1)] | None = None


class Grids(Config):
    """Received grids in an array of NumPy, MATLAB or HDF5.

    variable: name of the array; default the only one, or the largest that fits. axes: words of "slot antenna symbol
    subcarrier iq" in the order of the array's axes, "iq" for real and imaginary parts; default by their sizes.
    """

    variable: str | None = None
    axes: str | None = None

    @field_validator("axes")
    @classmethod
    def _are_known(cls, value: str | None) -> str | None:
        words = [] if value is None else value.split()
        if len(set(words)) != len(words) or any(word not in AXES for word in words):
            raise ValueError(f"got {value!r}; allowed: {', '.join(AXES)}, each at most once")
        return value


class DataLake(Config):
    """Tables of NVIDIA's Aerial Data Lake in Parquet: `fapi` has the PUSCH, `fh` the samples.

    fapi, fh: names of the files, for where they cannot be found by these words. dmrs_symbol_0: the bit of ulDmrsSymbPos
    that stands for symbol 0, "lowest" or, of 14, "highest". antenna_axis_first: whether samples are stored [antenna,
    symbol, subcarrier], else [symbol, antenna, subcarrier].
    """

    fapi: str | None = None
    fh: str | None = None
    dmrs_symbol_0: Literal["lowest", "highest"] = "lowest"
    antenna_axis_first: bool = True


class SlotOptions(Config):
    """What is different in some slots: `slot_number` within the frame, or `index` within the recording from 0.

    pusch, pdsch, carrier, users: options that replace those of the whole configuration. payload: the transport block in
    hexadecimal, where it is known. skip: do not decode.
    """

    index: _Number | None = None
    slot_number: Annotated[int, Field(ge=0, le=159)] | None = None
    carrier: dict[str, Any] = Field(default_factory=dict)
    pusch: dict[str, Any] = Field(default_factory=dict)
    pdsch: dict[str, Any] = Field(default_factory=dict)
    users: dict[str, Any] = Field(default_factory=dict)
    payload: str | None = None
    skip: bool = False

    @model_validator(mode="after")
    def _chooses(self) -> SlotOptions:
        if self.index is None and self.slot_number is None:
            raise ValueError("got neither index nor slot_number; allowed: one of them, or both")
        return self


class DecodeConfig(Config):
    """What a recording holds, and who decodes it.

    format: "sigmf", "text" and "pcap" (fronthaul), "data-lake" (Parquet), "grid" (.npy, .npz, .mat, .h5); default by
        the file's name. carrier, pusch or pdsch, users: as in experiments; `carrier.slot_number` is that of the first
        slot where the file has no numbers, and slot_step the distance to the next.
    num_rx_ant: receive antennas; default as many as the file has. antennas: which of them, default all.
    slots: what is different in some slots. only_listed_slots: leave out slots that `slots` does not name.
    receivers: names, or blocks with options, as in experiments. decoder: of LDPC.
    noise_var: per RE, in the units of the file; default it is estimated from the DM-RS.
    align: undo the timing and frequency offset that the DM-RS show, before the receivers. harq: combine transmissions
        of a process, where the file names it.
    compensate_hz: carrier frequency for grids whose symbols still have the phases of TS 38.211 §5.4.
    conjugate: undo a spectrum that was turned over. fronthaul, samples, grid, data_lake: of each format.
    """

    name: str = ""
    description: str = ""
    format: Format | None = None
    carrier: Carrier = Carrier()
    pdsch: Pdsch | None = None
    pusch: Pusch | None = None
    users: Users = Users()
    num_rx_ant: Annotated[int, Field(ge=1, le=1024)] | None = None
    antennas: tuple[_Number, ...] | None = None
    slots: tuple[SlotOptions, ...] = ()
    only_listed_slots: bool = False
    slot_step: Annotated[int, Field(ge=1)] = 1
    receivers: tuple[Any, ...] = ("lmmse", "blind")
    decoder: Decoder = Decoder()
    noise_var: Annotated[float, Field(gt=0)] | None = None
    align: bool = True
    harq: bool = True
    compensate_hz: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    conjugate: bool = False
    fronthaul: Fronthaul = Fronthaul()
    samples: Samples = Samples()
    grid: Grids = Grids()
    data_lake: DataLake = DataLake()

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        return _tuples(data)

    @model_validator(mode="after")
    def _one_channel(self) -> DecodeConfig:
        if self.pusch is not None and self.pdsch is not None:
            raise ValueError("pdsch: got both pusch and pdsch; allowed: one of them")
        if self.pdsch is not None and self.users != Users():
            raise ValueError(f"users: got {self.users.num_users} users with pdsch; allowed: none")
        return self

    @property
    def channel(self) -> Pusch | Pdsch:
        """The allocation, of whichever direction."""
        return self.pdsch if self.pdsch is not None else self.pusch or Pusch()
