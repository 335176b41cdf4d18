"""Training of two-sided CSI models: what is lost of the SGCS, with all numbers of latents that the model serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from ran.training.csi_drops import CsiData
from ran.training.csi_recipe import CsiRecipe
from ran.training.processes import ALONE, Processes
from ran.training.tensorboard_log import TensorBoardLog
from ran.training.trainer import Training
from receivers.csi.frame import as_complex
from receivers.csi.refinement import Refinement
from receivers.csi.similarity import sgcs
from receivers.csi.two_sided import TwoSided
from receivers.neural.weights import load_weights

#: Held-out samples that go through a model together.
_AT_ONCE = 256


def _has_codewords(recipe: CsiRecipe) -> bool:
    """Whether the weights that training begins with bring the codewords of their vector quantiser."""
    return recipe.init is not None and "vector_size" in load_weights(recipe.init, "csi").card["architecture"]


class CsiTrainer(Training):
    """Training of a two-sided model on cached drops."""

    log_fields = ("step", "loss", "sgcs", "learning_rate", "drops", "seconds")
    validation_fields = ("step", "part", "lost_sgcs", "sgcs")
    score = "lost_sgcs"

    def __init__(
        self,
        recipe: CsiRecipe,
        model: TwoSided,
        out: Path,
        device: str = "cpu",
        processes: Processes = ALONE,
        tensorboard_log: TensorBoardLog | None = None,
    ) -> None:
        self.recipe = recipe
        self.data = CsiData(recipe)
        console = Console(stderr=True, quiet=not processes.is_first)
        if not processes.is_first:
            processes.wait()  # until the first has put the drops into the cache
        self.seconds_for_drops = self.data.prepare(lambda text: console.print(text, highlight=False))
        if processes.is_first:
            processes.wait()
        if recipe.init is None and isinstance(model, Refinement):
            self._start(model)
        if model.quantiser is not None and not _has_codewords(recipe):
            self._start_quantiser(model)
        self.two_sided = model
        super().__init__(recipe.schedule, model, out, device, processes, tensorboard_log)

    def _start(self, model: Refinement) -> None:
        """Begin with transforms: of both sides, or of the one that the other is given for."""
        train = slice(0, self.data.num_train)
        v, base = self.data.v[train], self.data.base[train]
        _, x, x0 = model.framed(v, base)
        frozen = self.recipe.frozen
        if self.data.indices is not None:
            model.start_decoder(x, x0, self.data.indices[train])
        elif frozen is None:
            model.start_from(x, x0)
        elif frozen[0] == "decoder":
            model.start_encoder()
        else:
            with torch.no_grad():
                parts = zip(v.split(_AT_ONCE), base.split(_AT_ONCE), strict=True)
                indices = torch.cat([model.encode(*part, model.num_latents) for part in parts])
            model.start_decoder(x, x0, indices)

    def _start_quantiser(self, model: TwoSided) -> None:
        train = slice(0, self.data.num_train)
        _, x, x0 = model.framed(self.data.v[train], self.data.base[train])
        model.start_quantiser(x, x0, torch.Generator().manual_seed(self.recipe.seed))

    def losses(self, draw: int) -> dict[str, Tensor]:
        """1 - SGCS on the samples of a draw."""
        size = self.recipe.schedule.batch_drops
        drawn = self.data.draw(draw, self.processes.share(range(size)), size)
        model, device = self.two_sided, self.device
        v, base, values = drawn.v.to(device), drawn.base.to(device), drawn.values.to(device)
        frame, x, x0 = model.framed(v, base)
        if drawn.indices is None:
            found = frame.leave(as_complex(model.reconstruct(x, x0, values)))
        else:
            levels = model.padded_levels(drawn.indices.to(device)[:, : model.num_latents])
            found = frame.leave(as_complex(model.reconstruct_from(levels, x0, values)))
        similarity = sgcs(v, found).mean()
        return {"loss": 1 - similarity, "sgcs": similarity.detach()}

    def logged(self, means: Mapping[str, float]) -> dict[str, float]:
        s = self.recipe.schedule
        return {**means, "drops": self.step * s.batch_drops * s.draws_per_step}

    def validations(self) -> list[dict[str, float]]:
        """SGCS of the held-out samples, through the quantiser."""
        v, base = (t.to(self.device) for t in self.data.held_out())
        reports = None if self.data.indices is None else self.data.indices[self.data.num_train :]
        reports = None if reports is None else reports[:, : self.recipe.held_out_values]
        found = []
        with torch.no_grad():
            for first in range(0, len(v), _AT_ONCE):
                part, of_base = v[first : first + _AT_ONCE], base[first : first + _AT_ONCE]
                if reports is None:
                    indices = self.two_sided.encode(part, of_base, self.recipe.held_out_values)
                else:
                    indices = reports[first : first + _AT_ONCE].to(self.device)
                found.append(sgcs(part, self.two_sided.decode(indices, of_base)).mean(-1))
        mean = float(torch.cat(found).mean())
        return [{"lost_sgcs": 1 - mean, "sgcs": mean}]
