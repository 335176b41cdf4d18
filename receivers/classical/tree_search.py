"""K-best detection: the best paths through the tree of all layers' levels."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from receivers.classical.pam import pam_axis

# Of the search of many resource elements at once: numbers of paths, as far as comparisons are written out, and bits
# that a path may have beside its metric.
_NUM_PATHS, _MAX_PATH_BITS = (1, 2, 4, 8, 16), 32


class KBest:
    """Breadth-first tree search over the layers, real and imaginary axes one after the other.

    Layers are decided from the surest to the least sure; of all paths with one more level only the `num_paths` nearest
    to the observation go on (Z. Guo and P. Nilsson, IEEE J. Sel. Areas Commun. 24(3), 2006), "nearest" with the power
    of the symbols as a penalty, as MMSE has it, and without it at the end. LLRs come from the paths
    that reach the end. Where all of them agree in a bit, its other value gets a path of its own: the best path up to
    there, then the nearest level with that value, then each remaining layer's nearest level.

    num_paths: K; with 1, 2, 4, 8 and 16 many resource elements are searched at once, which is fastest.
    rule: demapping by the best path ("maxlog") or by the sum over all of them ("exact").
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
        batch, _, num_layers, n = h.shape
        levels, labels = pam_axis(bits_per_symbol // 2, torch.device("cpu"))
        ascending = levels.argsort()
        if self._is_for_lanes(num_layers * bits_per_symbol):
            return self._in_lanes(y, h, noise_var.expand(batch, n), levels[ascending], labels[ascending])
        from receivers.classical.tree_kernel import search  # numba takes a while to import

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

    def _is_for_lanes(self, path_bits: int) -> bool:
        """Whether the search of many resource elements at once serves: comparisons in a fixed order are for powers of
        two, and sums over all paths are taken one by one."""
        return self.rule == "maxlog" and self.num_paths in _NUM_PATHS and path_bits <= _MAX_PATH_BITS

    def _in_lanes(self, y: Tensor, h: Tensor, noise_var: Tensor, levels: Tensor, labels: Tensor) -> Tensor:
        from receivers.classical.tree_lanes import search_lanes  # numba takes a while to import

        batch, _, num_layers, n = h.shape
        llr = torch.empty(batch, num_layers, n, 2 * labels.shape[1])
        search_lanes(
            _array(y, torch.complex64).view(np.float32),
            _array(h, torch.complex64).view(np.float32),
            _array(noise_var, torch.float32),
            levels.numpy(),
            labels.numpy(),
            self.num_paths,
            llr.numpy(),
        )
        return llr.to(h.device)


def _array(values: Tensor, dtype: torch.dtype) -> np.ndarray:
    return np.ascontiguousarray(values.detach().resolve_conj().to("cpu", dtype).numpy())
