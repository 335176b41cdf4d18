"""Block error rates beside Sionna's sum-product decoder, over rate and length, with hundreds of block errors."""

import numpy as np
import pytest
import torch
from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

from ran.phy.ldpc import LdpcCode, RateMatching, decode, encode, select_lifting_size

NUM_ITERATIONS = 10
BLOCK_ERRORS = 200

POINTS = [
    (2, 100, 1 / 5),
    (2, 500, 1 / 3),
    (2, 1000, 1 / 2),
    (2, 640, 2 / 3),
    (1, 4000, 1 / 3),
    (1, 4000, 1 / 2),
    (1, 4000, 3 / 4),
    (1, 2000, 9 / 10),
]


class Transmission:
    """QPSK blocks of one code over AWGN."""

    def __init__(self, base_graph: int, num_info_bits: int, rate: float) -> None:
        full = LdpcCode(base_graph, select_lifting_size(base_graph, num_info_bits, num_info_bits), num_info_bits)
        self.matching = RateMatching(full, 2 * round(num_info_bits / rate / 2), 2)
        self.full, self.code = full, full.with_sent_columns(self.matching.sent_columns)

    def blocks(self, esn0_db: float, num_blocks: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Bits uint8 [num_blocks, K'] and LLRs float32 [num_blocks, sent bits]."""
        rng = np.random.default_rng(seed)
        bits = rng.integers(0, 2, (num_blocks, self.full.num_info_bits)).astype(np.uint8)
        sent = 1 - 2.0 * self.matching.select(encode(bits, self.full))
        noise_var = 10 ** (-esn0_db / 10)  # of a bit of amplitude 1: half the noise on half the energy
        llr = 2 / noise_var * (sent + np.sqrt(noise_var) * rng.normal(size=sent.shape))
        return bits, llr.astype(np.float32)

    def errors(self, bits: np.ndarray, llr: np.ndarray) -> np.ndarray:
        combined = self.matching.combine(llr)[:, : self.code.num_coded_bits]
        return np.any(decode(combined, self.code, NUM_ITERATIONS).bits != bits, axis=1)

    def waterfall_db(self) -> float:
        """Es/N0 where our decoder loses about 3 of 10 blocks, by bisection."""
        low, high = -10.0, 15.0
        for step in range(12):
            middle = (low + high) / 2
            if self.errors(*self.blocks(middle, 200, 1000 + step)).mean() > 0.3:
                low = middle
            else:
                high = middle
        return high


@pytest.mark.slow
@pytest.mark.parametrize(("base_graph", "num_info_bits", "rate"), POINTS)
def test_not_worse_than_sum_product(base_graph, num_info_bits, rate):
    transmission = Transmission(base_graph, num_info_bits, rate)
    encoder = LDPC5GEncoder(num_info_bits, transmission.matching.num_output_bits, num_bits_per_symbol=2)
    decoder = LDPC5GDecoder(encoder, num_iter=NUM_ITERATIONS, return_infobits=True)
    esn0_db = transmission.waterfall_db()
    ours, theirs = [], []
    while min(np.sum(ours), np.sum(theirs)) < BLOCK_ERRORS and len(ours) < 4000:
        bits, llr = transmission.blocks(esn0_db, 100, len(ours))
        ours.extend(transmission.errors(bits, llr))
        theirs.extend(np.any(decoder(torch.from_numpy(-llr)).numpy() != bits, axis=1))
    ours, theirs = np.array(ours), np.array(theirs)
    print(
        f"\nBG{base_graph} K={num_info_bits} R={rate:.2f} Es/N0 {esn0_db:.2f} dB, {len(ours)} blocks: "
        f"ours {ours.sum()}, Sionna {theirs.sum()}"
    )
    assert min(ours.sum(), theirs.sum()) >= BLOCK_ERRORS
    # the same LLRs for both: what differs are the blocks that only one of the two loses
    assert ours.sum() <= theirs.sum() + 1.96 * np.sqrt(np.sum(ours != theirs))
