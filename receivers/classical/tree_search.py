"""K-best detection: the best paths through the tree of all layers' levels."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from receivers.classical.pam import pam_axis


class KBest:
    """Breadth-first tree search over the layers, real and imaginary axes one after the other.

    Layers are decided from the surest to the least sure; of all paths with one more level only the `num_paths` nearest
    to the observation go on (Z. Guo and P. Nilsson, IEEE J. Sel. Areas Commun. 24(3), 2006), "nearest" with the power
    of the symbols as a penalty, as MMSE has it, and without it at the end. LLRs come from the paths
    that reach the end. Where all of them agree in a bit, its other value gets a path of its own: the best path up to
    there, then the nearest level with that value, then each remaining layer's nearest level.

    num_paths: K. rule: demapping by the best path ("maxlog") or by the sum over all of them ("exact").
    The search runs on the CPU in single precision, wherever its input is.
    """

    def __init__(self, num_paths: int = 16, rule: Literal["maxlog", "exact"] = "maxlog") -> None:
        if not 1 <= num_paths <= 1024:
            raise ValueError(f"num_paths: got {num_paths}; allowed: 1 to 1024")
        self.num_paths = num_paths
        self.rule: Literal["maxlog", "exact"] = rule

    def __call__(
        self, y: Tensor, h: Tensor, noise_var: Tensor, bits_per_symbol: int, prior_llr: Tensor | None = None
    ) -> Tensor:
        """LLRs float32 [batch, num_layers, n, bits_per_symbol], positive means bit 0; see `ExpectationPropagation`."""
        if prior_llr is not None:
            raise ValueError("prior_llr: got LLRs; allowed: None, the search knows no prior")
        from receivers.classical.tree_kernel import search  # numba takes a while to import

        batch, _, num_layers, n = h.shape
        levels, labels = pam_axis(bits_per_symbol // 2, torch.device("cpu"))
        ascending = levels.argsort()
        scale = noise_var.expand(batch, n).rsqrt()
        llr = torch.empty(batch, n, num_layers, bits_per_symbol)
        search(
            _array(y * scale.unsqueeze(1), torch.complex64),
            _array(h * scale[:, None, None], torch.complex64),
            levels[ascending].numpy(),
            labels[ascending].numpy(),
            self.num_paths,
            self.rule == "exact",
            llr.numpy(),
        )
        return llr.transpose(1, 2).to(h.device)


def _array(values: Tensor, dtype: torch.dtype) -> np.ndarray:
    return np.ascontiguousarray(values.detach().resolve_conj().to("cpu", dtype).numpy())
