"""What a beam is worth: from its SNR to the throughput of a PDSCH, by error rates that the link was measured to have.

Rates are those of the best MCS of a table at every SNR, from the block error rates over AWGN that `ran sim` measured
through coding, modulation and decoding (`ran.studies.adaptation.reference`). So the choice of the MCS is ideal and the
channel within a beam flat; neither favours a method.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ran.phy.mcs import mcs, num_mcs, transport_block_size
from ran.phy.transport_block import TransportBlock
from ran.studies.adaptation.reference import CodeBlocks

#: SNRs at which rates are tabulated, dB.
_GRID_DB = np.arange(-15.0, 40.01, 0.05)


@dataclass(frozen=True)
class LinkRate:
    """Throughput of a PDSCH with one layer over SNR.

    mcs_table: 1 to 4 (TS 38.214 §5.1.3.1). num_prb, subcarrier_spacing_khz: of the band. num_symbols: of a slot that
    carry data; one more for DM-RS and one for control are off.
    """

    num_prb: int
    subcarrier_spacing_khz: int
    mcs_table: int = 2
    num_symbols: int = 12

    @property
    def slot_s(self) -> float:
        return 15e-3 / self.subcarrier_spacing_khz

    @cached_property
    def _rates_mbps(self) -> np.ndarray:
        rates = []
        for index in range(num_mcs(self.mcs_table)):
            entry = mcs(self.mcs_table, index)
            num_re = 12 * self.num_symbols * self.num_prb
            size = transport_block_size(num_re, entry.target_rate, entry.bits_per_symbol)
            block = TransportBlock(size, num_re * entry.bits_per_symbol, entry.target_rate, entry.bits_per_symbol)
            arrives = 1 - CodeBlocks.of(block).bler(_GRID_DB)
            rates.append(size * arrives / self.slot_s / 1e6)
        return np.max(rates, 0)

    def mbps(self, snr_db: np.ndarray) -> np.ndarray:
        """Throughput in Mbit/s with the best MCS, shape of `snr_db`; 0 below -15 dB."""
        return np.asarray(np.interp(snr_db, _GRID_DB, self._rates_mbps, left=0.0))
