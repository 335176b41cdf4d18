"""Samples that two-sided CSI models are trained on: precoders of drops, and what a codebook says of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ran.link.streams import stream
from ran.studies.csi.experiment import load
from ran.studies.csi.feedback import kept_bases, one_layer
from ran.studies.csi.world import CsiWorld
from ran.training.csi_recipe import CsiRecipe


class CsiData:
    """The samples of a recipe: the first for training, the last held out.

    v, base complex64 [num_samples, num_units, num_ports]: precoders, and the codebook's decoded from reports on them.
    """

    def __init__(self, recipe: CsiRecipe) -> None:
        self.recipe = recipe
        self.world = CsiWorld(load(recipe.csi_drops.experiment, recipe.csi_drops.changes))
        e = self.world.experiment
        one_layer(e, "enhanced-type-two", combination=recipe.combination)
        self.v = self.base = torch.zeros(0, len(e.band.units), e.panel.num_ports, dtype=torch.complex64)

    @property
    def num_train(self) -> int:
        """Samples that are trained on: every layer of every drop."""
        return self.recipe.csi_drops.num_drops * self.world.experiment.num_layers

    def prepare(self, say: Callable[[str], None]) -> float:
        """Compute drops and reports, or take them from the cache; seconds that it took."""
        began = time.perf_counter()
        block = self.recipe.csi_drops
        drops = self.world.kept("train", block.num_drops + block.num_held_out, say)
        # the newest estimate of every drop; layers of a drop are neighbours
        v = drops.v[:, -1].reshape(-1, *drops.v.shape[3:])
        self.v, self.base = (
            torch.from_numpy(v),
            kept_bases(self.world.experiment, v[:, None], self.recipe.combination, say),
        )
        return time.perf_counter() - began

    def draw(self, number: int, part: range, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Precoders, bases and numbers of latents of the samples `part` of the `size` of a draw."""
        recipe = self.recipe
        generator = stream(recipe.seed, f"train/{recipe.name}", number, "draw")
        rows = torch.from_numpy(generator.integers(self.num_train, size=size)[part.start : part.stop])
        values = generator.choice(np.array(recipe.num_values), size)[part.start : part.stop]
        mirrored = generator.random(size)[part.start : part.stop] < (0.5 if recipe.mirror else 0.0)
        v, base = self.v[rows], self.base[rows]
        flip = torch.from_numpy(mirrored)[:, None, None]
        v, base = torch.where(flip, self._mirrored(v), v), torch.where(flip, self._mirrored(base), base)
        return v, base, torch.from_numpy(values)

    def _mirrored(self, v: Tensor) -> Tensor:
        """Columns of ports from right to left; the slants of the polarisations change places with them."""
        panel = self.world.experiment.panel
        fields = v.unflatten(-1, (2, panel.n1, panel.n2))
        return fields.flip(-3, -2).flatten(-3)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Samples that are never trained on."""
        return self.v[self.num_train :], self.base[self.num_train :]
