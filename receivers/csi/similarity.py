"""How well a decoded precoder agrees with the wanted one. The only place where these are defined.

Publications use both similarities under both names: for vectors at an angle theta SGCS is cos^2 and GCS is cos, so the
same decoder has a larger number by GCS. Means are over subbands and drops of the quotient, not quotients of means.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gcs(v: Tensor, w: Tensor) -> Tensor:
    """Generalised cosine similarity |v^H w| / (|v| |w|), 0 to 1; complex [..., num_ports] both, float [...].

    0 where one of them is 0. TR 38.843 §6.2.1 names both.
    """
    norms = torch.linalg.vector_norm(v, dim=-1) * torch.linalg.vector_norm(w, dim=-1)
    inner = (v.conj() * w).sum(-1).abs()
    return torch.where(
        norms > 0, inner / torch.where(norms > 0, norms, torch.ones_like(norms)), torch.zeros_like(norms)
    )


def sgcs(v: Tensor, w: Tensor) -> Tensor:
    """Squared generalised cosine similarity, `gcs` squared: the part of the beamforming gain that is left."""
    return gcs(v, w).square()


def nmse(v: Tensor, w: Tensor) -> Tensor:
    """|v - a w|^2 / |v|^2 with w of the norm of v and the phase that agrees best: 2 (1 - gcs), 0 to 2."""
    return 2 * (1 - gcs(v, w))
