"""A recipe for delay-angle models of CSI: whose drops, which steps of the quantiser, which model, which schedule."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from ran.phy.config import Config
from ran.training.beam_recipe import Evaluated
from ran.training.csi_recipe import CsiDropsBlock, CsiSchedule


class DelayAngleRecipe(Config):
    """Everything that decides what a training of a delay-angle model produces.

    csi_drops: trained on; every layer of a drop is a sample. quantiser_steps: smallest and largest step while training,
    over the norm of a unit's precoder; drawn evenly in their logarithm. prices: smallest and largest price of a bit
    with which indices are chosen while training, as reports choose them, drawn evenly from step `choice_from` on;
    before it, and without prices, the quantiser alone decides. mirror: whether samples come mirrored left to
    right, too. model: architecture and its options, {"name": "delay-angle", ...}. init: weights to begin with.
    num_bits: of the reports in the model card. limits, evaluate: as in `CsiRecipe`.
    """

    keys_of_loader = ("base",)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    csi_drops: CsiDropsBlock
    quantiser_steps: tuple[float, float] = (0.18, 0.75)
    prices: tuple[float, float] | None = None
    choice_from: Annotated[int, Field(ge=0)] = 200
    mirror: bool = True
    model: dict[str, Any]
    init: str | None = None
    schedule: CsiSchedule
    num_bits: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1)] = (64, 78, 106, 140, 188)
    limits: tuple[str, ...] = ()
    evaluate: tuple[Evaluated, ...] = ()

    @field_validator("quantiser_steps")
    @classmethod
    def _is_a_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not 0.05 <= low <= high <= 2:
            raise ValueError(f"got {value}; allowed: two numbers from 0.05 to 2, ascending")
        return value

    @field_validator("prices")
    @classmethod
    def _are_prices(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 <= value[0] <= value[1] <= 1:
            raise ValueError(f"got {value}; allowed: two numbers from 0 to 1, ascending")
        return value
