"""LDPC decoding: from received LLRs to information bits, rate recovery included, no early stopping."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import binom

from ran.bench.cost import ldpc_decoding
from ran.bench.row import Effort, Match, Parity, Row, Side, Target, Work
from ran.bench.sionna_peer import CHECK_NODE_UPDATES
from ran.phy.ldpc import LdpcCode, RateMatching, decode, encode, warm_up
from ran.phy.ldpc.base_graph import BaseGraph

_OUR_BATCH = 32
# Enough code blocks to fill a GPU.
_GPU_BATCH = 2048
_PEER_BATCHES = (4, 16, 64)
_GPU_PEER_BATCHES = (64, 512, 2048)
# The peer's batches are tried up to this many received LLRs: beyond, they only get slower and take long.
_PEER_BATCH_BITS = 160_000
_SEED = 38212
_INFO_COLUMNS = {1: 22, 2: 10}


def worse_than(wrong: np.ndarray, wrong_of_peer: np.ndarray) -> bool:
    """Whether the first decoder errs more on the same blocks: sign test on the blocks that only one got, 2.5 %."""
    only_ours, only_peer = int((wrong & ~wrong_of_peer).sum()), int((wrong_of_peer & ~wrong).sum())
    return bool(binom.sf(only_ours - 1, only_ours + only_peer, 0.5) < 0.025) if only_ours else False


class LdpcWork(Work):
    """Blocks over AWGN with QPSK, at an Es/N0 where our decoder fails about one in ten.

    num_sent_bits: E, bits sent of each block. parity_blocks: blocks that both sides decode to compare their errors.
    device: where both sides decode; LLRs are there from the start, and decisions stay there.
    """

    def __init__(
        self,
        base_graph: BaseGraph,
        lifting_size: int,
        num_sent_bits: int,
        num_iterations: int,
        esn0_db: float,
        parity_blocks: int,
        device: str = "cpu",
    ) -> None:
        warm_up()
        self.device = torch.device(device)
        mother = LdpcCode(base_graph, lifting_size, _INFO_COLUMNS[base_graph] * lifting_size)
        sent = RateMatching(mother, num_sent_bits, 1).sent_columns
        self.code = mother.with_sent_columns(sent)
        self.matching = RateMatching(self.code, num_sent_bits, 1)
        self.num_iterations, self.parity_blocks = num_iterations, parity_blocks
        self.num_info_bits, self.num_sent_bits = mother.num_info_bits, num_sent_bits
        batch = _OUR_BATCH if self.device.type == "cpu" else _GPU_BATCH
        self.bits, self.llr = self._receive(max(batch, parity_blocks), esn0_db)
        self._time(batch)

    def _time(self, batch: int) -> None:
        """Set what is timed: so many blocks in `num_iterations` iterations each."""
        timed = self.llr[:batch]
        self.side = Side(
            partial(self._decode, timed if self.device.type == "cpu" else torch.from_numpy(timed).to(self.device)),
            batch * self.num_info_bits / 1e6,
            f"int8, layered normalised min-sum, {self.num_iterations} iterations, no early stop, batch {batch}",
        )
        self.cost = ldpc_decoding(self.code, self.num_iterations) * batch

    def _receive(self, num_blocks: int, esn0_db: float) -> tuple[np.ndarray, np.ndarray]:
        """Random blocks uint8 [blocks, K] and LLRs float32 [blocks, E] of what QPSK over AWGN makes of them."""
        rng = np.random.default_rng(_SEED)
        bits = rng.integers(0, 2, (num_blocks, self.num_info_bits), dtype=np.uint8)
        sent = self.matching.select(encode(bits, self.code))
        noise_var, amplitude = 10 ** (-esn0_db / 10), 0.5**0.5
        received = amplitude * (1 - 2.0 * sent) + (noise_var / 2) ** 0.5 * rng.standard_normal(sent.shape)
        return bits, (4 * amplitude / noise_var * received).astype(np.float32)

    def _decode(self, llr: Any) -> Any:
        """Our decisions, uint8 [blocks, K], on the device of the LLRs; a GPU is waited for."""
        bits = decode(self.matching.combine(llr), self.code, self.num_iterations, early_stop=False).bits
        self._wait()
        return bits

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def decide(self, llr: np.ndarray) -> np.ndarray:
        """Our decisions on the row's device, uint8 [blocks, K]."""
        if self.device.type == "cpu":
            return np.asarray(self._decode(llr))
        return np.asarray(self._decode(torch.from_numpy(llr).to(self.device)).cpu())

    def against_sionna(self, effort: Effort) -> Match:
        from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

        encoder = LDPC5GEncoder(self.num_info_bits, self.num_sent_bits)
        if (encoder._bg, encoder.z) != (f"bg{self.code.base_graph}", self.code.lifting_size):
            # Sionna follows the standard's choice: a row must name that one
            raise ValueError(f"the row's code: Sionna takes base graph {encoder._bg[2:]}, Z={encoder.z}")
        decoders = {
            update: LDPC5GDecoder(
                encoder, cn_update=update, hard_out=True, num_iter=self.num_iterations, device=str(self.device)
            )
            for update in CHECK_NODE_UPDATES
        }
        # Sionna's LLRs are log p(1)/p(0)
        received = torch.from_numpy(-self.llr).to(self.device)

        def side(update: str, batch: int, decoder: Any, how: str) -> Side:
            settings = f"{update}, flooding, {self.num_iterations} iterations, batch {batch}, {how}"

            def run() -> object:
                decided = decoder(received[:batch])
                self._wait()
                return decided

            return Side(run, batch * self.num_info_bits / 1e6, settings, (update, batch))

        def compiled(eager: Side) -> Side:
            update, batch = eager.choice
            return side(update, batch, torch.compile(decoders[update]), "torch.compile")

        def batches(best: Side) -> list[Side]:
            update = best.choice[0]
            if self.device.type == "cuda":
                sizes = [batch for batch in _GPU_PEER_BATCHES if batch <= len(received)]
            else:
                largest = min(len(received), _PEER_BATCH_BITS // self.num_sent_bits)
                sizes = [batch for batch in _PEER_BATCHES if batch <= largest]
            return [side(update, batch, decoders[update], "eager") for batch in sizes]

        candidates = [side(update, 1, decoders[update], "eager") for update in decoders]
        return Match(candidates, partial(self._parity, decoders, received, effort), batches, compiled)

    def _parity(self, decoders: dict[str, Any], received: torch.Tensor, effort: Effort, chosen: Side) -> Parity:
        """Errors of both on the same LLRs."""
        decoder, blocks = decoders[chosen.choice[0]], effort.blocks(self.parity_blocks)
        wrong = (self.decide(self.llr[:blocks]) != self.bits[:blocks]).any(1)
        decided = torch.cat([decoder(part) for part in received[:blocks].split(8)])
        wrong_of_peer = (decided.cpu().numpy() != self.bits[:blocks]).any(1)
        text = f"block errors on the same {blocks} blocks: ours {wrong.sum()}, Sionna {wrong_of_peer.sum()}"
        return Parity(text, not worse_than(wrong, wrong_of_peer))


def ldpc_row(
    base_graph: BaseGraph,
    lifting_size: int,
    rate: tuple[str, float],
    num_iterations: int,
    esn0_db: float,
    target: Target,
    parity_blocks: int = 48,
    device: str = "cpu",
) -> Row:
    """A row; rate is (how the name writes it, its value)."""
    cuda = device != "cpu"
    num_sent = round(_INFO_COLUMNS[base_graph] * lifting_size / rate[1])
    return Row(
        name=f"{'gpu-' if cuda else ''}ldpc-bg{base_graph}-r{rate[0].replace('/', '')}-i{num_iterations}",
        group="gpu" if cuda else "ldpc",
        title=f"LDPC BG{base_graph} Z={lifting_size} R={rate[0]}, {num_iterations} iterations"
        + (", on the GPU" if cuda else ""),
        unit="Mb",
        target=target,
        make=partial(LdpcWork, base_graph, lifting_size, num_sent, num_iterations, esn0_db, parity_blocks, device),
        cuda=cuda,
    )


_THIRD, _HALF, _FIFTH, _HIGH = ("1/3", 1 / 3), ("1/2", 1 / 2), ("1/5", 1 / 5), ("0.9", 0.9)

#: As near to the floor of the machine at hand, on either base graph.
_FLOOR = {1: 2.0, 2: 2.5}

LDPC_ROWS = (
    ldpc_row(1, 384, _THIRD, 8, -0.52, Target(1000, _FLOOR[1])),
    ldpc_row(1, 384, _THIRD, 20, -1.1, Target(1000, _FLOOR[1]), parity_blocks=32),
    ldpc_row(1, 384, _HALF, 8, 1.68, Target(1000, _FLOOR[1])),
    ldpc_row(1, 384, _HALF, 20, 1.13, Target(1000, _FLOOR[1]), parity_blocks=32),
    ldpc_row(1, 384, _HIGH, 8, 6.65, Target(1000, _FLOOR[1]), parity_blocks=192),
    ldpc_row(1, 384, _HIGH, 20, 6.35, Target(1000, _FLOOR[1]), parity_blocks=192),
    ldpc_row(2, 72, _THIRD, 8, -0.4, Target(500, _FLOOR[2]), parity_blocks=256),
    ldpc_row(2, 72, _FIFTH, 8, -2.7, Target(500, _FLOOR[2]), parity_blocks=256),
    ldpc_row(1, 384, _THIRD, 8, -0.52, Target(10), device="cuda"),
    ldpc_row(1, 384, _HIGH, 8, 6.65, Target(10), parity_blocks=192, device="cuda"),
)
