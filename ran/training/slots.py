"""Where the slots of a training step come from: the link, or the training part of a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ran.datasets.container import content_hash, open_container
from ran.datasets.reader import ChunkShuffle
from ran.errors import InputError
from ran.link import Link
from ran.link.streams import stream
from ran.training.catalogue import replayed_recipe
from ran.training.decoded_slots import DecodedSlots, moved
from ran.training.offsets import Offsets
from ran.training.processes import ALONE, Processes
from ran.training.recipe import Recipe
from receivers import SlotObservation, Truth

#: Slots of a draw, by its number.
Slots = Callable[[int], tuple[SlotObservation, Truth]]


class SimulatedSlots:
    """New slots in every draw, of a configuration that is drawn for them."""

    def __init__(self, recipe: Recipe, device: torch.device, processes: Processes) -> None:
        self.recipe = recipe
        self.device = device
        self.processes = processes

    def __call__(self, draw: int) -> tuple[SlotObservation, Truth]:
        """This process's slots of a draw; they depend on the recipe and its number alone."""
        config, esn0_db = self.recipe.slot_config(draw)
        link = Link(config, device=str(self.device))
        config.users.check_one_allocation("to train")
        if not link.grid.is_contiguous:
            channel = link.grid.channel
            raise InputError(
                f"{channel.name_of_channel}.allocation: got one with gaps or hops; allowed to train: PRBs in a row"
            )
        size = self.recipe.schedule.batch_slots
        drops = self.processes.share(range(draw * size, (draw + 1) * size))
        seed, name = self.recipe.seed, f"train/{self.recipe.name}"
        batch = link.batch(drops, esn0_db, seed, name)
        if self.recipe.offsets != Offsets():
            batch = self.recipe.offsets.applied(batch, drops, seed, name)
        return batch.observation, batch.truth


class RecordedSlots:
    """Slots of a data set's training part, in an order that is new in every epoch."""

    def __init__(self, recipe: Recipe, device: torch.device, processes: Processes = ALONE) -> None:
        self.device = device
        self.processes = processes
        self.slots = DecodedSlots(Path(str(recipe.data)), "train", recipe.init if recipe.labels == "decoded" else None)
        self.dataset = self.slots.dataset
        self._order = ChunkShuffle(self.dataset, recipe.schedule.batch_slots, recipe.seed, drop_last=True)
        self._epoch = -1
        self._batches: list[list[int]] = []
        self.batches_per_epoch = len(self._order)
        self._what = "training slots" if recipe.labels == "all" else "decoded training slots"
        if not self.batches_per_epoch:
            raise InputError(
                f"schedule.batch_slots: got {recipe.schedule.batch_slots}; allowed: at most the {len(self.dataset)} "
                f"{self._what} of {recipe.data}"
            )

    def __call__(self, draw: int) -> tuple[SlotObservation, Truth]:
        """This process's slots of a draw; they depend on the file, the recipe's seed and its number alone."""
        epoch, place = divmod(draw, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch = self._order.epoch = epoch
            self._batches = list(self._order)
        batch = self._batches[place]
        own = [batch[i] for i in self.processes.share(range(len(batch)))]
        observation, truth = self.slots(own)
        return moved(observation, self.device), moved(truth, self.device)


class MixedSlots:
    """Slots of the recipe, and in a share of the draws those of the recipe that it replays."""

    def __init__(self, recipe: Recipe, own: Slots, general: Slots, share: float) -> None:
        self.recipe = recipe
        self.own, self.general = own, general
        self.share = share

    def replays(self, draw: int) -> bool:
        """Whether a draw is of the general slots; by the recipe's seed and its number alone."""
        generator = stream(self.recipe.seed, f"train/{self.recipe.name}", draw, "replay")
        return bool(generator.random() < self.share)

    def __call__(self, draw: int) -> tuple[SlotObservation, Truth]:
        return (self.general if self.replays(draw) else self.own)(draw)


def slot_source(recipe: Recipe, device: torch.device, processes: Processes = ALONE) -> Slots:
    """What a recipe trains on."""
    kind = SimulatedSlots if recipe.data is None else RecordedSlots
    own = kind(recipe, device, processes)
    replayed = replayed_recipe(recipe)
    if replayed is None or recipe.replay is None:
        return own
    return MixedSlots(recipe, own, SimulatedSlots(replayed, device, processes), recipe.replay.share)


def data_provenance(recipe: Recipe) -> dict[str, Any]:
    """What the model card says about a recipe's data set; nothing for simulated slots."""
    if recipe.data is None:
        return {}
    container = open_container(Path(recipe.data))
    try:
        return {
            "data": {
                "file": Path(recipe.data).name,
                "content": content_hash(container),
                "drops": container.header.num_drops,
                "stream_id": container.header.attrs["stream_id"],
            }
        }
    finally:
        container.close()
