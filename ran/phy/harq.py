"""Soft buffers of hybrid ARQ: what a receiver keeps of a transport block between its transmissions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.ldpc import LdpcCode


@dataclass
class SoftBuffer:
    """LLRs of all transmissions so far of a batch of transport blocks; see `TransportBlock.new_soft_buffer`.

    A bit that is sent again adds to its LLR (chase combining), a bit that was not sent before fills its place
    (incremental redundancy).

    tb_size: A. code: the LDPC code of all code blocks, with all its rows.
    llr [batch, C, N] float32: sums for each bit of the mother code, 0 for what was not sent yet.
    sent_columns: columns of the base graph of which something was sent. num_transmissions: how many so far.
    """

    tb_size: int
    code: LdpcCode
    llr: npt.NDArray[np.float32]
    sent_columns: frozenset[int] = field(default=frozenset())
    num_transmissions: int = 0

    def take(self, blocks: npt.ArrayLike) -> SoftBuffer:
        """A new buffer with some of the transport blocks: indices or a mask, such as those not received."""
        chosen = self.llr[np.asarray(blocks)]
        return SoftBuffer(self.tb_size, self.code, chosen, self.sent_columns, self.num_transmissions)

    def check_fits(self, tb_size: int, code: LdpcCode, batch: int) -> None:
        """Raise `InputError` unless a transmission belongs to the same transport blocks."""
        if tb_size != self.tb_size:
            raise bad_value("tb_size of a retransmission", tb_size, f"{self.tb_size}, as in the first transmission")
        if code.base_graph != self.code.base_graph:
            allowed = f"{self.code.base_graph}, as in the first transmission; give all the same target_rate"
            raise bad_value("base graph of a retransmission", code.base_graph, allowed)
        if batch != self.llr.shape[0]:
            raise bad_value("batch of a retransmission", batch, f"{self.llr.shape[0]}, as in the soft buffer")

    def code_in_use(self) -> LdpcCode:
        """The code with the rows that matter for what was sent so far."""
        return self.code.with_sent_columns(sorted(self.sent_columns))
