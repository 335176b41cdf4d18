"""Samples that two-sided CSI models are trained on: precoders of drops, and what a codebook says of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ran.errors import bad_value
from ran.link.streams import stream
from ran.studies.csi.experiment import load
from ran.studies.csi.feedback import cached_bases, one_layer
from ran.studies.csi.world import CsiWorld
from ran.training.csi_exchange import Exchange, read_exchange
from ran.training.csi_recipe import CsiRecipe


class Samples(NamedTuple):
    """Samples of a draw: precoders and bases complex64 [num_samples, num_units, num_ports], numbers of latents int64
    [num_samples], and with an exchange the reports on them, indices int64 [num_samples, num_values]."""

    v: Tensor
    base: Tensor
    values: Tensor
    indices: Tensor | None = None


class CsiData:
    """The samples of a recipe: the first for training, the last held out.

    v, base complex64 [num_samples, num_units, num_ports]: precoders, and the codebook's decoded from reports on them,
    or zeros where the model refines none.
    exchange: where they come from, if a file of another vendor; indices: its reports, int64 [num_samples, num_values].
    """

    def __init__(self, recipe: CsiRecipe) -> None:
        self.recipe = recipe
        self.world = CsiWorld(load(recipe.csi_drops.experiment, recipe.csi_drops.changes))
        e = self.world.experiment
        if recipe.combination is not None:
            one_layer(e, "enhanced-type-two", combination=recipe.combination)
        self.v = self.base = torch.zeros(0, len(e.band.units), e.panel.num_ports, dtype=torch.complex64)
        self.exchange = None if recipe.exchange is None else self._checked(read_exchange(recipe.exchange))
        self.indices: Tensor | None = None

    @property
    def num_train(self) -> int:
        """Samples that are trained on: every layer of every drop."""
        return self.recipe.csi_drops.num_drops * self.world.experiment.num_layers

    def prepare(self, say: Callable[[str], None]) -> float:
        """Compute drops and reports, or take them from the cache; seconds that it took."""
        began = time.perf_counter()
        block = self.recipe.csi_drops
        if self.exchange is not None:
            given = self.exchange
            rows = torch.cat([place[:count] for place, count in self._places(given)])
            self.v, self.base, self.indices = given.v[rows], given.base[rows], given.indices[rows]
            return time.perf_counter() - began
        drops = self.world.kept("train", block.num_drops + block.num_held_out, say)
        # the newest estimate of every drop; layers of a drop are neighbours
        v = drops.v[:, -1].reshape(-1, *drops.v.shape[3:])
        self.v = torch.from_numpy(v)
        if self.recipe.combination is None:
            self.base = torch.zeros_like(self.v)
        else:
            self.base = cached_bases(self.world.experiment, v[:, None], self.recipe.combination, say)
        return time.perf_counter() - began

    def _places(self, given: Exchange) -> list[tuple[Tensor, int]]:
        """Samples of a file for training and for holding out, and how many of each are asked for."""
        block, layers = self.recipe.csi_drops, self.world.experiment.num_layers
        held_out = given.is_held_out.nonzero()[:, 0], block.num_held_out * layers
        return [((~given.is_held_out).nonzero()[:, 0], block.num_drops * layers), held_out]

    def _checked(self, given: Exchange) -> Exchange:
        e, recipe = self.world.experiment, self.recipe
        most = max(*recipe.num_values, recipe.held_out_values)
        for what, found, allowed in (
            ("combination", given.combination, recipe.combination),
            ("n1, n2", given.shape, (e.panel.n1, e.panel.n2)),
            ("subbands, ports", tuple(given.v.shape[1:]), tuple(self.v.shape[1:])),
        ):
            if found != allowed:
                raise bad_value(f"exchange: {what}", found, f"{allowed}, that of the recipe")
        if given.num_values < most:
            raise bad_value("num_values", most, f"0 to {given.num_values}, the latents of the reports in exchange")
        for name, (place, count) in zip(("num_drops", "num_held_out"), self._places(given), strict=True):
            if len(place) < count:
                raise bad_value(f"csi_drops.{name}: samples", count, f"1 to {len(place)}, what {recipe.exchange} has")
        return given

    def draw(self, number: int, part: range, size: int) -> Samples:
        """The samples `part` of the `size` of a draw."""
        recipe = self.recipe
        generator = stream(recipe.seed, f"train/{recipe.name}", number, "draw")
        rows = torch.from_numpy(generator.integers(self.num_train, size=size)[part.start : part.stop])
        values = generator.choice(np.array(recipe.num_values), size)[part.start : part.stop]
        mirrored = generator.random(size)[part.start : part.stop] < (0.5 if recipe.mirror else 0.0)
        v, base = self.v[rows], self.base[rows]
        flip = torch.from_numpy(mirrored)[:, None, None]
        v, base = torch.where(flip, self._mirrored(v), v), torch.where(flip, self._mirrored(base), base)
        return Samples(v, base, torch.from_numpy(values), None if self.indices is None else self.indices[rows])

    def _mirrored(self, v: Tensor) -> Tensor:
        """Columns of ports from right to left; the slants of the polarisations change places with them."""
        panel = self.world.experiment.panel
        fields = v.unflatten(-1, (2, panel.n1, panel.n2))
        return fields.flip(-3, -2).flatten(-3)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Samples that are never trained on."""
        return self.v[self.num_train :], self.base[self.num_train :]
