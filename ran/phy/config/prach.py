"""The physical random access channel."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ran.phy.config.base import Config

LONG_FORMATS = ("0", "1", "2", "3")
SHORT_FORMATS = ("A1", "A2", "A3", "B1", "B2", "B3", "B4", "C0", "C2")
PrachFormat = Literal["0", "1", "2", "3", "A1", "A2", "A3", "B1", "B2", "B3", "B4", "C0", "C2"]


class Prach(Config):
    """A random access preamble (TS 38.211 §6.3.3, Rel-18).

    format: long sequences (839) "0" to "3", short ones (139) "A1" to "C2".
    subcarrier_spacing_khz: of the PRACH, 15, 30, 60 or 120 with short sequences; null, the default: 15. Long ones have
    their own.
    root_sequence_index: logical root of the first preamble, 0 to 837, of short sequences to 137.
    zero_correlation_zone: row of tables 6.3.3.1-5 to -7, which gives N_CS. preamble_index: 0 to 63.
    restricted_set: "none", or "A" for long formats at high speed: a Doppler shift of a subcarrier confuses none.
    first_prb: PRB of the carrier at which the occasion begins.
    """

    format: PrachFormat
    subcarrier_spacing_khz: Literal[15, 30, 60, 120] | None = None
    root_sequence_index: Annotated[int, Field(ge=0, le=837)] = 0
    zero_correlation_zone: Annotated[int, Field(ge=0, le=15)] = 0
    preamble_index: Annotated[int, Field(ge=0, le=63)] = 0
    restricted_set: Literal["none", "A"] = "none"
    first_prb: Annotated[int, Field(ge=0, le=274)] = 0

    @property
    def is_long(self) -> bool:
        """Whether the sequence has 839 values."""
        return self.format in LONG_FORMATS

    @property
    def sequence_length(self) -> int:
        """L_RA."""
        return 839 if self.is_long else 139

    @property
    def spacing_hz(self) -> float:
        """Subcarrier spacing of the PRACH."""
        if self.is_long:
            return 5e3 if self.format == "3" else 1.25e3
        return 1e3 * (self.subcarrier_spacing_khz or 15)

    @model_validator(mode="after")
    def _values_go_together(self) -> Prach:
        if self.root_sequence_index >= self.sequence_length - 1:
            raise ValueError(
                f"root_sequence_index {self.root_sequence_index} of format {self.format}; allowed: 0 to "
                f"{self.sequence_length - 2} (TS 38.211 tables 6.3.3.1-3 and 6.3.3.1-4)"
            )
        if self.is_long and self.subcarrier_spacing_khz is not None:
            raise ValueError(
                f"subcarrier_spacing_khz {self.subcarrier_spacing_khz} of format {self.format}; allowed: null, it is "
                f"{self.spacing_hz / 1e3:g} kHz (TS 38.211 table 6.3.3.1-1)"
            )
        if self.restricted_set == "A":
            last = 15 if self.format == "3" else 14
            if not self.is_long or self.zero_correlation_zone > last:
                raise ValueError(
                    f"restricted_set A with format {self.format}, zero_correlation_zone {self.zero_correlation_zone}; "
                    f"allowed: formats 0 to 3 with 0 to {last} (TS 38.211 tables 6.3.3.1-5 and 6.3.3.1-6)"
                )
        return self
