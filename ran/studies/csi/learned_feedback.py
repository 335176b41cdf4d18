"""Reports of trained models."""

from __future__ import annotations

import numpy as np
import torch

from ran.errors import InputError, bad_value
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.feedback import Bases, Feedback, flat_of
from receivers.csi import (
    STEPS,
    DelayAngleCoder,
    NeuralCoder,
)
from receivers.csi.refinement import plain_attention


class NeuralFeedback(Feedback):
    """A trained two-sided model, beside the codebook's report that it refines, if it refines one.

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
        self.combination = None if base["combination"] is None else int(base["combination"])

    def __call__(self, wanted: np.ndarray, bases: Bases) -> tuple[np.ndarray, np.ndarray]:
        flat = flat_of(wanted)
        if self.combination is None:
            base, of_base = torch.zeros_like(flat), np.zeros(len(flat), np.int64)
        else:
            base, of_base = bases(self.combination)
        reports = self.coder.encode(flat, base)
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
        """Of the decoder all networks once; of the encoder as often as it tries a step of the quantiser
        or looks at changes of indices."""
        model = self.coder.model
        coefficients = model.num_units * 2 * model.shape[0] * model.shape[1]
        flops = [
            2
            * coefficients
            * sum(layer.weight.numel() for layer in part.modules() if isinstance(layer, torch.nn.Linear))
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
