"""Rank and CQI of a report as bits, for whatever tells the precoder (TS 38.212 tables 6.3.1.1.2-3, 6.3.2.1.2-3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ran.errors import bad_value
from ran.phy.csi.cqi_report import CqiFields, cqi_fields
from ran.phy.csi.report import Field, FieldReader, bits_of, width_of


@dataclass(frozen=True)
class RankAndCqi:
    """What a report says beside the precoder.

    rank: reported of ranks, in ascending order: those that the user may report; the field RI has ceil(log2) of their
    number bits, none where there is one. cqi: of the transport block.
    """

    rank: int
    ranks: tuple[int, ...]
    cqi: CqiFields

    def __post_init__(self) -> None:
        if self.rank not in self.ranks:
            raise bad_value("RI", self.rank, f"{', '.join(map(str, self.ranks))} (TS 38.214 §5.2.2.2)")

    @property
    def bits(self) -> np.ndarray:
        """The fields RI, CQI and differential CQI, uint8 [num_bits]."""
        rank = Field("RI", self.ranks.index(self.rank), width_of(len(self.ranks)))
        return bits_of([rank, *cqi_fields(self.cqi)])

    @classmethod
    def of_bits(cls, bits: np.ndarray | Sequence[int], ranks: tuple[int, ...], num_cqi_subbands: int) -> RankAndCqi:
        """What `bits` say; num_cqi_subbands: with a differential CQI, 0 without. `InputError` names a field that is
        cut, left over or not defined."""
        reader = FieldReader(bits, "rank and CQI", "TS 38.212 §6.3.1.1.2")
        place = reader.take("RI", width_of(len(ranks)), len(ranks))
        cqi = CqiFields(reader.take("CQI", 4), tuple(reader.take("CQI", 2) for _ in range(num_cqi_subbands)))
        reader.end()
        return cls(ranks[place], ranks, cqi)
