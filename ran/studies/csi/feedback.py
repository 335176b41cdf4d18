"""Ways to report the channel, by name: codebooks, classical coders, learned models."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from ran.errors import InputError, bad_value, unknown_name
from ran.phy.csi.codebooks import Codebook, codebook, through_reports
from ran.phy.csi.predicted_type_two import SLOTS_PER_INTERVAL
from ran.sim.identity import digest
from ran.studies.beams.cached_drops import cached_arrays, has_arrays
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.world import CsiWorld
from receivers.csi import (
    STEPS,
    DelayAngleCoder,
    EntropyTransformCoder,
    LatticeTransformCoder,
    NeuralCoder,
    SparseCoder,
    TransformCoder,
)
from receivers.csi.refinement import plain_attention

Say = Callable[[str], None]
#: Samples of a file in the cache.
_SAMPLES_PER_FILE = 512


@dataclass
class Bases:
    """Precoders that the enhanced type II codebook says of one layer each, computed once for all who refine them."""

    experiment: CsiExperiment
    wanted: np.ndarray
    _found: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __call__(self, combination: int) -> tuple[torch.Tensor, np.ndarray]:
        """Precoders complex64 [num_drops * num_layers, num_units, num_ports] and bits [num_drops * num_layers]."""
        if combination not in self._found:
            flat = self.wanted.reshape(-1, 1, *self.wanted.shape[2:])
            config = one_layer(self.experiment, "enhanced-type-two", combination=combination)
            base, bits = through_reports(flat, config)
            self._found[combination] = base[:, 0], bits
        base, bits = self._found[combination]
        return torch.from_numpy(base), bits


def cached_bases(experiment: CsiExperiment, v: np.ndarray, combination: int, say: Say) -> torch.Tensor:
    """Precoders decoded from enhanced type II reports on every layer of `v` by itself, from the cache or computed.

    v complex64 [num_drops, num_layers, num_units, num_ports]; returns [num_drops * num_layers, num_units, num_ports].
    """
    config = one_layer(experiment, "enhanced-type-two", combination=combination)
    flat = np.ascontiguousarray(v.reshape(-1, *v.shape[2:]))
    parts = []
    for first in range(0, len(flat), _SAMPLES_PER_FILE):
        part = flat[first : first + _SAMPLES_PER_FILE]

        def compute(part: np.ndarray = part, first: int = first) -> dict[str, np.ndarray]:
            say(f"reports on samples {first + 1} to {first + len(part)} of {len(flat)}")
            return {"base": through_reports(part[:, None], config)[0][:, 0]}

        name = f"csi-base-{hashlib.sha256(part.tobytes()).hexdigest()[:32]}-{digest(config.__dict__)[:16]}"
        parts.append(cached_arrays(name, {"base": part.shape}, compute)["base"])
    return torch.from_numpy(np.concatenate(parts))


def one_layer(experiment: CsiExperiment, name: str, max_rank: int = 1, **options: Any) -> Codebook:
    """A codebook over the experiment's ports and units."""
    panel, band = experiment.panel, experiment.band
    if name in ("enhanced-type-two", "predicted-type-two"):
        options = {"per_subband": band.per_subband, **options}
    elif band.per_subband != 1:
        raise bad_value(
            "band.per_subband",
            band.per_subband,
            f"1 with {name}: only enhanced type II codebooks have halves of subbands",
        )
    try:
        return codebook(name, panel.n1, panel.n2, len(band.units), max_rank, **options)
    except TypeError:
        raise unknown_name(f"options of {name}", ", ".join(options), ("see the class",)) from None


class Feedback(ABC):
    """A way to report: from what a user wants to what the base station decodes."""

    name: ClassVar[str]
    #: The option that makes the points of a curve when it is a list.
    varied: ClassVar[str | None] = None
    #: Whether one report is on all instants that are asked for; else there is a report on each.
    of_instants: ClassVar[bool] = False

    @property
    def fit_group(self) -> str | None:
        """Names what those share who are fitted; None where nothing is. They are fitted together, as they share the
        costly part."""
        return None

    def is_fitted(self, world: CsiWorld) -> bool:
        """Whether nothing has to be fitted, or the cache has what was."""
        return True

    def prepare(self, world: CsiWorld, say: Say) -> None:  # noqa: B027 - most have nothing to fit
        """Fit to drops of the training split, or take what was fitted from the cache."""

    @abstractmethod
    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        """Decoded precoders complex64 of the shape of `wanted`, [num_drops, num_layers, num_units, num_ports], and the
        bits of every drop's report that tell the precoder, int64 [num_drops]. With `of_instants` an axis of instants
        follows that of layers."""

    def cost(self) -> dict[str, int]:
        """Parameters and FLOPs of encoder and decoder, per report of a layer, as far as they are counted."""
        return {}

    def fingerprint(self) -> str | None:
        """Of weights that it reads from a file."""
        return None


class Ideal(Feedback):
    """What the user wants, without quantisation: the bound for all others."""

    name = "ideal"

    def __init__(self, experiment: CsiExperiment) -> None:
        del experiment

    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        return wanted, np.zeros(len(wanted), np.int64)


class OfCodebook(Feedback):
    """Shared by the codebooks: all layers in one report."""

    def __init__(self, experiment: CsiExperiment, **options: Any) -> None:
        self.config = one_layer(experiment, self.name, experiment.num_layers, **options)

    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        return through_reports(wanted, self.config)


class TypeOneFeedback(OfCodebook):
    """Type I single-panel codebook (TS 38.214 §5.2.2.2.1)."""

    name = "type-one"

    def __init__(self, experiment: CsiExperiment, mode: int = 1) -> None:
        super().__init__(experiment, mode=mode)


class TypeTwoFeedback(OfCodebook):
    """Type II codebook of Rel-15 (TS 38.214 §5.2.2.2.3)."""

    name = "type-two"
    varied = "num_beams"

    def __init__(
        self, experiment: CsiExperiment, num_beams: int = 4, num_phases: int = 8, subband_amplitude: bool = True
    ) -> None:
        super().__init__(experiment, num_beams=num_beams, num_phases=num_phases, subband_amplitude=subband_amplitude)


class EnhancedTypeTwoFeedback(OfCodebook):
    """Enhanced type II codebook of Rel-16 (TS 38.214 §5.2.2.2.5)."""

    name = "enhanced-type-two"
    varied = "combination"

    def __init__(self, experiment: CsiExperiment, combination: int = 4) -> None:
        super().__init__(experiment, combination=combination)


class PredictedTypeTwoFeedback(OfCodebook):
    """Enhanced type II codebook for predicted PMI of Rel-18 (TS 38.214 §5.2.2.2.10): one report on N4 intervals of d
    slots, timing.num_ahead instants every timing.ahead_ms."""

    name = "predicted-type-two"
    varied = "combination"
    of_instants = True

    def __init__(self, experiment: CsiExperiment, combination: int = 5) -> None:
        timing, slot_ms = experiment.timing, 15 / experiment.band.subcarrier_spacing_khz
        slots = timing.ahead_ms / slot_ms
        options: dict[str, Any] = {"num_intervals": timing.num_ahead}
        if timing.num_ahead > 1:
            if not any(math.isclose(slots, allowed) for allowed in SLOTS_PER_INTERVAL):
                allowed = ", ".join(f"{slot_ms * count:g}" for count in SLOTS_PER_INTERVAL)
                raise bad_value(
                    "timing.ahead_ms", timing.ahead_ms, f"{allowed} with {self.name} and several intervals, of d slots"
                )
            options["slots_per_interval"] = round(slots)
        super().__init__(experiment, combination=combination, **options)


def flat_of(wanted: np.ndarray) -> torch.Tensor:
    """Drops and layers as one axis, for coders of one layer."""
    return torch.from_numpy(np.ascontiguousarray(wanted.reshape(-1, *wanted.shape[2:])))


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


class NeuralFeedback(Feedback):
    """A trained two-sided model, beside the codebook's report that it refines.

    weights: a shipped name, or a .safetensors file. num_values: latents of a layer. decoder: other weights whose
    decoder is at the base station, one that was trained for reports of this encoder.
    """

    name = "neural"
    varied = "num_values"

    def __init__(
        self, experiment: CsiExperiment, weights: str = "csi-refined", num_values: int = 24, decoder: str | None = None
    ) -> None:
        try:
            self.coder = NeuralCoder(weights, num_values, decoder)
        except ValueError as error:
            raise InputError(str(error)) from None
        base = self.coder.card["base"]
        panel, band = experiment.panel, experiment.band
        own = {"n1": panel.n1, "n2": panel.n2, "num_units": len(band.units), "per_subband": band.per_subband}
        for key, value in own.items():
            if base[key] != value:
                raise bad_value(f"weights {weights}: {key}", value, f"{base[key]}, what the model was made for")
        self.combination = int(base["combination"])

    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        base, of_base = bases(self.combination)
        reports = self.coder.encode(flat_of(wanted), base)
        found = self.coder.decode(reports, base).numpy().reshape(wanted.shape)
        return found, (of_base + reports.shape[1]).reshape(wanted.shape[:2]).sum(1)

    def cost(self) -> dict[str, int]:
        from torch.utils.flop_counter import FlopCounterMode

        model = self.coder.model
        x = torch.zeros(1, model.num_units, 4 * model.shape[0] * model.shape[1])
        levels = torch.zeros(1, self.coder.decoding.num_latents)
        found = {}
        for side, module, arguments in (
            ("encoder", model.encoder, (x, x)),
            ("decoder", self.coder.decoding.decoder, (levels, levels, x)),
        ):
            with FlopCounterMode(display=False) as counter, torch.no_grad(), plain_attention():
                module(*arguments)
            codewords = 0 if model.quantiser is None else model.quantiser.codewords.numel()
            # the nearest codeword is found from inner products with all, and looked up at the other side
            searched = 2 * codewords if side == "encoder" else 0
            found[f"{side}_flops"] = int(counter.get_total_flops()) + searched
            found[f"{side}_parameters"] = sum(p.numel() for p in module.parameters()) + codewords
        return found

    def fingerprint(self) -> str | None:
        return self.coder.fingerprint


class DelayAngleFeedback(Feedback):
    """A trained delay-angle model: reports of a fixed number of bits, without a codebook.

    weights: a shipped name, or a .safetensors file. num_bits: of a layer. any_layout: whether the model may serve ports
    in another layout than it was trained for.
    """

    name = "delay-angle"
    varied = "num_bits"

    def __init__(
        self,
        experiment: CsiExperiment,
        weights: str = "csi-delay-angle",
        num_bits: int = 140,
        any_layout: bool = False,
    ) -> None:
        layout = (experiment.panel.n1, experiment.panel.n2) if any_layout else None
        try:
            self.coder = DelayAngleCoder(weights, num_bits, layout)
        except ValueError as error:
            raise InputError(str(error)) from None
        panel, band = experiment.panel, experiment.band
        own = {"n1": panel.n1, "n2": panel.n2, "num_units": len(band.units), "per_subband": band.per_subband}
        for key, value in own.items():
            if (made := self.coder.card["layout"][key]) != value and not (any_layout and key in ("n1", "n2")):
                raise bad_value(f"weights {weights}: {key}", value, f"{made}, what the model was made for")

    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        reports = self.coder.encode(flat_of(wanted))
        bits = np.full(len(wanted), reports.shape[1] * wanted.shape[1], np.int64)
        return self.coder.decode(reports).numpy().reshape(wanted.shape), bits

    def cost(self) -> dict[str, int]:
        """Of the decoder all networks once; of the encoder as often as it tries a step of the quantiser."""
        model = self.coder.model
        coefficients = model.num_units * 2 * model.shape[0] * model.shape[1]
        flops = [
            2 * coefficients * sum(layer.weight.numel() for layer in (part.enter, part.middle, part.leave))
            for part in (model.contexts, model.restoration)
        ]
        parameters = sum(p.numel() for p in model.parameters())
        tries = self.coder.num_tries
        return {
            "encoder_flops": (tries + 1) * flops[0] + tries * flops[1],
            "encoder_parameters": parameters,
            "decoder_flops": sum(flops),
            "decoder_parameters": parameters,
        }

    def fingerprint(self) -> str | None:
        return self.coder.fingerprint


class VariableDelayAngleFeedback(DelayAngleFeedback):
    """A trained delay-angle model with the same step of the quantiser for all: reports of lengths of their own.

    weights, any_layout: as of `DelayAngleFeedback`. step: over the norm of a subband's precoder; smaller is more bits.
    """

    name = "delay-angle-variable"
    varied = "step"

    def __init__(
        self,
        experiment: CsiExperiment,
        weights: str = "csi-delay-angle",
        step: float = 0.28,
        any_layout: bool = False,
    ) -> None:
        super().__init__(experiment, weights, any_layout=any_layout)
        if not STEPS[0] <= step <= STEPS[-1]:
            raise bad_value("step", step, f"{STEPS[0]:g} to {STEPS[-1]:.3g}")
        self.step = step

    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        reports = self.coder.encode_at(flat_of(wanted), self.step)
        bits = np.array([len(report) for report in reports], np.int64).reshape(wanted.shape[:2]).sum(1)
        return self.coder.decode_at(reports, self.step).numpy().reshape(wanted.shape), bits


FEEDBACK: dict[str, type[Feedback]] = {
    cls.name: cls
    for cls in (
        Ideal, TypeOneFeedback, TypeTwoFeedback, EnhancedTypeTwoFeedback, PredictedTypeTwoFeedback, TransformFeedback,
        SparseFeedback, NeuralFeedback, DelayAngleFeedback, VariableDelayAngleFeedback,
    )
}  # fmt: skip
