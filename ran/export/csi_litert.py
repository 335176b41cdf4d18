"""What a phone runs of a CSI model, as LiteRT: the encoder of a two-sided model, or the network of a predictor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ran.config.provenance import versions
from ran.errors import InputError, bad_value
from ran.export.csi_sides import NUM_DROPS, sides_of
from ran.export.interface import Exported, ExportTarget, Say
from ran.export.litert import litert_weights_to_int8, write_litert
from ran.export.request import Request
from ran.sim.files import write_text
from receivers.csi import sgcs
from receivers.csi.refinement import plain_attention
from receivers.neural.weights import load_weights
from receivers.onnx.litert import LitertModel

#: SGCS that a file may lose, by the numbers that it is kept in.
_MOST_LOST_SGCS = {"f32": 1e-4, "int8": 0.01}


@dataclass(frozen=True)
class CsiLitertExport:
    """What was written, and how it does: reports of the file against those of torch, read by the same decoder.

    changed: part of the reported indices that differ. num_bytes: of the file.
    """

    folder: Path
    dtype: str
    changed: float
    sgcs_before: float
    sgcs_after: float
    num_bytes: int

    @property
    def problems(self) -> tuple[str, ...]:
        if self.sgcs_before - self.sgcs_after <= _MOST_LOST_SGCS[self.dtype]:
            return ()
        return (f"SGCS falls from {self.sgcs_before:.4f} to {self.sgcs_after:.4f}",)

    def lines(self) -> list[str]:
        return [
            f"SGCS {self.sgcs_before:.5f} before, {self.sgcs_after:.5f} after; {100 * self.changed:.2f} % of the "
            f"indices differ; {self.num_bytes:,} bytes"
        ]


class CsiLitertTarget(ExportTarget):
    """encoder of a two-sided CSI model as LiteRT (.tflite), as it runs in a phone (pip install 'ran6g[litert]')"""

    name = "csi-litert"
    dtypes = ("f32", "int8")
    packages = ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")
    install = "pip install 'ran6g[litert]' (in an environment of its own)"
    experiment = "csi-uma-32ports"

    def export(self, request: Request, say: Say) -> Exported:
        request.check()
        return export_encoder(request.weights, request.out, request.experiment, request.changes, request.dtype)


def export_encoder(
    weights: str, out: Path, experiment: str, changes: tuple[str, ...] = (), dtype: str = "f32"
) -> CsiLitertExport:
    """Write encoder.tflite, for one report at a time, and REPORT.md into a new folder.

    dtype: "f32", or "int8": weights of the layers in 8 bits. `InputError` for weights without an encoder of their own:
    a delay-angle report is understood by who computes the same probabilities, which another arithmetic does not.
    """
    try:
        architecture = load_weights(weights, "csi").card["architecture"]["name"]
        if architecture not in ("refinement", "autoencoder"):
            allowed = "refinement, autoencoder: only there a side may compute in other numbers"
            raise bad_value(f"{weights}: architecture", architecture, allowed)
    except ValueError as error:
        raise InputError(str(error)) from None
    sides = sides_of(weights, out, experiment, changes)
    model, coder, v = sides.model, sides.coder, sides.v
    contract, encoder = sides.contracts[0], sides.modules()[0]
    inputs = (sides.x, *sides.of_base())
    whole = _Whole(encoder) if model.has_base else encoder
    path = out / "encoder.tflite"
    about = {"weights": coder.card["name"], "weights_sha256": coder.card["sha256"], "licence": coder.card["licence"]}
    with plain_attention():
        write_litert(whole, contract, tuple(given[:1] for given in inputs), about, path)
    if dtype == "int8":
        litert_weights_to_int8(path)
    file = LitertModel(path)
    names, said = [spec.name for spec in contract.inputs], [contract.outputs[0].name]
    parts = [
        file.run({name: given.numpy()[None] for name, given in zip(names, one, strict=True)}, said)[0]
        for one in zip(*inputs, strict=True)
    ]
    with torch.no_grad():
        own, of_file = model.indices(encoder(*inputs)), model.indices(torch.from_numpy(np.concatenate(parts)))
        worth = [float(sgcs(v, model.decode(indices, sides.base)).mean()) for indices in (own, of_file)]
    changed = float((own != of_file).float().mean())
    outcome = CsiLitertExport(out, dtype, changed, worth[0], worth[1], path.stat().st_size)
    made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines = [
        f"# Encoder of {coder.card['name']} as LiteRT, {dtype}",
        "",
        *[f"**Rejected:** {problem}" for problem in outcome.problems],
        f"{NUM_DROPS} drops, all {model.num_latents} latents, read by its decoder: {outcome.lines()[0]}.",
        "",
        "Inputs and output as of encoder.onnx (`ran export ... --target csi`), for one report. The frame, quantisation "
        "and the codebook's report are made outside.",
        "",
        f"Made with {made_with}.",
        "",
    ]
    write_text(out / "REPORT.md", "\n".join(lines))
    return outcome


class _Whole(nn.Module):
    """The encoder as a module of its own."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, precoder: Tensor, base: Tensor) -> Tensor:
        found: Tensor = self.encoder(precoder, base)
        return found
