"""`ran data csi`: precoders of drops as a data set for those who train elsewhere, and the exchange between both sides.

Arrays, in HDF5 or in a .mat file of MATLAB, the sample first:

    precoders  float32 [samples, subbands, ports, 2]  unit vectors of one layer, real and imaginary part
    gains      float32 [samples, subbands]            eigenvalues, |H v|^2 of the true channel
    drop       int32   [samples]                      the user; samples of a user share its channel
    layer      int8    [samples]                      from 0, the strongest first
    split      uint8   [samples]                      0 for training, 1 for testing; no drop, and on a traced site no
                                                      position, is in both
With `weights` (a two-sided model) also what its encoder says of every sample, from which a decoder can be trained that
has never seen the encoder, and the other way round:

    base       float32 [samples, subbands, ports, 2]  what the codebook's part of the report says
    reports    uint8   [samples, bits]                latents of the encoder, most significant bit first

Attributes: `experiment` (YAML), `scenario_id`, `subbands`, and with a model its `weights` and their SHA-256,
`pair_sha256` (of the weights whose latents the reports are), `bits_per_value`, and the codebook's `combination`,
`n1` and `n2`. The key `exchange` of a recipe reads the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ran.config.yaml_file import dump
from ran.errors import InputError, bad_value
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.feedback import cached_bases
from ran.studies.csi.world import CsiWorld
from receivers.csi import NeuralCoder, pair_of

_SUFFIXES = (".h5", ".hdf5", ".mat")
#: Share of the drops that are for training.
_TRAIN = 0.8


def write_csi(
    experiment: CsiExperiment,
    num_drops: int,
    out: Path,
    say: Callable[[str], None] = lambda text: None,
    weights: str | None = None,
    num_values: int = 24,
) -> dict[str, tuple[int, ...]]:
    """Write a data set; returns the shapes of its arrays. Drops come from the cache, so an interrupted call goes on.

    `InputError` for another ending, fewer than two drops, a folder that cannot be written, or weights that do not fit.
    """
    if out.suffix not in _SUFFIXES:
        raise bad_value("--out", str(out), f"a file in {', '.join(_SUFFIXES)}")
    if num_drops < 2:
        raise bad_value("--drops", num_drops, "2 or more")
    world = CsiWorld(experiment)
    num_train = min(max(1, round(_TRAIN * num_drops)), num_drops - 1)
    parts = [world.kept("train", num_train, say), world.kept("test", num_drops - num_train, say)]
    v = np.concatenate([part.v[:, -1] for part in parts])
    layers = experiment.num_layers
    flat = v.reshape(-1, *v.shape[2:])
    arrays: dict[str, np.ndarray] = {
        "precoders": _as_real(flat),
        "gains": np.concatenate([part.gains[:, -1] for part in parts]).reshape(len(flat), -1),
        "drop": np.repeat(np.arange(num_drops, dtype=np.int32), layers),
        "layer": np.tile(np.arange(layers, dtype=np.int8), num_drops),
        "split": np.repeat((np.arange(num_drops) >= num_train).astype(np.uint8), layers),
    }
    about: dict[str, Any] = {
        "format": "ran6g csi",
        "experiment": dump(experiment.resolved(), allow_unicode=True, width=100),
        "scenario_id": world.scenario_id,
        "subbands": len(experiment.band.units),
    }
    if weights is not None:
        try:
            coder = NeuralCoder(weights, num_values)
        except ValueError as error:
            raise InputError(f"--weights: {error}") from None
        if coder.model.vector_size > 1:
            raise bad_value("--weights: vector_size", coder.model.vector_size, "1: the file holds no codewords")
        of_base = coder.card["base"]
        if of_base["codebook"] is None:
            name = coder.card["architecture"]["name"]
            raise bad_value("--weights: architecture", name, "refinement: the file holds the codebook's reports")
        base = cached_bases(experiment, v, int(of_base["combination"]), say)
        arrays["base"] = _as_real(base.numpy())
        arrays["reports"] = coder.encode(torch.from_numpy(np.ascontiguousarray(flat)), base)
        about |= {
            "weights": coder.card["name"],
            "weights_sha256": coder.card["sha256"],
            "pair_sha256": pair_of(coder.card),
        }
        about |= {"bits_per_value": coder.model.bits_per_value, **{k: of_base[k] for k in ("combination", "n1", "n2")}}
    _write(out, arrays, about)
    return {name: array.shape for name, array in arrays.items()}


def _as_real(v: np.ndarray) -> np.ndarray:
    return np.stack([v.real, v.imag], -1).astype(np.float32)


def _write(out: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write beside the file, then swap."""
    temporary = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".mat":
            from scipy.io import savemat

            savemat(temporary, {**arrays, **about}, do_compression=True)
        else:
            from ran.datasets.sparse_file import new_hdf5

            with new_hdf5(temporary) as file:
                for name, array in arrays.items():
                    file.create_dataset(name, data=array, compression="gzip", compression_opts=4)
                file.attrs.update(about)
        os.replace(temporary, out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"--out: cannot write {out} ({error.strerror or error}); allowed: a writable folder") from None
