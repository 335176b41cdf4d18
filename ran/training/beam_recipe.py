"""A recipe for beam predictors: which worlds, which measurements, which model, which schedule."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ran.phy.config import Config
from ran.studies.beams.experiment import SetB
from ran.training.extent import MOST_AT_ONCE, MOST_STEPS


class BeamSchedule(Config):
    """Optimisation: AdamW, linear warm-up, cosine decay to zero, exponential moving average of the weights.

    batch_drops: of a draw, which all have the same Set B. draws_per_step: whose gradients are averaged.
    label_db: the label is a softmax over Set A in which so much less power divides the probability by e.
    rsrp_weight: weight of the error of the predicted powers, 1/dB, beside the cross-entropy; beams count by how near to
        the best they are.
    validate_every: steps between validations on the held-out drops; 0 is never. The weights are then those of the
        checkpoint with the lowest cross-entropy.
    """

    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)]
    batch_drops: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 50
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 1e-2
    gradient_clip: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    label_db: Annotated[float, Field(gt=0, le=100)] = 0.5
    rsrp_weight: Annotated[float, Field(ge=0, le=1e6)] = 0.05
    checkpoint_every: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 100
    log_every: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 10
    validate_every: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 0
    draws_per_step: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 1


class World(Config):
    """Drops of the training split of a beam experiment, computed once and trained on again and again.

    experiment: its name or file. changes: to it, such as `speed_kmh=60`. num_drops: trained on. num_held_out: others
    after them, for validation and for the temperature of the confidence. weight: how often draws are from here.
    """

    experiment: str
    changes: tuple[str, ...] = ()
    num_drops: Annotated[int, Field(ge=1, le=10_000_000)]
    num_held_out: Annotated[int, Field(ge=1, le=10_000_000)] = 256
    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class Evaluated(Config):
    """A beam experiment whose figures go into the model card, and changes to it, such as `num_drops=500`."""

    experiment: str
    changes: tuple[str, ...] = ()


class BeamRecipe(Config):
    """Everything that decides what a training of a beam predictor produces.

    set_b: the sets of measured beams; each draw has one of them. every: measurements in time of which each draw has
        every n-th, counted from the latest. mirror: whether half of the draws are mirrored left to right, which a
        sector and a panel that are symmetric allow.
    model: architecture and its options, {"name": "geometric", ...}.
    limits: what the model is not for; goes into the model card. evaluate: beam experiments whose figures go there too.
    """

    keys_of_loader = ("base",)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    worlds: Annotated[tuple[World, ...], Field(min_length=1)]
    set_b: Annotated[tuple[SetB, ...], Field(min_length=1)]
    every: Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1)] = (1,)
    mirror: bool = True
    model: dict[str, Any]
    schedule: BeamSchedule
    limits: tuple[str, ...] = ()
    evaluate: tuple[Evaluated, ...] = ()
