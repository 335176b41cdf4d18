"""LDPC decoding at equal block error rate: each side with as few iterations as it needs for one lost block in ten."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from ran.bench.ldpc_rows import LdpcWork, worse_than
from ran.bench.row import Effort, Match, Parity, Row, Side, Target
from ran.phy.ldpc.base_graph import BaseGraph

_BLER = 0.1
#: Numbers of iterations that are tried.
ITERATIONS = (2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 50, 64)
_OUR_BATCH = 32
_PEER_BATCHES = (4, 16)
#: Of Sionna's: no other was ever the fastest.
_PEER_UPDATES = ("boxplus", "minsum")


def fewest(bler: Callable[[int], float]) -> int | None:
    """The fewest of `ITERATIONS` at which at most one block in ten is lost, by bisection; None where none is enough."""
    low, high = 0, len(ITERATIONS)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if bler(ITERATIONS[middle]) <= _BLER else (middle + 1, high)
    return ITERATIONS[low] if low < len(ITERATIONS) else None


class EqualBlerWork(LdpcWork):
    """The blocks of `LdpcWork`, in as many iterations as ours needs for the first `parity_blocks` of them."""

    def __init__(
        self, base_graph: BaseGraph, lifting_size: int, num_sent_bits: int, esn0_db: float, parity_blocks: int
    ) -> None:
        super().__init__(base_graph, lifting_size, num_sent_bits, ITERATIONS[-1], esn0_db, parity_blocks)
        needed = fewest(self._bler)
        if needed is None:
            raise ValueError(f"esn0_db: got {esn0_db}; allowed: where our decoder loses at most {_BLER:.0%}")
        self.num_iterations = needed
        self._time(_OUR_BATCH)

    def _wrong(self, num_iterations: int) -> np.ndarray:
        """Which blocks ours loses, bool [parity_blocks]."""
        self.num_iterations = num_iterations
        return np.asarray((self.decide(self.llr[: self.parity_blocks]) != self.bits[: self.parity_blocks]).any(1))

    def _bler(self, num_iterations: int) -> float:
        return float(self._wrong(num_iterations).mean())

    def against_sionna(self, effort: Effort) -> Match:
        from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

        encoder = LDPC5GEncoder(self.num_info_bits, self.num_sent_bits)
        blocks = effort.blocks(self.parity_blocks)
        # Sionna's LLRs are log p(1)/p(0)
        received = torch.from_numpy(-self.llr)
        found: dict[str, tuple[int, np.ndarray]] = {}

        def decoder(update: str, num_iterations: int) -> Any:
            return LDPC5GDecoder(encoder, cn_update=update, hard_out=True, num_iter=num_iterations)

        def wrong_of(update: str, num_iterations: int) -> np.ndarray:
            decode = decoder(update, num_iterations)
            decided = torch.cat([decode(part) for part in received[:blocks].split(8)])
            return np.asarray((decided.numpy() != self.bits[:blocks]).any(1))

        for update in _PEER_UPDATES:
            needed = fewest(lambda number, update=update: float(wrong_of(update, number).mean()))  # type: ignore[misc]
            if needed is not None:
                found[update] = needed, wrong_of(update, needed)
        if not found:
            raise ValueError(f"the row's Es/N0: Sionna loses more than {_BLER:.0%} with {ITERATIONS[-1]} iterations")

        def side(update: str, batch: int) -> Side:
            needed = found[update][0]
            settings = f"{update}, flooding, {needed} iterations, batch {batch}, eager"
            run = partial(decoder(update, needed), received[:batch])
            return Side(run, batch * self.num_info_bits / 1e6, settings, (update, batch))

        def parity(chosen: Side) -> Parity:
            needed, wrong_of_peer = found[chosen.choice[0]]
            wrong = self._wrong(self.num_iterations)[:blocks]
            text = (
                f"block errors on the same {blocks} blocks: ours {wrong.sum()} with {self.num_iterations} iterations, "
                f"Sionna {wrong_of_peer.sum()} with {needed}"
            )
            return Parity(text, not worse_than(wrong, wrong_of_peer))

        batches = [batch for batch in _PEER_BATCHES if batch <= len(received)]
        return Match(
            [side(update, 1) for update in found], parity, lambda best: [side(best.choice[0], b) for b in batches]
        )


def _row(
    base_graph: BaseGraph, lifting_size: int, columns: int, esn0_db: float, target: Target, parity_blocks: int
) -> Row:
    """R = 1/3."""
    return Row(
        name=f"ldpc-bg{base_graph}-r13-bler",
        group="ldpc",
        title=f"LDPC BG{base_graph} Z={lifting_size} R=1/3, each with the iterations for 10 % BLER",
        unit="Mb",
        target=target,
        make=partial(EqualBlerWork, base_graph, lifting_size, 3 * columns * lifting_size, esn0_db, parity_blocks),
    )


EQUAL_BLER_ROWS = (
    _row(1, 384, 22, -0.8, Target(1000, 2.0), 20),
    _row(2, 72, 10, -0.4, Target(500, 2.5), 120),
)
