"""A training recipe: which slots, which model, which schedule."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from ran.link import LinkConfig
from ran.link.streams import stream
from ran.phy.config import Config
from ran.training import distribution


class Schedule(Config):
    """Optimisation: AdamW, linear warm-up, cosine decay to zero, exponential moving average of the weights.

    loss_weights: weight of each pass's bit cross-entropy. channel_mse: weight of the channel error relative to the
    noise, averaged over the passes.
    """

    steps: Annotated[int, Field(ge=1)]
    batch_slots: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    gradient_clip: Annotated[float, Field(gt=0)] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    loss_weights: tuple[float, ...] = (0.3, 1.0)
    channel_mse: Annotated[float, Field(ge=0)] = 0.03
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    log_every: Annotated[int, Field(ge=1)] = 20


class Recipe(Config):
    """Everything that decides what a training produces.

    slots: a link configuration (carrier, pusch, users, num_rx_ant, channel) and `esn0_db`, whose leaves may be
        distributions; one configuration is drawn per step and shared by the slots of that step.
    data: a data set of `ran data` instead of `slots`: its training part, again and again in new order.
    cases: changes laid over `slots`, one of which is chosen per step; they tie what belongs together, such as a
        modulation and its SNR range.
    model: architecture and its options, {"name": "hybrid", ...}.
    bits_per_symbol, num_layers: what the weights may be used for; goes into the model card.
    evaluate: experiments whose curves go into the model card.
    """

    younger_fields = ("data",)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0)] = 1
    slots: dict[str, Any] = Field(default_factory=dict)
    data: str | None = None
    cases: tuple[dict[str, Any], ...] = ({},)
    model: dict[str, Any]
    bits_per_symbol: tuple[int, ...]
    num_layers: tuple[int, ...] = (1,)
    schedule: Schedule
    evaluate: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _distributions_are_sound(self) -> Recipe:
        if bool(self.slots) == (self.data is not None):
            given = "both" if self.slots else "neither"
            raise ValueError(f"slots, data: got {given}; allowed: one of them")
        distribution.check(self.slots, "slots")
        for i, case in enumerate(self.cases):
            distribution.check(case, f"cases.{i}")
        return self

    def slot_config(self, step: int) -> tuple[LinkConfig, float]:
        """Link configuration and Es/N0 in dB of one step; depends on the seed and the step alone."""
        generator = stream(self.seed, f"train/{self.name}", step, "configuration")
        case = self.cases[int(generator.integers(len(self.cases)))]
        drawn = distribution.draw(distribution.merge(self.slots, case), generator)
        esn0_db = float(drawn.pop("esn0_db"))
        return LinkConfig.model_validate(drawn), esn0_db
