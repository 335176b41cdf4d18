"""Samples that two-sided CSI models are trained on: precoders of drops, and what a codebook says of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ran.beams.kept_drops import kept_arrays
from ran.link.streams import stream
from ran.phy.csi.codebooks import through_reports
from ran.phy.csi.enhanced_type_two import EnhancedTypeTwo
from ran.studies.csi.experiment import load
from ran.studies.csi.world import CsiWorld
from ran.training.csi_recipe import CsiRecipe

#: Samples of a file in the cache.
_SHARD = 512


class CsiData:
    """The samples of a recipe: the first for training, the last held out.

    v, base complex64 [num_samples, num_units, num_ports]: precoders, and the codebook's decoded from reports on them.
    """

    def __init__(self, recipe: CsiRecipe) -> None:
        self.recipe = recipe
        self.world = CsiWorld(load(recipe.csi_drops.experiment, recipe.csi_drops.changes))
        e = self.world.experiment
        self.config = EnhancedTypeTwo(
            e.panel.n1, e.panel.n2, len(e.band.units), recipe.combination, e.band.per_subband, 1
        )
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
        self.v, self.base = torch.from_numpy(v), torch.from_numpy(self._base(v, say))
        return time.perf_counter() - began

    def _base(self, v: np.ndarray, say: Callable[[str], None]) -> np.ndarray:
        parts = []
        for first in range(0, len(v), _SHARD):
            part = v[first : first + _SHARD]

            def compute(part: np.ndarray = part, first: int = first) -> dict[str, np.ndarray]:
                say(f"reports on samples {first + 1} to {first + len(part)} of {len(v)}")
                return {"base": through_reports(part[:, None], self.config)[0][:, 0]}

            content = hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()[:32]
            name = f"csi-base-{content}-{self.recipe.combination}"
            parts.append(kept_arrays(name, {"base": part.shape}, compute)["base"])
        return np.concatenate(parts)

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
