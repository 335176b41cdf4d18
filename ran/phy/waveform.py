"""Configuration of the time domain: how a slot's grid becomes samples, and what clocks do to them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from ran.phy.config import Config

_PerUser = tuple[Annotated[float, Field(ge=-1, le=1)], ...]
_OffsetPerUser = tuple[Annotated[float, Field(ge=-1e5, le=1e5)], ...]
_ONE_OR_PER_USER = {"allowed": "a number, or a list of one number per user"}


class Waveform(Config):
    """CP-OFDM in the time domain: samples, time-varying convolution, timing and carrier frequency offsets.

    fft_size: samples per useful symbol, a multiple of 128 (then every cyclic prefix of TS 38.211 §5.3.1 is a whole
        number of samples); default a power of two with a guard band, see `ran.phy.ofdm.default_fft_size`.
    timing_offset_s: how late the users' signals arrive, one number or one per user; negative is early, for which the
        FFT window has to be advanced, and which a receiver with a prior of delays from 0 on does not expect.
    timing_offset_max_s: added to it, uniform in plus and minus this, drawn for every drop and user.
    cfo_hz, cfo_max_hz: carrier frequency offsets of the users' transmitters, likewise.
    window_offset_samples: how far into the cyclic prefix the receiver advances its FFT window, 0 to the shortest
        prefix; it undoes the phase ramp. Default: the reach of the interpolation of delays, at most half the prefix.
    carrier_frequency_hz: f_0 of the phase compensation of TS 38.211 §5.4, which modulator and demodulator then apply
        (`ran.phy.ofdm.Ofdm`); default 0, without it. It cancels in a link, and matters to recordings.
    gain_db: of the base station's receiver, after its impairments. The base station knows it, so the noise variance
        that it states has it as well: a level, which decides nothing.
    transmit_impairments, receive_impairments: imperfections of the radios, in the order in which the signal meets
        them, by name with options (`ran list impairments`): those of every user, and those of the base station, which
        meet the noisy sum.
    """

    younger_fields = ("transmit_impairments", "receive_impairments", "carrier_frequency_hz", "gain_db")

    fft_size: Annotated[int, Field(ge=128, le=16384)] | None = None
    timing_offset_s: Annotated[_PerUser, Field(min_length=1, json_schema_extra=_ONE_OR_PER_USER)] = (0.0,)
    timing_offset_max_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    cfo_hz: Annotated[_OffsetPerUser, Field(min_length=1, json_schema_extra=_ONE_OR_PER_USER)] = (0.0,)
    cfo_max_hz: Annotated[float, Field(ge=0, le=1e5)] = 0.0
    window_offset_samples: Annotated[int, Field(ge=0, le=16384)] | None = None
    carrier_frequency_hz: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    gain_db: Annotated[float, Field(ge=-200, le=200)] = 0.0
    transmit_impairments: tuple[dict[str, Any], ...] = ()
    receive_impairments: tuple[dict[str, Any], ...] = ()

    @field_validator("transmit_impairments", "receive_impairments", mode="before")
    @classmethod
    def _name_alone_is_a_block(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple({"name": v} if isinstance(v, str) else v for v in value)
        return value

    @field_validator("timing_offset_s", "cfo_hz", mode="before")
    @classmethod
    def _one_number_is_for_all(cls, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(value)
        return (value,) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
