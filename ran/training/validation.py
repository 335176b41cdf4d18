"""Held-out channels on which a training is looked at on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.config import Config
from ran.sim.experiment import EsN0Db
from ran.training.constellation import points_of, sent_with
from ran.training.decoded_slots import DecodedSlots, moved
from ran.training.gate import SlotLosses
from receivers.neural.receiver import passes_of

_AT_ONCE = 8


class HeldOut(Config):
    """Slots that are never trained on: a link configuration, its SNR, and how many; or those of a data set.

    data: a data set in place of `slots` and `esn0_db`: slots of its validation part, `num_slots` of them at most.
    guard: slots on which training may not lose, instead of some on which it is to win.
    The slots are the same every time, so differences between two looks are paired.
    """

    younger_fields = ("guard", "data", "slots", "esn0_db")

    slots: dict[str, Any] = Field(default_factory=dict)
    esn0_db: EsN0Db | None = None
    data: str | None = None
    num_slots: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    guard: bool = False

    @model_validator(mode="after")
    def _is_one_of_both(self) -> HeldOut:
        of_link = bool(self.slots), self.esn0_db is not None
        if self.data is None and not all(of_link):
            raise ValueError("slots, esn0_db: got one alone or neither; allowed: both, or data")
        if self.data is not None and any(of_link):
            raise ValueError("data: got it with slots or esn0_db; allowed: alone, or slots and esn0_db")
        return self


@dataclass(frozen=True)
class Look:
    """Blocks and block errors on one `HeldOut`, and the mean bit cross-entropy of the last pass in nats.

    Of a data set, which need not tell how to decode, blocks are slots and block errors not a number. slots: the same
    slot by slot, of guards.
    """

    blocks: int
    block_errors: float
    bit_cross_entropy: float
    slots: SlotLosses | None = None


class Validation:
    """Runs a model on held-out slots."""

    def __init__(
        self, held_out: tuple[HeldOut, ...], seed: int, name: str, device: torch.device, decoded_by: str | None = None
    ) -> None:
        """decoded_by: weights that have to decode the slots of data sets; None: all slots, with the file's bits."""
        self._device, self._decoded_by = device, decoded_by
        self._seed = seed
        self._stream = f"validate/{name}"
        self._parts: list[tuple[HeldOut, Link | None]] = []
        #: Slots of data sets by part, read and decoded when they are first looked at.
        self._of_files: dict[int, DecodedSlots] = {}
        for i, part in enumerate(held_out):
            if part.data is not None:
                self._parts.append((part, None))
                continue
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
            return [
                self._look_at_file(model, part, number) if link is None else self._look(model, part, link)
                for number, (part, link) in enumerate(self._parts)
            ]

    def _look_at_file(self, model: nn.Module, part: HeldOut, number: int) -> Look:
        if number not in self._of_files:
            self._of_files[number] = _of_file(str(part.data), f"validation.{number}.data", self._decoded_by)
        source = self._of_files[number]
        count, entropy = min(part.num_slots, len(source)), 0.0
        of_slots: list[np.ndarray] = []
        for start in range(0, count, _AT_ONCE):
            places = list(range(start, min(start + _AT_ONCE, count)))
            observation, truth = (moved(value, self._device) for value in source(places))
            llr = passes_of(model(sent_with(points_of(model), observation, truth)))[-1][0]
            target = 1.0 - truth.coded_bits.float()
            entropy += float(nn.functional.binary_cross_entropy_with_logits(llr, target)) * len(places)
            if part.guard:
                of_slots.append(_by_slot(llr, target))
        slots = SlotLosses(np.concatenate(of_slots), np.zeros(0, bool)) if of_slots else None
        return Look(count, math.nan, entropy / count, slots)

    def _look(self, model: nn.Module, part: HeldOut, link: Link) -> Look:
        if part.esn0_db is None:
            raise TypeError("esn0_db: got None; allowed: a number with slots")
        errors, blocks, entropy = 0, 0, 0.0
        of_slots: list[np.ndarray] = []
        lost: list[np.ndarray] = []
        for start in range(0, part.num_slots, _AT_ONCE):
            drops = range(start, min(start + _AT_ONCE, part.num_slots))
            points = points_of(model)
            batch = link.batch(drops, part.esn0_db, self._seed, self._stream, with_channel=points is not None)
            sent = batch.observation if points is None else sent_with(points, batch.observation, batch.truth)
            llr = passes_of(model(sent))[-1][0]
            target = 1.0 - batch.coded_bits.float()
            entropy += float(nn.functional.binary_cross_entropy_with_logits(llr, target)) * len(drops)
            of_blocks = link.count_errors(llr, batch).block_errors
            errors += int(of_blocks.sum())
            blocks += len(drops) * link.blocks_per_drop
            if part.guard:
                of_slots.append(_by_slot(llr, target))
                lost.append(np.asarray(of_blocks).reshape(-1) > 0)
        slots = SlotLosses(np.concatenate(of_slots), np.concatenate(lost)) if of_slots else None
        return Look(blocks, errors, entropy / part.num_slots, slots)


def _by_slot(llr: Tensor, target: Tensor) -> np.ndarray:
    """Bit cross-entropy of each slot in nat, float64 [batch]."""
    losses = nn.functional.binary_cross_entropy_with_logits(llr, target, reduction="none")
    return losses.double().flatten(1).mean(1).cpu().numpy()


def _of_file(file: str, path: str, decoded_by: str | None) -> DecodedSlots:
    source = DecodedSlots(Path(file), "val", decoded_by)
    if not len(source):
        raise InputError(
            f"{path}: got {source.num_sent} validation slots in {file}, none of them decoded; allowed: one or more"
        )
    return source
