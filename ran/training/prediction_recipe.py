"""A recipe for learned prediction of channels: whose drops at which speeds, which model, which schedule."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ran.phy.config import Config
from ran.training.beam_recipe import Evaluated
from ran.training.csi_recipe import CsiSchedule


class PredictionDropsBlock(Config):
    """Drops of the training split of a CSI experiment, at several speeds.

    experiment: its name or file; its timing says what is seen and asked for. changes: to it. speeds_kmh: of the users.
    num_drops: of every speed, trained on. num_held_out: others after them. every_prb: of the PRBs only each so-many-th
    is computed.
    """

    experiment: str
    changes: tuple[str, ...] = ()
    speeds_kmh: Annotated[tuple[Annotated[float, Field(ge=0, le=1000)], ...], Field(min_length=1)]
    num_drops: Annotated[int, Field(ge=1, le=1_000_000)]
    num_held_out: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    every_prb: Annotated[int, Field(ge=1, le=16)] = 2


class PredictionRecipe(Config):
    """Everything that decides what a training of a channel predictor produces.

    esn0_db: of half of the samples, white noise is added to the estimates with an Es/N0 drawn evenly between these two.
    model: architecture and its options, {"name": "channel-prediction", ...}. limits, evaluate: as in `CsiRecipe`.
    """

    keys_of_loader = ("base",)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    prediction_drops: PredictionDropsBlock
    esn0_db: tuple[float, float] = (5.0, 35.0)
    model: dict[str, Any]
    schedule: CsiSchedule
    limits: tuple[str, ...] = ()
    evaluate: tuple[Evaluated, ...] = ()
