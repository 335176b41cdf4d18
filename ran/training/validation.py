"""Held-out channels on which a training is looked at on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.config import Config
from ran.sim.experiment import EsN0Db
from ran.training.constellation import points_of, sent_with
from receivers.neural.receiver import passes_of

_AT_ONCE = 8


class HeldOut(Config):
    """Slots that are never trained on: a link configuration, its SNR, and how many.

    guard: slots on which training may not lose, instead of some on which it is to win.
    The slots are the same every time, so differences between two looks are paired.
    """

    younger_fields = ("guard",)

    slots: dict[str, Any]
    esn0_db: EsN0Db
    num_slots: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    guard: bool = False


@dataclass(frozen=True)
class Look:
    """Blocks and block errors on one `HeldOut`, and the mean bit cross-entropy of the last pass in nats."""

    blocks: int
    block_errors: int
    bit_cross_entropy: float


class Validation:
    """Runs a model on held-out slots."""

    def __init__(self, held_out: tuple[HeldOut, ...], seed: int, name: str, device: torch.device) -> None:
        self._seed = seed
        self._stream = f"validate/{name}"
        self._parts = []
        for i, part in enumerate(held_out):
            if "link_budget" in part.slots:
                raise InputError(f"validation.{i}.slots.link_budget: got a block; allowed: none, slots are at esn0_db")
            try:
                link = Link(LinkConfig.model_validate(part.slots), device=str(device))
            except ValueError as error:
                text = " ".join(str(error).split())
                raise InputError(f"validation.{i}.slots: {text}") from None
            self._parts.append((part, link))

    def __call__(self, model: nn.Module) -> list[Look]:
        """One look per part."""
        with torch.no_grad():
            return [self._look(model, part, link) for part, link in self._parts]

    def _look(self, model: nn.Module, part: HeldOut, link: Link) -> Look:
        errors, blocks, entropy = 0, 0, 0.0
        for start in range(0, part.num_slots, _AT_ONCE):
            drops = range(start, min(start + _AT_ONCE, part.num_slots))
            points = points_of(model)
            batch = link.batch(drops, part.esn0_db, self._seed, self._stream, with_channel=points is not None)
            sent = batch.observation if points is None else sent_with(points, batch.observation, batch.truth)
            llr = passes_of(model(sent))[-1][0]
            target = 1.0 - batch.coded_bits.float()
            entropy += float(nn.functional.binary_cross_entropy_with_logits(llr, target)) * len(drops)
            errors += int(link.count_errors(llr, batch).block_errors.sum())
            blocks += len(drops) * link.blocks_per_drop
        return Look(blocks, errors, entropy / part.num_slots)
