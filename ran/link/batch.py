"""A batch of slots: what was received, and all that produced it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError
from ran.link.link_budget import Received
from ran.link.outcomes import NonFiniteError
from ran.link.streams import DropGenerators
from ran.phy.codeword import Codeword
from receivers import SlotObservation, Truth


@dataclass(frozen=True)
class SlotBatch:
    """A batch of received slots with everything that produced them.

    transport_blocks [batch, num_blocks, largest size] uint8: what was sent, of every user or codeword; smaller blocks
        are filled up with zeros.
    coded_bits [batch, num_layers, num_data_re, bits_per_symbol] uint8: the same coded and scrambled; layers of fewer
        bits per symbol are filled up with zeros.
    x [batch, num_layers, 14, num_subcarriers] complex64: the transmitted grid.
    h [batch, num_rx_ant, num_layers, 14, num_subcarriers] complex64: the channel, precoding included, where it was
        asked for.
    precoder [batch, num_prgs, num_tx_ant, num_layers] complex64: where it differs from drop to drop.
    received: large-scale state of the users, with a link budget.
    uci: payloads of UCI by kind, uint8 [batch, num_users, bits]; empty without.
    """

    observation: SlotObservation
    transport_blocks: np.ndarray
    coded_bits: Tensor
    x: Tensor
    h: Tensor | None
    precoder: Tensor | None = None
    received: Received | None = None
    uci: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def truth(self) -> Truth:
        """What receivers do not know; `InputError` for a batch that was made without the channel."""
        if self.h is None:
            raise InputError("truth: got a batch without its channel; allowed: one of Link.batch(with_channel=True)")
        return Truth(self.h, self.coded_bits)

    def select(self, drops: np.ndarray) -> SlotBatch:
        """The drops at these places of the batch, int [n], ascending."""
        if len(drops) == len(self.transport_blocks):
            return self
        chosen = torch.from_numpy(drops).to(self.x.device)
        y, variance = self.observation.y[chosen], self.observation.noise_var[chosen]
        return SlotBatch(
            replace(self.observation, y=y, noise_var=variance),
            self.transport_blocks[drops],
            self.coded_bits[chosen],
            self.x[chosen],
            None if self.h is None else self.h[chosen],
            None if self.precoder is None else self.precoder[chosen],
            None if self.received is None else self.received.select(drops),
            {kind: bits[drops] for kind, bits in self.uci.items()},
        )


def random_blocks(generators: Sequence[np.random.Generator], sizes: Sequence[int]) -> np.ndarray:
    """Independent bits uint8 [len(generators), len(sizes), largest size], every drop's from its own generator.

    Blocks of a drop are drawn one after the other; smaller ones are filled up with zeros.
    """
    total, largest = sum(sizes), max(sizes)
    packed = _random_bytes(generators, -(-total // 8))
    bits = np.unpackbits(packed, axis=1, count=total)
    if total == largest * len(sizes):
        return bits.reshape(len(generators), len(sizes), largest)
    blocks = np.zeros((len(generators), len(sizes), largest), np.uint8)
    starts = np.cumsum([0, *sizes])
    for number, size in enumerate(sizes):
        blocks[:, number, :size] = bits[:, starts[number] : starts[number + 1]]
    return blocks


def _random_bytes(generators: Sequence[np.random.Generator], count: int) -> np.ndarray:
    """`Generator.bytes` of each, uint8 [len(generators), count]; the words of a Philox are these bytes, and handed out
    by it in a tenth of the time. What is left of the last word is not handed out to whoever draws next."""
    if isinstance(generators, DropGenerators):
        return np.ascontiguousarray(generators.raw(-(-count // 8)), "<u8").view(np.uint8)[:, :count]
    if not all(isinstance(g.bit_generator, np.random.Philox) for g in generators):
        return np.stack([np.frombuffer(g.bytes(count), np.uint8) for g in generators])
    words = np.empty((len(generators), -(-count // 8)), "<u8")
    for row, generator in zip(words, generators, strict=True):
        row[:] = generator.bit_generator.random_raw(row.size)
    return words.view(np.uint8)[:, :count]


def check_finite(values: Tensor, stage: str, drops: Sequence[int]) -> None:
    """`NonFiniteError` with the first drop of values [len(drops), ...] that holds a NaN or an infinity."""
    # NaN and infinities make the sum one; should finite numbers overflow it, the second look clears them
    total = torch.view_as_real(values).sum() if values.is_complex() else values.sum()
    if not torch.isfinite(total):
        bad = ~torch.isfinite(values.abs().flatten(1)).all(1)
        if bad.any():
            raise NonFiniteError(stage, drops[int(bad.nonzero()[0, 0])])


def random_uci(generators: Sequence[np.random.Generator], codewords: Sequence[Codeword]) -> dict[str, np.ndarray]:
    """Independent UCI payloads by kind, uint8 [batch, num_users, bits], every drop's from its own generator.

    codewords: of all users, whose UCI is of the same sizes.
    """
    found = codewords[0].uci
    codes = {} if found is None else found.codes
    users = sum(codeword.num_users for codeword in codewords)
    drawn: dict[str, list[np.ndarray]] = {kind: [] for kind in codes}
    for generator in generators:
        for kind, code in codes.items():
            drawn[kind].append(generator.integers(0, 2, (users, code.num_bits), dtype=np.uint8))
    return {kind: np.stack(bits) for kind, bits in drawn.items()}
