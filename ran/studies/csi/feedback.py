"""Ways to report the channel: what all have in common, and the codebooks."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from ran.errors import bad_value, unknown_name
from ran.phy.csi.codebooks import Codebook, codebook, through_reports
from ran.phy.csi.predicted_type_two import SLOTS_PER_INTERVAL
from ran.sim.identity import digest
from ran.studies.beams.cached_drops import cached_arrays
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.world import CsiWorld

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

    def first(self, num_layers: int) -> Bases:
        """Of the first layers alone: reports on layers do not depend on one another."""
        layers = self.wanted.shape[1]
        if num_layers == layers:
            return self
        wanted = np.ascontiguousarray(self.wanted[:, :num_layers])
        found = {
            combination: tuple(
                np.ascontiguousarray(values.reshape(-1, layers, *values.shape[1:])[:, :num_layers]).reshape(
                    -1, *values.shape[1:]
                )
                for values in of_all
            )
            for combination, of_all in self._found.items()
        }
        return Bases(self.experiment, wanted, {key: (base, bits) for key, (base, bits) in found.items()})


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
