"""Wideband and differential subband CQI as fields of a report (TS 38.214 §5.2.2.1, TS 38.212 table 6.3.1.1.2-3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ran.errors import bad_value
from ran.phy.csi.report import Field, FieldReader

#: Differential value by offset level, subband index minus wideband index (TS 38.214 table 5.2.2.1-1).
_LEAST, _MOST = -1, 2


@dataclass(frozen=True)
class CqiFields:
    """CQI of one transport block. wideband: index, 0 to 15. subbands: offset levels by value 0 (0), 1 (1), 2 (>= 2),
    3 (<= -1); empty where only the wideband CQI is reported."""

    wideband: int
    subbands: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.wideband <= 15:
            raise bad_value("CQI", self.wideband, "0 to 15 (TS 38.214 §5.2.2.1)")
        if any(not 0 <= value <= 3 for value in self.subbands):
            raise bad_value("differential CQI", list(self.subbands), "0 to 3 (TS 38.214 table 5.2.2.1-1)")

    @classmethod
    def of(cls, wideband: int, per_subband: Sequence[int]) -> CqiFields:
        """From indices of the whole band and of every subband."""
        return cls(wideband, tuple(max(_LEAST, min(_MOST, index - wideband)) % 4 for index in per_subband))

    @property
    def offsets(self) -> tuple[int, ...]:
        """Offset levels, -1 (or less) to 2 (or more)."""
        return tuple(value - 4 if value == 3 else value for value in self.subbands)


def cqi_fields(cqi: CqiFields | None) -> list[Field]:
    """Fields of part 1; none without CQI."""
    if cqi is None:
        return []
    subbands = [Field(f"CQI of subband {i}", value, 2) for i, value in enumerate(cqi.subbands)]
    return [Field("CQI", cqi.wideband, 4), *subbands]


def take_cqi(reader: FieldReader, num_subbands: int | None) -> CqiFields | None:
    """The fields of `cqi_fields`; num_subbands None: none are there."""
    if num_subbands is None:
        return None
    return CqiFields(reader.take("CQI", 4), tuple(reader.take("CQI", 2) for _ in range(num_subbands)))
