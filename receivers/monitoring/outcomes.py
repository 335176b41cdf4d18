"""What CSI reports and beam predictions tell of themselves: how well they serve, and what their inputs are like.

No label is used. A user knows the precoder that it wanted, and so how much of it its report leaves; a base station is
told the power of the beam that it serves with, and those of the beams that were measured.
"""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.beams.interface import BeamObservation, BeamPrediction
from receivers.csi.similarity import sgcs

#: Statistics of `csi_statistics` and `beam_statistics`, in their order, with their units. The first says by how much
#: the model serves better than what would be done without it.
CSI_STATISTICS = {
    "gain over the codebook": "",
    "similarity": "",
    "subband correlation": "",
    "strongest beam": "",
    "stronger polarisation": "",
}
BEAM_STATISTICS = {
    "gain over the strongest measured beam": "dB",
    "above prediction": "dB",
    "spread": "dB",
    "lead of the strongest": "dB",
    "entropy": "nat",
}


def csi_statistics(v: Tensor, base: Tensor, found: Tensor, shape: tuple[int, int]) -> Tensor:
    """Statistics float64 [batch, len(CSI_STATISTICS)] of reports.

    v, base, found complex64 [batch, num_units, num_ports]: the precoder that was wanted, what the codebook's part of
    the report says of it, and what is decoded from all of it; unit vectors. shape: (n1, n2) of the ports of one
    polarisation. similarity: squared generalised cosine similarity of v and found, gain: less that of v and base.
    subband correlation: of v in neighbouring units. strongest beam, stronger polarisation: their shares of v's power.
    """
    served = sgcs(v, found).mean(1)
    neighbours = sgcs(v[:, 1:], v[:, :-1]).mean(1) if v.shape[1] > 1 else torch.ones_like(served)
    fields = v.unflatten(-1, (2, *shape))
    power = torch.fft.fft2(fields, norm="ortho").abs().square().mean(1)
    beam = power.sum(1).flatten(1).amax(1) / power.sum((1, 2, 3))
    polarisation = power.sum((2, 3)).amax(1) / power.sum((1, 2, 3))
    gain = served - sgcs(v, base).mean(1)
    return torch.stack([gain, served, neighbours, beam, polarisation], 1).double()


def beam_statistics(observation: BeamObservation, prediction: BeamPrediction, served_dbm: Tensor) -> Tensor:
    """Statistics float64 [batch, len(BEAM_STATISTICS)] of decisions, of the first time of the horizon.

    served_dbm [batch]: reported L1-RSRP of the beam that was predicted best, as users report of the beam that serves
    them. gain: less the strongest measured beam. above prediction: less what was predicted of it. spread: of the
    strongest measured beam over the median; lead: over the second. entropy: of the predicted distribution.
    """
    measured = observation.rsrp_dbm[:, -1]
    strongest = measured.topk(min(2, measured.shape[1]), 1).values
    best = prediction.log_probability[:, 0].argmax(1, keepdim=True)
    predicted = prediction.rsrp_dbm[:, 0].gather(1, best)[:, 0]
    log_p = prediction.log_probability[:, 0]
    entropy = -(log_p.exp() * log_p.clamp_min(torch.finfo(log_p.dtype).min)).sum(1)
    return torch.stack(
        [
            served_dbm - strongest[:, 0],
            served_dbm - predicted,
            strongest[:, 0] - measured.median(1).values,
            strongest[:, 0] - strongest[:, -1],
            entropy,
        ],
        1,
    ).double()
