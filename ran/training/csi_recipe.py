"""A recipe for two-sided CSI models: whose drops, which codebook they start from, which model, which schedule."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from ran.phy.config import Config
from ran.training.beam_recipe import Evaluated
from ran.training.extent import MOST_AT_ONCE, MOST_STEPS


class CsiSchedule(Config):
    """Optimisation: AdamW, linear warm-up, cosine decay to zero, exponential moving average of the weights.

    batch_drops: of a draw. validate_every: evaluate the held-out drops every so many steps; 0 is never. The weights are
    then those with the highest SGCS.
    """

    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)]
    batch_drops: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    warmup_steps: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 100
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 1e-2
    gradient_clip: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995
    checkpoint_every: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 100
    log_every: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 10
    validate_every: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 0
    draws_per_step: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 1


class CsiDropsBlock(Config):
    """Drops of the training split of a CSI experiment.

    experiment: its name or file. changes: to it. num_drops: trained on. num_held_out: others after them.
    """

    experiment: str
    changes: tuple[str, ...] = ()
    num_drops: Annotated[int, Field(ge=1, le=10_000_000)]
    num_held_out: Annotated[int, Field(ge=1, le=10_000_000)] = 256


class CsiRecipe(Config):
    """Everything that decides what a training of a two-sided CSI model produces.

    drops: trained on; every layer of a drop is a sample. combination: paramCombination-r16 of the reports that the
    model refines; null for an autoencoder, which refines none. num_values: latents of a sample while training, drawn
    from these; the model then serves all of them. held_out_values: the number with which the held-out drops are judged.
    mirror: whether half of the samples are mirrored left to right.
    model: architecture and its options, {"name": "refinement", ...}. init: weights to begin with. frozen_encoder,
        frozen_decoder: weights whose encoder (or decoder) is taken and not trained, as another vendor's is: the other
        side begins anew. exchange: a file of `ran data csi --weights`, precoders with the reports of an encoder that
        stays elsewhere: the decoder alone is trained on its samples; what it makes is for `decoder` of the feedback
        `neural`.
    limits: what the model is not for. evaluate: CSI experiments whose figures go into the model card.
    """

    keys_of_loader = ("base",)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    csi_drops: CsiDropsBlock
    combination: Annotated[int, Field(ge=1, le=8)] | None = 1
    num_values: Annotated[tuple[Annotated[int, Field(ge=0, le=4096)], ...], Field(min_length=1)]
    held_out_values: Annotated[int, Field(ge=0, le=4096)]
    mirror: bool = True
    model: dict[str, Any]
    init: str | None = None
    frozen_encoder: str | None = None
    frozen_decoder: str | None = None
    exchange: str | None = None
    schedule: CsiSchedule
    limits: tuple[str, ...] = ()
    evaluate: tuple[Evaluated, ...] = ()

    @model_validator(mode="after")
    def _has_what_it_refines(self) -> CsiRecipe:
        name = self.model.get("name")
        if name == "autoencoder" and self.combination is not None:
            raise ValueError(f"combination: got {self.combination}; allowed: null, an autoencoder refines no codebook")
        if name == "refinement" and self.combination is None:
            raise ValueError("combination: got None; allowed: 1 to 8, the codebook that the model refines")
        return self

    @model_validator(mode="after")
    def _one_beginning(self) -> CsiRecipe:
        ways = ("init", "frozen_encoder", "frozen_decoder", "exchange")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{', '.join(given)}: got {len(given)} of them; allowed: one, or none")
        if self.exchange is not None and self.mirror:
            raise ValueError("mirror: got True; allowed: False with exchange, which has no reports on mirrored samples")
        if self.exchange is not None and self.evaluate:
            raise ValueError(
                f"evaluate: got {len(self.evaluate)}; allowed: none with exchange, as the encoder is elsewhere"
            )
        return self

    @property
    def trained_sides(self) -> tuple[str, ...]:
        """Sides of the weights that are of use: with an exchange the decoder alone."""
        return ("decoder",) if self.exchange is not None else ("encoder", "decoder")

    @property
    def frozen(self) -> tuple[str, str] | None:
        """The side that is not trained, "encoder" or "decoder", and the weights that it is from."""
        if self.frozen_encoder is not None:
            return "encoder", self.frozen_encoder
        return None if self.frozen_decoder is None else ("decoder", self.frozen_decoder)
