"""Receivers on received slots, from the grid to LLRs, beside `lmmse` on the same slots."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from ran.bench import cost
from ran.bench.row import Effort, Match, Row, Side, Target, Work
from ran.bench.slot_rows import slot_config
from ran.bench.work import product_flops
from ran.link import Link, LinkConfig
from ran.phy.config import Decoder
from receivers import RECEIVERS, Blind, Receiver

_SEED = 38214
_NUM_PATHS = 16
#: A receiver is to take at most so many times as long as `lmmse`.
_TIMES_LMMSE = 3.0


class ReceiverWork(Work):
    """LLRs of a batch of received slots. Every slot is decoded, so that a decoder in the loop runs once.

    name, options: the receiver.
    """

    def __init__(self, config: LinkConfig, esn0_db: float, name: str, options: dict[str, Any]) -> None:
        self.link = Link(config, Decoder(num_iterations=20))
        size = self.link.batch_drops
        with torch.inference_mode():
            self.batch = self.link.batch(range(size), esn0_db, _SEED, "bench", False)
        receiver, self.detector = RECEIVERS[name](**options), str(options.get("detector", "lmmse"))
        self.side = self._side(receiver, f"batch {size}")
        self.beside = self._side(RECEIVERS["lmmse"](), "lmmse")
        self.cost = self._slot_cost(name) * size

    def _side(self, receiver: Receiver, settings: str) -> Side:
        def receive() -> torch.Tensor:
            with torch.inference_mode():
                return self.link.receive(receiver, self.batch)

        return Side(receive, len(self.batch.observation.y), settings)

    def _slot_cost(self, name: str) -> cost.Cost:
        """Estimation by lines between the pilots, or the products of one that learns its statistics; detection."""
        grid, num_rx_ant = self.link.grid, self.link.config.num_rx_ant
        layers, bits, num_data_re = grid.num_layers, grid.bits_per_symbol, grid.num_data_re
        if name == "blind":
            receiver = Blind(detector="lmmse")
            total = cost.Cost(flops=product_flops(lambda: self.link.receive(receiver, self.batch)) / self.side.work)
        else:
            subcarriers = self.link.config.carrier.num_subcarriers
            total = cost.linear_interpolation(num_rx_ant, layers, len(grid.dmrs_symbols), subcarriers)
        total += cost.lmmse_detection(num_rx_ant, layers, bits, num_data_re)
        if self.detector in ("ep", "mmse-pic"):
            total += cost.expectation_propagation(layers, bits, num_data_re)
        elif self.detector == "ml":
            total += cost.two_layer_list(bits, num_data_re)
        elif self.detector == "k-best":
            total += cost.tree_search(layers, bits, _NUM_PATHS, num_data_re)
        if self.detector == "mmse-pic":
            for codeword in grid.codewords:
                block = codeword.transport_block
                blocks = block.num_code_blocks * codeword.num_users
                total += cost.ldpc_decoding(block.code, 1.0) * blocks
        return total

    def against_sionna(self, effort: Effort) -> Match | None:
        return None


def receiver_row(title: str, num_layers: int, esn0_db: float, target: Target, **options: Any) -> Row:
    """51 PRB, 16QAM, two receive antennas per layer. title: `lmmse` or `blind` and its detector."""
    name = title.split()[0]
    config = slot_config(51, 14, 2 * num_layers, num_layers)
    return Row(
        name=f"receiver-{title.replace(' ', '-')}-{num_layers}",
        group="receiver",
        title=f"receiver {title}, 51 PRB, 16QAM, {2 * num_layers}x{num_layers}",
        unit="slots",
        target=target,
        make=partial(ReceiverWork, config, esn0_db, name, options),
    )


def _rows() -> tuple[Row, ...]:
    target, rows = Target(times_lmmse=_TIMES_LMMSE), []
    for num_layers, esn0_db in ((2, 12.0), (4, 20.0)):
        for title in ("lmmse ep", "lmmse ml", "lmmse mmse-pic", "lmmse k-best", "blind ep"):
            detector = title.split()[1]
            if detector == "ml" and num_layers > 2:
                continue
            rows.append(receiver_row(title, num_layers, esn0_db, target, detector=detector))
    return tuple(rows)


RECEIVER_ROWS = _rows()
