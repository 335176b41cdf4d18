"""Drops that beam predictors are trained on: computed once and kept in the cache, then drawn from again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from ran.errors import InputError
from ran.link.streams import stream
from ran.studies.beams.cached_drops import cached_drops
from ran.studies.beams.experiment import BeamExperiment, SetB, load
from ran.studies.beams.measurement import decide, fixed_pattern, measured_entries, true_entries
from ran.studies.beams.report import reported_dbm
from ran.studies.beams.world import BeamDrops, BeamWorld
from ran.training.beam_recipe import BeamRecipe, World
from receivers.beams import BeamObservation, BeamTruth


class KeptDrops:
    """Drops of one world: measured and true powers at all times.

    measured float32 [num_drops, num_times, num_pool]: of all beams of the pool, or of all pairs, with noise, not
    quantised. true float32 [num_drops, num_times, num_set_a].
    """

    def __init__(self, world: World) -> None:
        self.settings = world
        self.experiment: BeamExperiment = load(world.experiment, world.changes)
        self.world = BeamWorld(self.experiment)
        self.measured = np.empty((0, 0, 0), np.float32)
        self.true = np.empty((0, 0, 0), np.float32)
        #: What is known of codebooks and noise in every drop.
        self.known: BeamObservation = decide(self.world, self._blank()).observation

    def _blank(self) -> BeamDrops:
        """A drop without any power: `decide` makes of it all that is the same for every drop."""
        num_times, num_pool = len(self.world.times_s), self.world.pool_weights.shape[1]
        powers = np.full((1, num_times, self.experiment.num_rx_beams, num_pool), -100.0, np.float32)
        return BeamDrops(powers, np.zeros((1, num_times, 3), np.float32), self.world.times_s, "train", 0)

    @property
    def total(self) -> int:
        return self.settings.num_drops + self.settings.num_held_out

    def prepare(self, say: Callable[[str], None]) -> None:
        """Compute the drops, or take them from the cache, and measure them."""
        drops = cached_drops(self.world, "train", self.total, say)
        every = np.arange(len(self.world.times_s))
        self.measured = measured_entries(self.world, drops, every)
        self.true = true_entries(self.world, drops, every)

    def batch(
        self,
        rows: np.ndarray,
        set_b: SetB,
        generator: np.random.Generator,
        decision: int = 0,
        horizon: slice = slice(None),
        every: int = 1,
        mirrored: bool = False,
    ) -> tuple[BeamObservation, BeamTruth]:
        """What is known of drops and the truth. generator: of Set B where it is random. horizon: which of its times."""
        seen, ahead = self.world.places(decision)
        seen, ahead = seen[::-1][::every][::-1], ahead[horizon]
        pool, true = self.measured[rows][:, seen], self.true[rows][:, ahead]
        if mirrored:
            pool, true = pool[..., self._mirror], true[..., self._mirror[: true.shape[-1]]]
        first, codebook = 0, None
        shape = (len(rows), len(seen))
        if set_b.pattern == "wide":
            level = self.world.level(set_b.size)
            first, codebook = self.world.tree.first[level], self.world.tree.levels[level]
            beams = np.broadcast_to(np.arange(set_b.size), (*shape, set_b.size))
        elif set_b.pattern == "fixed":
            beams = np.broadcast_to(fixed_pattern(self.world, set_b.size), (*shape, set_b.size))
        elif set_b.pattern == "random":
            beams = generator.random((*shape, true.shape[-1])).argsort(-1)[..., : set_b.size]
        else:
            beams = np.broadcast_to(np.arange(true.shape[-1]), (*shape, true.shape[-1]))
        values = np.take_along_axis(pool, beams + first, -1)
        if self.experiment.radio.quantised:
            values = reported_dbm(values)
        known = self.known
        observation = replace(
            known,
            rsrp_dbm=torch.from_numpy(values.astype(np.float32)),
            measured=torch.from_numpy(np.ascontiguousarray(beams)),
            times_s=known.times_s.flip(0)[::every].flip(0),
            horizon_s=known.horizon_s[horizon],
            wide_weights=None if codebook is None else torch.from_numpy(codebook.weights).to(torch.complex64),
            wide_cosines=None if codebook is None else torch.from_numpy(codebook.cosines.astype(np.float32)),
            users_m=None,
            sounder=None,
        )
        return observation, BeamTruth(torch.from_numpy(true))

    @cached_property
    def _mirror(self) -> np.ndarray:
        """The pool's beams with columns from right to left; of pairs, receive beams in the other order besides, which
        is that of a mirrored user turned to some other side, where faces are evenly apart."""
        if self.experiment.task == "pairs":
            pairs = np.arange(self.experiment.num_set_a).reshape(-1, *self.world.set_a.grid)
            return pairs[::-1, :, ::-1].reshape(-1)
        levels = zip(self.world.tree.first, self.world.tree.levels, strict=True)
        parts = [first + np.arange(level.num_beams).reshape(level.grid)[:, ::-1].reshape(-1) for first, level in levels]
        return np.concatenate(parts)


class BeamData:
    """The drops of all worlds of a recipe, and what a draw is made of."""

    def __init__(self, recipe: BeamRecipe) -> None:
        self.recipe = recipe
        self.kept = [KeptDrops(world) for world in recipe.worlds]
        for kept in self.kept:
            size = kept.experiment.num_set_a
            for set_b in recipe.set_b:
                if set_b.is_outside and kept.experiment.task == "pairs":
                    raise InputError(
                        f"set_b.pattern: got {set_b.pattern!r} with task 'pairs'; allowed: fixed, random, all"
                    )
                if set_b.pattern == "learned":
                    raise InputError("set_b.pattern: got 'learned'; allowed here: fixed, random, wide, all")
                if set_b.pattern == "wide":
                    kept.world.level(set_b.size)
                elif set_b.size > size:
                    raise InputError(f"set_b.size: got {set_b.size}; allowed: 1 to {size}, Set B is inside Set A")

    def prepare(self, say: Callable[[str], None]) -> float:
        """Compute the drops of all worlds, or take them from the cache; seconds that it took."""
        began = time.perf_counter()
        for kept in self.kept:
            kept.prepare(say)
        return time.perf_counter() - began

    def draw(self, number: int, part: range, size: int) -> tuple[BeamObservation, BeamTruth]:
        """The drops `part` of the `size` of a draw; they depend on the recipe and its number alone."""
        recipe = self.recipe
        generator = stream(recipe.seed, f"train/{recipe.name}", number, "draw")
        weights = np.array([kept.settings.weight for kept in self.kept])
        kept = self.kept[int(generator.choice(len(self.kept), p=weights / weights.sum()))]
        set_b = recipe.set_b[int(generator.integers(len(recipe.set_b)))]
        every = recipe.every[int(generator.integers(len(recipe.every)))]
        decision = int(generator.integers(kept.experiment.timing.num_decisions))
        # one time of the horizon, which is as good as all in the mean, and much faster
        at = int(generator.integers(len(kept.experiment.timing.horizon_ms)))
        mirrored = recipe.mirror and bool(generator.integers(2))
        rows = generator.integers(kept.settings.num_drops, size=size)[part.start : part.stop]
        return kept.batch(rows, set_b, generator, decision, slice(at, at + 1), every, mirrored)

    def held_out(self, kept: KeptDrops) -> list[tuple[BeamObservation, BeamTruth]]:
        """Drops that are never trained on, in turns with the recipe's sets of measured beams."""
        rows = np.arange(kept.settings.num_drops, kept.total)
        groups = np.array_split(rows, min(len(self.recipe.set_b), len(rows)))
        generator = stream(self.recipe.seed, f"validate/{self.recipe.name}", 0, "draw")
        return [kept.batch(group, set_b, generator) for group, set_b in zip(groups, self.recipe.set_b, strict=False)]
