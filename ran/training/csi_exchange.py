"""Reports of an encoder that stays elsewhere, as `ran data csi --weights` writes them, to train a decoder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError, bad_value
from receivers.csi import indices_of

_ARRAYS = {"precoders": 4, "base": 4, "reports": 2, "split": 1}
_ATTRIBUTES = ("pair_sha256", "combination", "bits_per_value", "n1", "n2")
_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class Exchange:
    """A data set between both sides of a two-sided model.

    v, base complex64 [num_samples, num_units, num_ports]: precoders and what the codebook's part of the report says.
    indices int64 [num_samples, num_values]: of the quantiser, what the encoder reports. is_held_out bool [num_samples]:
    those that are not trained on. pair: SHA-256 of the weights whose latents these are. combination: of the codebook.
    shape: (n1, n2).
    """

    v: Tensor
    base: Tensor
    indices: Tensor
    is_held_out: Tensor
    pair: str
    combination: int
    bits_per_value: int
    shape: tuple[int, int]

    @property
    def num_values(self) -> int:
        """Latents of a report."""
        return self.indices.shape[1]


def read_exchange(file: str) -> Exchange:
    """The data set in a file in HDF5. `InputError` in one line for a file that is not there, is none or lacks parts."""
    path = Path(file)
    if path.suffix not in _SUFFIXES or not path.is_file():
        raise bad_value("exchange", file, f"a file in {', '.join(_SUFFIXES)}, as `ran data csi --weights` writes it")
    import h5py

    try:
        with h5py.File(path) as opened:
            arrays = {name: opened[name][:] for name in _ARRAYS if name in opened}
            about = {name: opened.attrs[name] for name in _ATTRIBUTES if name in opened.attrs}
    except OSError as error:
        raise InputError(f"exchange: cannot read {file} ({' '.join(str(error).split())}); allowed: HDF5") from None
    for name in (*_ARRAYS, *_ATTRIBUTES):
        if name not in arrays and name not in about:
            raise InputError(f"exchange: {file} has no {name}; allowed: a file of `ran data csi --weights`")
    for name, dimensions in _ARRAYS.items():
        if arrays[name].ndim != dimensions or len(arrays[name]) != len(arrays["precoders"]):
            raise bad_value(f"exchange: shape of {name}", arrays[name].shape, f"{dimensions} axes, the samples first")
    bits = int(about["bits_per_value"])
    if bits not in (1, 2) or arrays["reports"].shape[1] % bits or arrays["reports"].max(initial=0) > 1:
        raise bad_value("exchange: reports", arrays["reports"].shape, f"zeros and ones, {bits} bits for every latent")
    v, base = (_as_complex(arrays[name], name) for name in ("precoders", "base"))
    if base.shape != v.shape:
        raise bad_value("exchange: shape of base", tuple(base.shape), f"{tuple(v.shape)}, that of precoders")
    return Exchange(
        v,
        base,
        indices_of(arrays["reports"], bits),
        torch.from_numpy(arrays["split"] != 0),
        str(about["pair_sha256"]),
        int(about["combination"]),
        bits,
        (int(about["n1"]), int(about["n2"])),
    )


def _as_complex(values: np.ndarray, name: str) -> Tensor:
    if values.shape[-1] != 2 or not np.isfinite(values).all():
        raise bad_value(f"exchange: {name}", values.shape, "finite real and imaginary parts, [..., 2]")
    return torch.view_as_complex(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
