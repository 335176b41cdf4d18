"""The physical uplink control channel: where it lies, and what is sent in each of its five formats."""

from ran.phy.pucch.coded_formats import coded_grid, despread, dmrs_grid, num_coded_bits, scrambling, spread, uci_code
from ran.phy.pucch.grid import pucch_grid
from ran.phy.pucch.hops import Hop, data_mask, dmrs_mask, dmrs_symbols, hops
from ran.phy.pucch.sequence_formats import cover, sequence_grid, shift_of_bits
from ran.phy.pucch.sequences import cyclic_shift, group_and_number, symbol_sequence

__all__ = [
    "Hop",
    "coded_grid",
    "cover",
    "cyclic_shift",
    "data_mask",
    "despread",
    "dmrs_grid",
    "dmrs_mask",
    "dmrs_symbols",
    "group_and_number",
    "hops",
    "num_coded_bits",
    "pucch_grid",
    "scrambling",
    "sequence_grid",
    "shift_of_bits",
    "spread",
    "symbol_sequence",
    "uci_code",
]
