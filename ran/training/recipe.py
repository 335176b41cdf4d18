"""A training recipe: which slots, which model, which schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ran.config.validation import validate
from ran.link import LinkConfig
from ran.link.streams import stream
from ran.phy.config import Config
from ran.sim.experiment import MAX_ESN0_DB, MIN_ESN0_DB
from ran.training import distribution
from ran.training.arithmetic import Precision
from ran.training.extent import MOST_AT_ONCE, MOST_STEPS
from ran.training.offsets import Offsets
from ran.training.replay import Replay
from ran.training.validation import HeldOut

LossWeight = Annotated[float, Field(ge=0, le=1e6)]


class Schedule(Config):
    """Optimisation: AdamW, linear warm-up, cosine decay to zero, exponential moving average of the weights.

    loss_weights: weight of each pass's bit cross-entropy; of a model with more passes only the last ones count, of one
        with fewer the last weights. channel_mse: weight of the channel error relative to the noise, averaged over the
        passes, for models that state a channel.
    snr_bonus_db, snr_bonus_steps: the slots of the first steps are this much stronger than drawn, fading linearly to
        nothing: a curriculum.
    validate_every: steps between validations on the recipe's `validation` slots; 0 is never. The weights are then those
        of the checkpoint with the lowest bit cross-entropy.
    draws_per_step: configurations drawn for each step, `batch_slots` slots of each; their gradients are averaged.
    loss: "mean" bit cross-entropy of the slots; or "log", the mean of its logarithm (above 0.1 nat), in which a slot
        counts by the relative change of its loss: slots in deep fades, which no receiver decodes, do not dominate.
    precision: of the networks' arithmetic. compile: by torch.compile. Where neither changes, nor the machine, the
        weights do not.
    """

    younger_fields = (
        "snr_bonus_db",
        "snr_bonus_steps",
        "validate_every",
        "draws_per_step",
        "loss",
        "precision",
        "compile",
    )

    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)]
    batch_slots: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 16
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 3e-3
    warmup_steps: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 100
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 1e-4
    gradient_clip: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    loss_weights: tuple[LossWeight, ...] = (0.3, 1.0)
    channel_mse: LossWeight = 0.03
    checkpoint_every: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 200
    log_every: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 20
    snr_bonus_db: Annotated[float, Field(ge=0, le=100)] = 0.0
    snr_bonus_steps: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 0
    validate_every: Annotated[int, Field(ge=0, le=MOST_STEPS)] = 0
    draws_per_step: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 1
    loss: Literal["mean", "log"] = "mean"
    precision: Precision = "float32"
    compile: bool = False

    @property
    def slots_per_step(self) -> int:
        return self.batch_slots * self.draws_per_step

    def snr_bonus(self, step: int) -> float:
        """What a step's slots are stronger than drawn, dB."""
        return self.snr_bonus_db * max(0.0, 1 - step / self.snr_bonus_steps) if self.snr_bonus_steps else 0.0


class Recipe(Config):
    """Everything that decides what a training produces.

    slots: a link configuration (carrier, pusch, users, num_rx_ant, channel) and `esn0_db`, whose leaves may be
        distributions; one configuration is drawn for `schedule.batch_slots` slots, by default one per step.
    data: a data set of `ran data` instead of `slots`: its training part, again and again in new order.
    labels: bits of `data` to train on: "all", those of the file; or "decoded", those that the weights of `init` decode
        with a right CRC, as a base station has them. Slots that are not decoded are left out.
    cases: changes laid over `slots`, one of which is chosen per draw; they tie what belongs together, such as a
        modulation and its SNR range.
    offsets: timing and frequency offsets put on the slots.
    replay: slots of another recipe among those of this one, see `Replay`.
    validation: held-out slots, see `schedule.validate_every`. Where some of them are `guard`, the weights are those of
        the best checkpoint on the others among those that do not lose on these; without such a checkpoint no weights
        are written.
    guard_tolerance: relative increase of the bit cross-entropy over the first validation that every `guard` may have
        without counting as a loss.
    guard_level: with a number the guards are tests, see `ran.training.gate`: weights pass where a rise above the
        tolerance is excluded on every guard, and lose no significant number of blocks; of all validations together none
        passes wrongly with a probability above the level. Without, the tolerance limits what is measured.
    init: weights to begin with, a shipped name or a .safetensors file, of the same architecture; by default none.
    model: architecture and its options, {"name": "hybrid", ...}.
    limits: where the weights are known not to work, for the model card.
    bits_per_symbol, num_layers: what the weights may be used for; goes into the model card.
    evaluate: experiments whose curves go into the model card, with changes after a blank: "NAME a.b=c d=e".
    """

    younger_fields = (
        "data",
        "labels",
        "offsets",
        "validation",
        "init",
        "replay",
        "guard_tolerance",
        "guard_level",
        "limits",
    )
    keys_of_loader = ("base",)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    limits: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    slots: dict[str, Any] = Field(default_factory=dict)
    data: str | None = None
    labels: Literal["all", "decoded"] = "all"
    cases: tuple[dict[str, Any], ...] = ({},)
    offsets: Offsets = Offsets()
    validation: tuple[HeldOut, ...] = ()
    init: str | None = None
    replay: Replay | None = None
    guard_tolerance: Annotated[float, Field(ge=0, le=10)] = 0.0
    guard_level: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    model: dict[str, Any]
    bits_per_symbol: tuple[Annotated[int, Field(ge=1, le=10)], ...]
    num_layers: tuple[Annotated[int, Field(ge=1, le=8)], ...] = (1,)
    schedule: Schedule
    evaluate: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _distributions_are_sound(self) -> Recipe:
        if bool(self.slots) == (self.data is not None):
            given = "both" if self.slots else "neither"
            raise ValueError(f"slots, data: got {given}; allowed: one of them")
        if self.labels == "decoded" and (self.data is None or self.init is None):
            raise ValueError("labels: got 'decoded' without data or init; allowed: with both, or 'all'")
        if self.data is not None and self.offsets != Offsets():
            raise ValueError("offsets: got some with data; allowed: with slots, those of data are as recorded")
        if self.schedule.validate_every and not self.validation:
            raise ValueError(
                f"schedule.validate_every: got {self.schedule.validate_every} without validation; allowed: 0"
            )
        if self.validation and all(part.guard for part in self.validation):
            raise ValueError("validation: got nothing but guards; allowed: beside them one part to be better on")
        distribution.check(self.slots, "slots")
        for i, case in enumerate(self.cases):
            distribution.check(case, f"cases.{i}")
            _check_esn0(case, f"cases.{i}.esn0_db")
        _check_esn0(self.slots, "slots.esn0_db")
        return self

    def extreme_configs(self) -> Iterator[LinkConfig]:
        """Link configurations of all cases with every distribution in turn at its ends, or all that it may be.

        Whoever goes through them knows that no later draw is refused for one value alone.
        """
        generator = stream(self.seed, f"train/{self.name}", 0, "extremes")
        for case in self.cases:
            for drawn in distribution.extremes(distribution.merge(self.slots, case), generator):
                drawn.pop("esn0_db")
                yield validate(LinkConfig, drawn)

    def slot_config(self, draw: int) -> tuple[LinkConfig, float]:
        """Link configuration and Es/N0 in dB of one draw; depends on the seed and its number alone."""
        generator = stream(self.seed, f"train/{self.name}", draw, "configuration")
        case = self.cases[int(generator.integers(len(self.cases)))]
        drawn = distribution.draw(distribution.merge(self.slots, case), generator)
        esn0_db = float(drawn.pop("esn0_db"))
        return validate(LinkConfig, drawn), esn0_db + self.schedule.snr_bonus(draw // self.schedule.draws_per_step)


def _check_esn0(slots: dict[str, Any], path: str) -> None:
    """`ValueError` for an Es/N0 that is no number or beyond what experiments allow."""
    for value in distribution.ends(slots.get("esn0_db", 0.0)):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not MIN_ESN0_DB <= value <= MAX_ESN0_DB:
            raise ValueError(
                f"{path}: got {value!r}; allowed: a number or a distribution, {MIN_ESN0_DB} to {MAX_ESN0_DB} dB"
            )
