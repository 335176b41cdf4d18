"""Which resource blocks of the carrier a shared channel has."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ran.phy.config.base import Config

_Prb = Annotated[int, Field(ge=0, le=274)]


def _with_tuples(data: Any, *names: str) -> Any:
    """Lists of a program as tuples; strict validation takes lists only straight from JSON."""
    if isinstance(data, dict):
        return {k: tuple(v) if k in names and isinstance(v, list) else v for k, v in data.items()}
    return data


class Reserved(Config):
    """Resource elements that the shared channel leaves to others: SSB, CSI-RS, CORESET, RB-level patterns.

    symbols: OFDM symbols of the slot. first_prb, num_prb: PRBs of the carrier. subcarriers: within each PRB; default
    all twelve. Data are rate-matched round them (TS 38.214 §5.1.4), and DM-RS are not sent there.
    """

    symbols: Annotated[tuple[Annotated[int, Field(ge=0, le=13)], ...], Field(min_length=1)]
    first_prb: _Prb = 0
    num_prb: Annotated[int, Field(ge=1, le=275)]
    subcarriers: Annotated[tuple[Annotated[int, Field(ge=0, le=11)], ...], Field(min_length=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        return _with_tuples(data, "symbols", "subcarriers")


class Allocation(Config):
    """Frequency-domain allocation inside the carrier; by default all of it (TS 38.214 §5.1.2.2 and §6.1.2.2, Rel-18).

    bwp_start, bwp_num_prb: bandwidth part, PRBs of the carrier; default the whole carrier.
    first_prb, num_prb: resource allocation type 1, PRBs of the bandwidth part; default from the first to the last.
    rbg_bitmap: resource allocation type 0, a character per RBG, "1" allocated, RBG 0 first. rbg_config: rbg-Size, 1 or
        2 for configuration 1 or 2 of TS 38.214 tables 5.1.2.2.1-1 and 6.1.2.2.1-1.
    prbs: any PRBs of the bandwidth part, ascending, in place of the two.
    vrb_bundle: interleaved VRB-to-PRB mapping in bundles of 2 or 4 (TS 38.211 §7.3.1.6); default non-interleaved.
    hopping, second_hop_prb: frequency hopping of a PUSCH with type 1, "intra-slot" or, to the second hop in slots of
        odd number, "inter-slot"; first PRB of the second hop in the bandwidth part (TS 38.214 §6.3).
    reserved: resource elements that are left out.
    """

    bwp_start: _Prb = 0
    bwp_num_prb: Annotated[int, Field(ge=1, le=275)] | None = None
    first_prb: _Prb = 0
    num_prb: Annotated[int, Field(ge=1, le=275)] | None = None
    rbg_bitmap: Annotated[str, Field(pattern="^[01]+$", json_schema_extra={"allowed": "text of 0 and 1"})] | None = None
    rbg_config: Literal[1, 2] = 1
    prbs: Annotated[tuple[_Prb, ...], Field(min_length=1)] | None = None
    vrb_bundle: Literal[2, 4] | None = None
    hopping: Literal["none", "intra-slot", "inter-slot"] = "none"
    second_hop_prb: _Prb | None = None
    reserved: tuple[Reserved, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        return _with_tuples(data, "prbs", "reserved")

    @model_validator(mode="after")
    def _one_form(self) -> Allocation:
        type_1 = self.first_prb != 0 or self.num_prb is not None
        given = [name for name, it in (("rbg_bitmap", self.rbg_bitmap), ("prbs", self.prbs)) if it is not None]
        if len(given) + type_1 > 1:
            raise ValueError(
                f"got {' and '.join(['first_prb or num_prb'] * type_1 + given)}; allowed: one of first_prb with "
                "num_prb, rbg_bitmap, prbs"
            )
        if self.prbs is not None and any(b <= a for a, b in pairwise(self.prbs)):
            raise ValueError(f"prbs: got {list(self.prbs)}; allowed: PRBs in ascending order, each once")
        if (self.hopping == "none") != (self.second_hop_prb is None):
            raise ValueError(
                f"second_hop_prb: got {self.second_hop_prb} with hopping {self.hopping!r}; allowed: both or neither"
            )
        if self.hopping != "none" and (given or self.vrb_bundle is not None):
            name = given[0] if given else "vrb_bundle"
            raise ValueError(f"hopping: got {self.hopping!r} with {name}; allowed: first_prb with num_prb")
        return self
