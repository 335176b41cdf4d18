"""Uplink control information on a PUSCH."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ran.phy.config.base import Config

_Bits = Annotated[int, Field(ge=0, le=1706)]
_Beta = Annotated[float, Field(gt=0, le=1000)]


class Uci(Config):
    """Uplink control information on a PUSCH (TS 38.212 §6.2.7 and §6.3.2, Rel-18).

    num_ack_bits, num_csi1_bits, num_csi2_bits: HARQ-ACK, CSI part 1 and part 2; 0 for none.
    beta_offset_ack, beta_offset_csi1, beta_offset_csi2: values of TS 38.213 tables 9.3-1 and 9.3-2, not their indices.
    alpha: scaling, the largest share of the PUSCH's resource elements for UCI. has_ulsch: whether there is a transport
    block beside it.
    """

    num_ack_bits: _Bits = 0
    num_csi1_bits: _Bits = 0
    num_csi2_bits: _Bits = 0
    beta_offset_ack: _Beta = 20.0
    beta_offset_csi1: _Beta = 13.75
    beta_offset_csi2: _Beta = 13.75
    alpha: Annotated[float, Field(ge=0.5, le=1, json_schema_extra={"allowed": "0.5, 0.65, 0.8, 1"})] = 1.0
    has_ulsch: bool = True

    @model_validator(mode="after")
    def _has_something(self) -> Uci:
        if self.alpha not in (0.5, 0.65, 0.8, 1.0):
            raise ValueError(f"alpha {self.alpha}; allowed: 0.5, 0.65, 0.8, 1 (TS 38.331, UCI-OnPUSCH)")
        if self.num_csi2_bits and not self.num_csi1_bits:
            raise ValueError(
                f"num_csi2_bits {self.num_csi2_bits} without num_csi1_bits; allowed: both, or CSI part 1 alone "
                "(TS 38.214 §5.2.3)"
            )
        if not self.has_ulsch and not self.num_ack_bits and not self.num_csi1_bits:
            raise ValueError("has_ulsch: got false without any UCI; allowed: true, or some UCI bits")
        return self
