"""Two-sided CSI models as ONNX: encoder and decoder in a file each, run again and held against the weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ran.config.provenance import versions
from ran.errors import InputError
from ran.export.csi_networks import export_delay_angle, export_prediction
from ran.export.csi_sides import NUM_DROPS, CsiSides, sides_of
from ran.export.interface import ONNX_INSTALL, ONNX_PACKAGES, Exported, ExportTarget, Say
from ran.export.request import Request
from ran.sim.files import write_text
from receivers.csi import sgcs
from receivers.csi.frame import Frame, as_complex, unit_norm
from receivers.csi.refinement import plain_attention
from receivers.neural.weights import load_weights
from receivers.onnx.contract import Contract
from receivers.onnx.export import write_onnx
from receivers.onnx.model import OnnxModel

#: Largest difference of a latent, or of an entry of a precoder, between the file and torch.
_TOLERANCE = 1e-4
#: SGCS that a file may lose.
_MOST_LOST_SGCS = 1e-4
_OUTSIDE = (
    "The frame around the base, quantisation and the codebook's report are made outside: `receivers.csi.frame`, "
    "`receivers.csi.neural`, `ran.phy.csi`."
)
_OUTSIDE_PLAIN = "The frame and quantisation are made outside: `receivers.csi.frame`, `receivers.csi.neural`."
#: The experiment on whose drops a predictor is run where none is named.
_PREDICTION = "csi-uma-prediction"


@dataclass(frozen=True)
class CsiExport:
    """What was written, and how it does. sgcs: of the weights and of the files, all latents, over the same drops."""

    folder: Path
    latents_difference: float
    decoded_difference: float
    sgcs_before: float
    sgcs_after: float

    @property
    def problems(self) -> tuple[str, ...]:
        found = []
        for what, value in (("latents", self.latents_difference), ("precoders", self.decoded_difference)):
            if not value <= _TOLERANCE:
                found.append(f"{what} differ by {value:.2g}; allowed: {_TOLERANCE:g}")
        if not self.sgcs_before - self.sgcs_after <= _MOST_LOST_SGCS:
            found.append(f"SGCS falls from {self.sgcs_before:.4f} to {self.sgcs_after:.4f}")
        return tuple(found)

    def lines(self) -> list[str]:
        return [f"SGCS {self.sgcs_before:.5f} before, {self.sgcs_after:.5f} after"]


class CsiTarget(ExportTarget):
    """both sides of a CSI model: encoder and decoder, the networks of a delay-angle coder, or a predictor"""

    name = "csi"
    packages = ONNX_PACKAGES
    install = ONNX_INSTALL
    experiment = "csi-uma-32ports"

    def export(self, request: Request, say: Say) -> Exported:
        request.check()
        try:
            architecture = load_weights(request.weights, "csi").card["architecture"]["name"]
        except ValueError as error:
            raise InputError(str(error)) from None
        if architecture in ("refinement", "autoencoder"):
            return export_csi(request.weights, request.out, request.experiment, request.changes)
        if architecture == "delay-angle":
            return export_delay_angle(request.weights, request.out, request.experiment, request.changes)
        # the target's own experiment predicts nothing
        named = _PREDICTION if request.experiment == self.experiment else request.experiment
        return export_prediction(request.weights, request.out, named, request.changes)


def export_csi(weights: str, out: Path, experiment: str, changes: tuple[str, ...] = ()) -> CsiExport:
    """Write encoder.onnx, decoder.onnx, contract.json and REPORT.md into a new folder.

    experiment: CSI experiment whose drops the files are run on. `InputError` for weights that do not fit it and for a
    folder that is not new. The frame is made outside of the files.
    """
    sides = sides_of(weights, out, experiment, changes)
    model, v, x, x0 = sides.model, sides.v, sides.x, sides.x0
    of_encoder, of_decoder = sides.contracts
    encoder, decoder = sides.modules()
    card = sides.coder.card
    about = {
        "task": str(card.get("description", "")),
        "weights": card["name"],
        "weights_sha256": card["sha256"],
        "licence": card["licence"],
        "base": json.dumps(card["base"]),
        "bits_per_value": str(model.bits_per_value),
    }
    fixed = {"num_units": model.num_units, "num_features": x.shape[-1], "num_latents": model.num_latents}
    used = torch.ones(len(v), model.num_latents)
    with torch.no_grad():
        latents = model.encoder(x, x0)
        levels = model.levels(model.indices(latents))
        decoded = model.decoder(levels, used, x0)
        with plain_attention():
            example = (x[:3], *(given[:3] for given in sides.of_base()))
            write_onnx(encoder, of_encoder, example, fixed, about, out / "encoder.onnx")
            example = (levels[:3], used[:3], *example[1:])
            write_onnx(decoder, of_decoder, example, fixed, about, out / "decoder.onnx")
    of_file = _run(out / "encoder.onnx", of_encoder, x, *sides.of_base())
    after = _run(out / "decoder.onnx", of_decoder, model.levels(model.indices(of_file)), used, *sides.of_base())
    # the same levels into both decoders: an index at an edge may fall to either side
    same = _run(out / "decoder.onnx", of_decoder, levels, used, *sides.of_base())
    outcome = CsiExport(
        out,
        float((of_file - latents).abs().max()),
        float((same - decoded).abs().max()),
        _sgcs(v, sides.frame, decoded),
        _sgcs(v, sides.frame, after),
    )
    _describe(outcome, about, sides)
    return outcome


def _run(path: Path, contract: Contract, *inputs: torch.Tensor) -> torch.Tensor:
    arrays = {spec.name: tensor.numpy() for spec, tensor in zip(contract.inputs, inputs, strict=True)}
    return torch.from_numpy(OnnxModel(path).run(arrays, [contract.outputs[0].name])[0])


def _sgcs(v: torch.Tensor, frame: Frame, decoded: torch.Tensor) -> float:
    return float(sgcs(v, unit_norm(frame.leave(as_complex(decoded)))).mean())


def _describe(outcome: CsiExport, about: dict[str, str], sides: CsiSides) -> None:
    files = {
        name: {
            "contract": asdict(contract),
            "sha256": hashlib.sha256((outcome.folder / f"{name}.onnx").read_bytes()).hexdigest(),
        }
        for name, contract in zip(("encoder", "decoder"), sides.contracts, strict=True)
    }
    write_text(outcome.folder / "contract.json", json.dumps({**about, "files": files}, indent=1) + "\n")
    problems = [f"- {problem}" for problem in outcome.problems]
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines = [
        f"# {about['weights']} as encoder and decoder",
        "",
        *(["**Rejected:**", "", *problems, ""] if problems else []),
        f"The files in onnxruntime against torch over {NUM_DROPS} drops: latents within "
        f"{outcome.latents_difference:.2g}, precoders within {outcome.decoded_difference:.2g}; SGCS "
        f"{outcome.sgcs_before:.5f} before, {outcome.sgcs_after:.5f} after, with all latents.",
        "",
        _OUTSIDE if sides.model.has_base else _OUTSIDE_PLAIN,
        "",
        f"Made with {made}.",
        "",
    ]
    write_text(outcome.folder / "REPORT.md", "\n".join(lines))
