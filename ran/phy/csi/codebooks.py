"""The codebooks by one interface: precoders through the bits of reports and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ran.errors import unknown_name
from ran.phy.csi import enhanced_report, enhanced_search, predicted_report, predicted_search, type_one, type_two
from ran.phy.csi.enhanced_type_two import EnhancedTypeTwo
from ran.phy.csi.predicted_type_two import PredictedTypeTwo
from ran.phy.csi.report import Report

Codebook = EnhancedTypeTwo | type_one.TypeOne | type_two.TypeTwo
CODEBOOKS = ("enhanced-type-two", "predicted-type-two", "type-one", "type-two")


def report_on(v: np.ndarray, config: Codebook) -> Report:
    """The report of one user on the vectors it wants, complex [num_layers, num_units, num_ports]; with the codebook for
    predicted PMI [num_layers, num_intervals, num_units, num_ports]."""
    if isinstance(config, PredictedTypeTwo):
        return predicted_report.write_report(predicted_search.search(v, config))
    if isinstance(config, EnhancedTypeTwo):
        return enhanced_report.write_report(enhanced_search.search(v, config))
    if isinstance(config, type_two.TypeTwo):
        return type_two.write_report(type_two.search(v, config))
    return type_one.write_report(type_one.search(v, config))


def precoder_of(config: Codebook, bits1: np.ndarray, bits2: np.ndarray) -> np.ndarray:
    """What a report without CQI says, complex128 of the shape of what it is on."""
    if isinstance(config, PredictedTypeTwo):
        return predicted_report.read_report(config, bits1, bits2)[0].precoder()
    if isinstance(config, EnhancedTypeTwo):
        return enhanced_report.read_report(config, bits1, bits2)[0].precoder()
    if isinstance(config, type_two.TypeTwo):
        return type_two.read_report(config, bits1, bits2)[0].precoder()
    return type_one.read_report(config, bits1, bits2)[0].precoder()


def through_reports(v: np.ndarray, config: Codebook) -> tuple[np.ndarray, np.ndarray]:
    """Precoders decoded from the bits of the reports on `v`, and the bits of each that tell the precoder.

    v complex64 [batch, ...], as of `report_on`. Returns complex64 of the same shape and int64 [batch].
    """
    decoded = np.empty(v.shape, np.complex64)
    bits = np.empty(len(v), np.int64)
    for row, wanted in enumerate(v):
        report = report_on(wanted.astype(np.complex128), config)
        decoded[row], bits[row] = precoder_of(config, report.bits1, report.bits2), report.num_pmi_bits
    return decoded, bits


def codebook(name: str, n1: int, n2: int, num_units: int, max_rank: int, **options: Any) -> Codebook:
    """A configuration by the codebook's name; options as of its class."""
    if name == "enhanced-type-two":
        return EnhancedTypeTwo(n1, n2, num_units, max_rank=max_rank, **options)
    if name == "predicted-type-two":
        return PredictedTypeTwo(n1, n2, num_units, max_rank=max_rank, **options)
    if name == "type-two":
        return type_two.TypeTwo(n1, n2, num_units, max_rank=max_rank, **options)
    if name == "type-one":
        return type_one.TypeOne(n1, n2, num_units, max_rank=max_rank, **options)
    raise unknown_name("codebook", name, CODEBOOKS)
