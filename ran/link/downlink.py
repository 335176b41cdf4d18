"""The base station of a PDSCH."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from ran.link.config import LinkConfig
from ran.link.sounding import SoundedChannel
from ran.link.transmitter import KnownChannel, Streams, Transmitter
from ran.phy.config import Carrier, Pdsch, SharedChannel
from ran.phy.pdsch import PdschGrid, num_prgs
from ran.phy.precoders import (
    antenna_grid,
    best_of_codebook,
    eigen_precoder,
    layer_channel,
    random_unitary,
    scaled,
    svd_precoder,
)
from ran.phy.precoding import Csi, Eigen, Identity, Random, RandomTypeOne, Svd, TypeOne
from ran.phy.type_one_codebook import type_one_codebook

#: PRBs between the subcarriers at which a wideband matrix of the codebook is judged.
_SAMPLE_PRBS = 4


class Downlink(Transmitter):
    """One user's PDSCH, precoded anew in every drop and slot from what is known of the drop's channel."""

    def __init__(self, config: LinkConfig, slot_numbers: list[int]) -> None:
        self._precoding = config.precoding or Identity()
        super().__init__(config, slot_numbers)
        if isinstance(self._precoding, Csi):
            self.csi_delay_slots = self._precoding.csi_delay_slots
        self._num_prgs = num_prgs(config.carrier, self.grid.pdsch)
        self._num_prb = self.grid.num_prb
        sounding = self._precoding.srs if isinstance(self._precoding, Csi) else None
        self._sounded = None if sounding is None else SoundedChannel(sounding, self.grid, config.num_rx_ant)

    @property
    def grid(self) -> PdschGrid:
        """Grid of the first transmission."""
        return cast(PdschGrid, self.grids[0])

    def build_grid(self, carrier: Carrier, channel: SharedChannel) -> PdschGrid:
        return PdschGrid.build(carrier, cast(Pdsch, channel))

    @property
    def antennas_per_user(self) -> int:
        return self._precoding.num_antennas(self.grid.num_layers)

    def precoder(self, known: KnownChannel, streams: Streams, noise_var: float) -> Tensor | None:
        precoding, num_layers = self._precoding, self.grid.num_layers
        if isinstance(precoding, Identity):
            return None
        if isinstance(precoding, Random):
            draws = [random_unitary(g, self._num_prgs, precoding.num_tx_ant, num_layers) for g in streams("precoder")]
            return torch.from_numpy(np.stack(draws))
        if isinstance(precoding, RandomTypeOne):
            codebook = type_one_codebook(precoding.n1, precoding.n2, num_layers, precoding.mode)
            matrices = codebook.reshape(-1, *codebook.shape[2:])
            chosen = [matrices[g.integers(len(matrices), size=self._num_prgs)] for g in streams("precoder")]
            return scaled(torch.from_numpy(np.stack(chosen)))
        if isinstance(precoding, Svd):
            return self._svd(precoding, known, streams)
        if isinstance(precoding, Eigen):
            w = eigen_precoder(self._csi(precoding, self._centres(1), known, streams), num_layers)
            return w.expand(-1, self._num_prgs, -1, -1)
        return self._type_one(precoding, known, streams, noise_var)

    def _svd(self, precoding: Svd, known: KnownChannel, streams: Streams) -> Tensor:
        bundle = self.grid.bundle_subcarriers
        if precoding.of == "centre":
            h = self._csi(precoding, self._centres(bundle // 12), known, streams)
        else:
            whole = self._csi(precoding, np.arange(12 * self._num_prb), known, streams)
            h = torch.stack([part.mean(-1) for part in whole.split(bundle, dim=-1)], dim=-1)
        # [batch, PRG, num_rx_ant, num_tx_ant]
        return svd_precoder(h.permute(0, 3, 1, 2), self.grid.num_layers)

    def _type_one(self, precoding: TypeOne, known: KnownChannel, streams: Streams, noise_var: float) -> Tensor:
        per_prg = self.grid.pdsch.prg_size
        places = self._centres(per_prg or _SAMPLE_PRBS)
        groups = np.arange(len(places)) if per_prg else np.zeros(len(places), int)
        h = self._csi(precoding, places, known, streams)
        array = type_one_codebook(precoding.n1, precoding.n2, self.grid.num_layers, precoding.mode)
        codebook = torch.tensor(array, device=h.device)
        # drop by drop, so that none depends on the others, nor the memory on their number
        chosen = [best_of_codebook(drop.permute(2, 0, 1), groups.tolist(), codebook, noise_var) for drop in h]
        return torch.stack(chosen)

    def _centres(self, num_prbs: int) -> np.ndarray:
        """Subcarriers at the centres of groups of so many PRBs; the last group may be smaller."""
        starts = np.arange(0, self._num_prb, num_prbs)
        return 6 * (starts + np.minimum(starts + num_prbs, self._num_prb))

    def _csi(self, csi: Csi, subcarriers: np.ndarray, known: KnownChannel, streams: Streams) -> Tensor:
        """The channel as the transmitter knows it, complex64 [batch, num_rx_ant, num_tx_ant, len(subcarriers)]."""
        if self._sounded is not None:
            return self._sounded(known, streams, subcarriers)
        h = known(subcarriers)
        if csi.csi_snr_db is None:
            return h
        amplitude = (0.5 * 10 ** (-csi.csi_snr_db / 10)) ** 0.5
        size = 2 * h[0].numel()
        numbers = np.stack([g.standard_normal(size, np.float32) for g in streams("csi")])
        error = torch.from_numpy(amplitude * numbers).view(*h.shape, 2).to(h.device)
        return h + torch.view_as_complex(error.float())

    def layer_channel(self, h: Tensor, precoder: Tensor | None, first_subcarrier: int = 0) -> Tensor:
        if precoder is None:
            return h
        return layer_channel(h, precoder, self.grid.bundle_subcarriers, first_subcarrier)

    def antenna_grid(self, x: Tensor, precoder: Tensor | None) -> Tensor:
        return x if precoder is None else antenna_grid(x, precoder, self.grid.bundle_subcarriers)
