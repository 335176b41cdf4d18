"""Reports of classical transforms: what codebooks have to be measured against, too."""

from __future__ import annotations

import numpy as np

from ran.errors import InputError, bad_value, unknown_name
from ran.sim.identity import digest
from ran.studies.beams.cached_drops import cached_arrays, has_arrays
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.feedback import Bases, Feedback, Say, cached_bases, flat_of, one_layer
from ran.studies.csi.world import CsiWorld
from receivers.csi import (
    EntropyTransformCoder,
    LatticeTransformCoder,
    SparseCoder,
    TransformCoder,
)

#: How coefficients of a transform are quantised and written.
QUANTISERS: dict[str, type[TransformCoder]] = {
    "scalar": TransformCoder,
    "lattice": LatticeTransformCoder,
    "entropy": EntropyTransformCoder,
}


class TransformFeedback(Feedback):
    """Karhunen-Loeve transform fitted to the cell, bits by reverse water-filling.

    num_bits: of a layer. combination: enhanced type II report whose difference is coded; none: the precoder itself.
    quantiser: scalar is Lloyd-Max, lattice points of E8 for eight coefficients at a time, entropy an arithmetic code of
    uniformly quantised coefficients.
    """

    name = "transform"
    varied = "num_bits"

    def __init__(
        self,
        experiment: CsiExperiment,
        num_bits: int = 64,
        combination: int | None = None,
        quantiser: str = "scalar",
    ) -> None:
        self.experiment, self.combination, self.quantiser = experiment, combination, quantiser
        if combination is not None:
            one_layer(experiment, "enhanced-type-two", combination=combination)
        if str(quantiser) not in QUANTISERS:
            raise unknown_name("quantiser", str(quantiser), QUANTISERS)
        try:
            self.coder = QUANTISERS[quantiser](num_bits, (experiment.panel.n1, experiment.panel.n2))
        except ValueError as error:
            raise InputError(str(error)) from None
        if experiment.num_fit_drops < 2:
            raise bad_value("num_fit_drops", experiment.num_fit_drops, "2 or more with transform, which is fitted")

    @property
    def fit_group(self) -> str | None:
        return f"transform over combination {self.combination}" if self.combination is not None else "transform"

    def _kept_as(self, world: CsiWorld) -> str:
        about = {"drops": world.drops_id, "count": self.experiment.num_fit_drops, "combination": self.combination}
        if self.quantiser != "scalar":
            about["quantiser"] = self.quantiser
        return f"csi-transform-{digest({**about, 'bits': self.coder.num_bits, 'version': 1})}"

    def is_fitted(self, world: CsiWorld) -> bool:
        return has_arrays(self._kept_as(world))

    def prepare(self, world: CsiWorld, say: Say) -> None:
        e = self.experiment
        shapes = self.coder.state_shapes(4 * e.panel.n1 * e.panel.n2 * len(e.band.units))

        def compute() -> dict[str, np.ndarray]:
            say(f"fitting a transform of {self.coder.num_bits} bits")
            v = world.kept("train", e.num_fit_drops, say).v[:, -1]
            base = None if self.combination is None else cached_bases(e, v, self.combination, say)
            found = self.coder.fit(flat_of(v), base).state()
            return {name: _padded(found[name], shapes[name]) for name in shapes}

        self.coder.load(cached_arrays(self._kept_as(world), shapes, compute))

    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        base, of_base = (None, np.zeros(wanted.shape[0] * wanted.shape[1], np.int64))
        if self.combination is not None:
            base, of_base = bases(self.combination)
        reports = self.coder.encode(flat_of(wanted), base)
        found = self.coder.decode(reports, base).numpy().reshape(wanted.shape)
        return found, (of_base + reports.shape[1]).reshape(wanted.shape[:2]).sum(1)

    def cost(self) -> dict[str, int]:
        values = self.coder.basis.size
        return {
            side + what: n * values
            for side in ("encoder_", "decoder_")
            for what, n in (("flops", 2), ("parameters", 1))
        }


def _padded(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(shape, values.dtype)
    found[tuple(slice(n) for n in values.shape)] = values
    return found


class SparseFeedback(Feedback):
    """The strongest coefficients over beams and delays: places as one number, amplitudes and phases."""

    name = "sparse"
    varied = "num_coefficients"

    def __init__(self, experiment: CsiExperiment, num_coefficients: int = 8) -> None:
        panel = experiment.panel
        self.coder = SparseCoder(num_coefficients, len(experiment.band.units), (panel.n1, panel.n2))

    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        reports = self.coder.encode(flat_of(wanted))
        bits = np.full(len(wanted), reports.shape[1] * wanted.shape[1], np.int64)
        return self.coder.decode(reports).numpy().reshape(wanted.shape), bits
