"""What a base station learns of the downlink channel from an SRS of the user."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError, bad_value
from ran.link.snr import noise_var
from ran.link.transmitter import KnownChannel, Streams
from ran.phy.config import Carrier, Srs
from ran.phy.precoding import Sounding
from ran.phy.shared_grid import SharedGrid
from ran.phy.srs import SrsEstimator, bandwidth_levels, comb_of_port, srs_grid, srs_subcarriers, widest_configuration


class SoundedChannel:
    """Estimates the channel of a slot from the user's SRS in that slot, by reciprocity.

    `InputError` where the SRS does not fit into the allocation, or the allocation has gaps.
    """

    def __init__(self, sounding: Sounding, grid: SharedGrid, num_ports: int) -> None:
        num_prb = grid.num_subcarriers // 12
        if not grid.is_contiguous:
            raise InputError(
                "precoding.srs: got an allocation of PRBs with gaps or hops; allowed: PRBs side by side in every symbol"
            )
        c_srs = widest_configuration(num_prb) if sounding.c_srs is None else sounding.c_srs
        spare = num_prb - bandwidth_levels(c_srs)[0][0]
        if spare < 0:
            raise bad_value(
                "precoding.srs.c_srs",
                c_srs,
                f"0 to {_last_row(num_prb)}, those of at most {num_prb} PRBs (TS 38.211 table 6.4.1.4.3-1)",
            )
        # the band of the allocation, counted from its first PRB
        self._carrier: Carrier = grid.carrier.model_copy(update={"num_prb": num_prb, "first_crb": 0})
        self._srs = Srs(
            c_srs=c_srs,
            comb=sounding.comb,
            cyclic_shift=sounding.cyclic_shift,
            num_ports=cast(Literal[1, 2, 4], num_ports),
            n_shift=spare // 2,
        )
        self._sounding, self._variance = sounding, noise_var(sounding.esn0_db)
        combs = sorted({comb_of_port(self._srs, port) for port in range(num_ports)})
        parts = [srs_subcarriers(self._carrier, self._srs, comb) for comb in combs]
        self._subcarriers = np.sort(np.concatenate(parts))
        sent = srs_grid(self._carrier, self._srs)[:, -1, self._subcarriers]
        self._sent = torch.from_numpy(sent)
        self._estimator = lru_cache(maxsize=2)(self._build)

    def _build(self, places: tuple[int, ...]) -> SrsEstimator:
        first = SrsEstimator(self._carrier, self._srs, places=np.arange(1)).first_subcarriers[0]
        return SrsEstimator(self._carrier, self._srs, self._sounding.method, places=np.array(places) - first)

    def __call__(self, known: KnownChannel, streams: Streams, subcarriers: np.ndarray) -> Tensor:
        """Estimates at subcarriers of the allocation, complex64 [batch, num_rx_ant, num_tx_ant, len(subcarriers)].

        known: the channel of the downlink, which the SRS meets the other way round.
        """
        estimator = self._estimator(tuple(int(k) for k in subcarriers))
        h = known(self._subcarriers)
        given = None
        if not estimator.measures_noise:
            given = torch.full((1, h.shape[2]), self._variance, device=h.device)
        estimates = []
        # drop by drop, so that none depends on the others
        for drop, generator in zip(h, streams("srs"), strict=True):
            received = torch.einsum("ptk,pk->tk", drop, self._sent.to(h.device))
            numbers = (0.5 * self._variance) ** 0.5 * generator.standard_normal((*received.shape, 2), np.float32)
            noise = torch.view_as_complex(torch.from_numpy(numbers.astype(np.float32))).to(h.device)
            y = h.new_zeros(1, h.shape[2], 1, self._carrier.num_subcarriers)
            y[0, :, 0, torch.from_numpy(self._subcarriers)] = received + noise
            # [num_tx_ant, num_rx_ant, places]
            estimates.append(estimator.from_symbols(y, given).h[0, :, :, 0])
        return torch.stack(estimates).transpose(1, 2).contiguous()


def _last_row(num_prb: int) -> int:
    """The last row of the table that fits into so many PRBs; rows are in the order of their bandwidth."""
    return max(row for row in range(64) if bandwidth_levels(row)[0][0] <= num_prb)
