"""How transport blocks are decoded, and sent again where that fails."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ran.phy.config.base import Config

#: Arithmetic of the LDPC decoder's messages.
Precision = Literal["int8", "float32"]


class Decoder(Config):
    """LDPC decoding: layered normalised min-sum with at most `num_iterations` iterations, stopped by the syndrome.

    precision: arithmetic of the messages, int8 or float32.
    """

    num_iterations: Annotated[int, Field(ge=1, le=1000)] = 20
    precision: Precision = "int8"


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
