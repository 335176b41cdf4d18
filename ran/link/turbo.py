"""The decoder as receivers see it that detect and decode in turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ran.phy.codeword import Codeword
from ran.phy.config import Precision
from ran.phy.transport_block import TransportBlockDecision

#: LLR of a bit of a code block that was decoded without errors.
_CERTAIN = 30.0


@dataclass(frozen=True)
class TurboDecoder:
    """`receivers.SoftDecoder` for the codewords of a slot: descrambling, rate dematching, LDPC, and all of it back.

    codewords: one after the other over the layers. num_iterations: of the LDPC decoder in each call.
    adds_transmissions: with HARQ. precision: in which `arrived_layers` decodes, the link's own.

    It sees one slot: with HARQ, what earlier transmissions brought is not used between the turns. It decodes in
    float32, as int8 limits what goes in, and the difference between output and input would be the limit's.
    """

    codewords: tuple[Codeword, ...]
    num_iterations: int
    adds_transmissions: bool = False
    precision: Precision = "int8"

    def __call__(self, llr: Tensor) -> tuple[Tensor, Tensor]:
        """See `receivers.interface.SoftDecoder`."""
        return self._extrinsic(llr, of_all=True)

    def undecoded(self, llr: Tensor) -> tuple[Tensor, Tensor]:
        """See `receivers.interface.SoftDecoder`."""
        return self._extrinsic(llr, of_all=False)

    def _extrinsic(self, llr: Tensor, of_all: bool) -> tuple[Tensor, Tensor]:
        """Extrinsic LLRs of all slots, or of those not decoded alone, and whether each is."""
        given, first = llr.cpu().numpy(), 0
        arrived, parts = np.ones(len(given), bool), []
        for codeword in self.codewords:
            count = codeword.num_users * codeword.num_layers
            own = slice(first, first + count), slice(None), slice(codeword.bits_per_symbol)
            received, decision = self._decode(codeword, given[:, *own])
            first += count
            arrived &= np.asarray(decision.crc_ok.reshape(len(given), -1).all(1))
            parts.append((codeword, own, received, decision))
        wanted = np.ones_like(arrived) if of_all else ~arrived
        # bits that a layer does not have stay 0
        extrinsic = np.zeros((int(wanted.sum()), *given.shape[1:]), np.float32)
        for codeword, own, received, decision in parts:
            if len(extrinsic):
                extrinsic[:, *own] = _beyond(codeword, received, decision, wanted)
        return torch.from_numpy(extrinsic).to(llr.device), torch.from_numpy(arrived).to(llr.device)

    def arrived_layers(self, llr: Tensor) -> Tensor:
        """See `receivers.interface.SoftDecoder`."""
        arrived = [ok for _, _, ok in self._decisions(llr)]
        return torch.from_numpy(np.concatenate(arrived, axis=1)).to(llr.device)

    def reencoded(self, llr: Tensor) -> tuple[Tensor, Tensor]:
        """See `receivers.interface.SoftDecoder`."""
        coded, arrived, first = np.zeros(llr.shape, np.uint8), [], 0
        for codeword, bits, ok in self._decisions(llr):
            stop = first + ok.shape[1]
            blocks = bits.reshape(len(llr), codeword.num_users, -1)
            coded[:, first:stop, :, : codeword.bits_per_symbol] = codeword.encode(blocks)
            arrived.append(ok)
            first = stop
        both = coded, np.concatenate(arrived, axis=1)
        return torch.from_numpy(both[0]).to(llr.device), torch.from_numpy(both[1]).to(llr.device)

    @property
    def code_rate(self) -> float:
        """See `receivers.interface.SoftDecoder`."""
        blocks = [(c.transport_block, c.num_users) for c in self.codewords]
        return sum(b.tb_size * n for b, n in blocks) / sum(b.num_coded_bits * n for b, n in blocks)

    def _decisions(self, llr: Tensor) -> Iterator[tuple[Codeword, np.ndarray, np.ndarray]]:
        """Of each codeword: decoded bits [batch * users, tb_size], and which of its layers arrived [batch, layers]."""
        given, first = llr.cpu().numpy(), 0
        for codeword in self.codewords:
            stop = first + codeword.num_users * codeword.num_layers
            own = given[:, first:stop, :, : codeword.bits_per_symbol]
            decision = codeword.decode(own, self.num_iterations, self.precision)
            # bits may be right before all parity bits are
            ok = np.asarray(decision.own_crc_ok) & decision.bits.any(-1)
            yield codeword, decision.bits, ok.reshape(len(given), -1).repeat(codeword.num_layers, axis=1)
            first = stop

    def _decode(self, codeword: Codeword, llr: np.ndarray) -> tuple[np.ndarray, TransportBlockDecision]:
        """What was received of a codeword, descrambled [batch * users, num_coded_bits], and what it decodes to."""
        received = codeword.from_layers(llr) * codeword.signs
        flat = received.reshape(-1, received.shape[-1])
        decision = codeword.transport_block.decode(flat, self.num_iterations, precision="float32", soft=True)
        if decision.coded_llr is None:
            raise RuntimeError("the decoder returned no LLRs of coded bits")
        return flat, decision


def _beyond(
    codeword: Codeword, received: np.ndarray, decision: TransportBlockDecision, wanted: np.ndarray
) -> np.ndarray:
    """Extrinsic LLRs of a codeword's layers, of the slots that are wanted, bool [batch]."""
    of_users = np.repeat(wanted, codeword.num_users)
    # a code block that holds its checks is right, but for the rare undetected error
    sizes = [matching.num_output_bits for matching in codeword.transport_block.rate_matchings]
    sure = np.repeat(decision.code_block_ok[of_users], sizes, axis=1)
    after = np.asarray(decision.coded_llr)[of_users]
    extrinsic = np.where(sure, np.copysign(np.float32(_CERTAIN), after), after - received[of_users])
    return codeword.to_layers(extrinsic.reshape(-1, codeword.num_users, received.shape[1]) * codeword.signs)
