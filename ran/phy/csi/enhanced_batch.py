"""Many precoders through the enhanced type II codebook: what decoders of its reports have, and how long these are."""

from __future__ import annotations

import numpy as np

from ran.phy.csi.enhanced_report import read_report, write_report
from ran.phy.csi.enhanced_search import search
from ran.phy.csi.enhanced_type_two import EnhancedTypeTwo


def through_reports(v: np.ndarray, config: EnhancedTypeTwo) -> tuple[np.ndarray, np.ndarray]:
    """Precoders decoded from the bits of the reports on `v`, and the bits of each that tell the precoder.

    v complex64 [batch, num_layers, num_units, num_ports]. Returns complex64 of the same shape and int64 [batch].
    """
    decoded = np.empty(v.shape, np.complex64)
    bits = np.empty(len(v), np.int64)
    for row, wanted in enumerate(v):
        report = write_report(search(wanted.astype(np.complex128), config))
        pmi, _ = read_report(config, report.bits1, report.bits2)
        decoded[row], bits[row] = pmi.precoder(), report.num_pmi_bits
    return decoded, bits
