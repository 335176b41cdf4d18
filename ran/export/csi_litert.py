"""What a phone runs of a CSI model, as LiteRT: the encoder of a two-sided model, or the network of a predictor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ran.config.provenance import versions
from ran.errors import InputError, bad_value
from ran.export.files import make_new_folder
from ran.export.interface import Exported, ExportTarget, Say
from ran.export.litert import litert_weights_to_int8, write_litert
from ran.export.request import Request
from ran.sim.files import write_text
from ran.studies.csi.experiment import load
from ran.studies.csi.feedback import cached_bases
from ran.studies.csi.world import CsiWorld
from receivers.csi import NeuralCoder, sgcs
from receivers.csi.refinement import plain_attention
from receivers.neural.weights import load_weights
from receivers.onnx.csi import CSI_ENCODER
from receivers.onnx.litert import LitertModel

#: Drops that the file is run on.
_NUM_DROPS = 64
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
        if architecture != "refinement":
            raise bad_value(
                f"{weights}: architecture", architecture, "refinement: only there a side may compute in other numbers"
            )
        model = NeuralCoder(weights, 0).model
        if model.vector_size > 1:
            raise bad_value(f"{weights}: vector_size", model.vector_size, "1: the file holds no codewords")
        coder = NeuralCoder(weights, model.num_latents)
    except ValueError as error:
        raise InputError(str(error)) from None
    loaded = load(experiment, changes)
    made = (len(loaded.band.units), (loaded.panel.n1, loaded.panel.n2))
    if made != (model.num_units, model.shape):
        raise bad_value("--experiment", experiment, f"{model.num_units} PMI units and ports as {model.shape}")
    make_new_folder(out)
    drops = CsiWorld(loaded).kept("test", _NUM_DROPS).v[:, -1]
    v = torch.from_numpy(np.ascontiguousarray(drops.reshape(-1, *drops.shape[2:])))
    base = cached_bases(loaded, drops, int(coder.card["base"]["combination"]), lambda text: None)
    _, x, x0 = model.framed(v, base)
    path = out / "encoder.tflite"
    about = {"weights": coder.card["name"], "weights_sha256": coder.card["sha256"], "licence": coder.card["licence"]}
    with plain_attention():
        write_litert(_Whole(model.encoder), CSI_ENCODER, (x[:1], x0[:1]), about, path)
    if dtype == "int8":
        litert_weights_to_int8(path)
    file = LitertModel(path)
    names = [spec.name for spec in CSI_ENCODER.inputs]
    parts = [
        file.run(dict(zip(names, (a.numpy()[None], b.numpy()[None]), strict=True)), [CSI_ENCODER.outputs[0].name])[0]
        for a, b in zip(x, x0, strict=True)
    ]
    with torch.no_grad():
        own, of_file = model.indices(model.encoder(x, x0)), model.indices(torch.from_numpy(np.concatenate(parts)))
        worth = [float(sgcs(v, model.decode(indices, base)).mean()) for indices in (own, of_file)]
    changed = float((own != of_file).float().mean())
    outcome = CsiLitertExport(out, dtype, changed, worth[0], worth[1], path.stat().st_size)
    made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines = [
        f"# Encoder of {coder.card['name']} as LiteRT, {dtype}",
        "",
        *[f"**Rejected:** {problem}" for problem in outcome.problems],
        f"{_NUM_DROPS} drops, all {model.num_latents} latents, read by its decoder: {outcome.lines()[0]}.",
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
