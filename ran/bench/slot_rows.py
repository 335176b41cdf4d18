"""Whole slots: bits, coding, grid, TDL channel, noise, LS estimation, LMMSE, demapping, decoding, error counts."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch

from channels import Tdl
from ran.bench import cost, sionna_peer
from ran.bench.ldpc_rows import worse_than
from ran.bench.row import Effort, Match, Parity, Row, Side, Target, Work
from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Decoder, Pusch
from ran.phy.ldpc import warm_up
from ran.phy.numerology import NUM_SYMBOLS_PER_SLOT, symbol_times_s
from receivers import RECEIVERS

_ITERATIONS = 20
_SEED = 38901
_SCENARIO = "bench"
_RECEIVER = "ls-linear"
_CHANNEL = {"name": "tdl", "profile": "C", "delay_spread_ns": 300.0, "max_doppler_hz": 50.0}


def slot_config(num_prb: int, mcs_index: int, num_rx_ant: int, num_layers: int = 1) -> LinkConfig:
    """PUSCH over all PRBs at 30 kHz, 14 symbols, 2 DM-RS symbols, over TDL-C with 300 ns and 50 Hz."""
    return LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(mcs_index=mcs_index, num_layers=num_layers),
        num_rx_ant=num_rx_ant,
        channel=_CHANNEL,
    )


class SlotWork(Work):
    """Slots with the `ls-linear` receiver on one thread, or on a CUDA device.

    parity_slots: received slots that both sides' receivers are given to compare their block errors.
    peer_batches: batch sizes other than 1 to choose Sionna's best from.
    """

    def __init__(
        self,
        config: LinkConfig,
        esn0_db: float,
        parity_slots: int,
        peer_batches: tuple[int, ...],
        device: str = "cpu",
    ) -> None:
        warm_up()
        self.config, self.esn0_db, self.device = config, esn0_db, device
        self.parity_slots, self.peer_batches = parity_slots, peer_batches
        self.link = Link(config, Decoder(num_iterations=_ITERATIONS), device=device)
        self.receiver = RECEIVERS[_RECEIVER]().to(device)
        self._batches = count()
        size = self.link.batch_drops
        self.side = Side(
            self.simulate,
            size,
            f"{_RECEIVER}, int8, at most {_ITERATIONS} iterations with early stop, batch {size}",
        )
        self.cost = self._slot_cost() * size

    def simulate(self) -> object:
        """One batch of new slots."""
        start = next(self._batches) * self.link.batch_drops
        drops = range(start, start + self.link.batch_drops)
        return self.link.simulate({_RECEIVER: self.receiver}, drops, self.esn0_db, _SEED, _SCENARIO)

    def _slot_cost(self) -> cost.Cost:
        """Of one slot. How many iterations the decoder needs is measured."""
        grid, num_rx_ant = self.link.grid, self.config.num_rx_ant
        layers, subcarriers, block = (
            grid.num_layers,
            self.config.carrier.num_subcarriers,
            grid.codewords[0].transport_block,
        )
        with torch.inference_mode():
            batch = self.link.batch(range(self.link.batch_drops), self.esn0_db, _SEED, _SCENARIO)
            llr = self.link.receive(self.receiver, batch).cpu().numpy()
        iterations = float(grid.decode_blocks(llr, _ITERATIONS, "int8")[0].iterations.mean())
        channel = self.link.channels[0]
        total = cost.transmission(num_rx_ant, layers, NUM_SYMBOLS_PER_SLOT * subcarriers)
        if isinstance(channel, Tdl):
            times = symbol_times_s(self.config.carrier.numerology, self.config.carrier.slot_number)
            taps = channel.power_delay_profile.num_taps
            total += cost.tdl_response(num_rx_ant * layers, taps, times, channel.doppler_hz, subcarriers)
        total += cost.linear_interpolation(num_rx_ant, layers, len(grid.dmrs_symbols), subcarriers)
        total += cost.lmmse_detection(num_rx_ant, layers, grid.bits_per_symbol, grid.num_data_re)
        of_block = cost.ldpc_encoding(block.code, block.num_coded_bits // block.num_code_blocks)
        of_block += cost.ldpc_decoding(block.code, iterations)
        return total + of_block * (block.num_code_blocks * grid.num_users)

    def against_sionna(self, effort: Effort) -> Match:
        config, device = self.config, self.device
        sender = sionna_peer.transmitter(config.carrier, config.uplink, config.users, device)
        channel = self.link.channels[0]
        if not isinstance(channel, Tdl):
            raise TypeError(f"slot rows use a TDL channel, got {type(channel).__name__}")
        fading = sionna_peer.tdl_on_grid(channel, config.num_rx_ant, 1, sender.resource_grid, device)
        receive = {
            update: sionna_peer.receiver(sender, _ITERATIONS, update, device)
            for update in sionna_peer.CHECK_NODE_UPDATES[:2]
        }

        def side(update: str, batch: int, receiver: Any, how: str) -> Side:
            run = partial(sionna_peer.slots(sender, fading, receiver, self.esn0_db, device), batch)
            settings = f"LS linear, LMMSE, max-log, {update}, {_ITERATIONS} iterations, batch {batch}, {how}"
            return Side(run, batch, settings, (update, batch))

        def compiled(eager: Side) -> Side:
            update, batch = eager.choice
            return side(update, batch, torch.compile(receive[update]), "receiver with torch.compile")

        def batches(best: Side) -> list[Side]:
            update = best.choice[0]
            return [side(update, batch, receive[update], "eager") for batch in self.peer_batches]

        candidates = [side(update, 1, receive[update], "eager") for update in receive]
        return Match(candidates, partial(self._parity, receive, effort), batches, compiled)

    def _parity(self, receive: dict[str, Any], effort: Effort, chosen: Side) -> Parity:
        """Block errors of both receivers on the same received slots, and of ours on many more."""
        slots = effort.blocks(self.parity_slots)
        wrong: list[np.ndarray] = []
        wrong_of_peer: list[np.ndarray] = []
        size = self.link.batch_drops
        many = range(0, max(slots, round(16 * size * effort.parity)), size)
        noise_var = torch.tensor(10 ** (-self.esn0_db / 10), dtype=torch.float32, device=self.device)
        with torch.inference_mode():
            for start in many:
                batch = self.link.batch(range(start, start + size), self.esn0_db, _SEED, _SCENARIO)
                llr = self.link.receive(self.receiver, batch)
                wrong.append(self.link.count_errors(llr, batch).block_errors > 0)
                for y, sent in zip(batch.observation.y, batch.transport_blocks, strict=True):
                    if len(wrong_of_peer) < slots:
                        decided, _ = receive[chosen.choice[0]](y[None, None].clone(), noise_var)
                        wrong_of_peer.append((decided[0].cpu().numpy() != sent).any())
        ours, peer = np.concatenate(wrong), np.array(wrong_of_peer)
        text = (
            f"block errors on the same {slots} received slots: ours {ours[:slots].sum()}, Sionna {peer.sum()}; "
            f"ours on {len(ours)} slots {ours.mean():.3f}"
        )
        return Parity(text, not worse_than(ours[:slots], peer))


def slot_row(
    num_prb: int,
    mcs_index: int,
    esn0_db: float,
    target: Target,
    parity_slots: int,
    peer_batches: tuple[int, ...],
    device: str = "cpu",
) -> Row:
    """A row of whole slots with 4 receive antennas at an Es/N0 where about one block in ten is lost."""
    cuda = device != "cpu"
    return Row(
        name=f"{'gpu-' if cuda else ''}slot-{num_prb}prb-mcs{mcs_index}",
        group="gpu" if cuda else "slot",
        title=f"whole slot, {num_prb} PRB, MCS {mcs_index}, 4 Rx, TDL-C 300 ns{', on the GPU' if cuda else ''}",
        unit="slots",
        target=target,
        make=partial(SlotWork, slot_config(num_prb, mcs_index, 4), esn0_db, parity_slots, peer_batches, device),
        cuda=cuda,
    )


SLOT_ROWS = (
    slot_row(273, 20, 9.1, Target(300, 4.0), parity_slots=12, peer_batches=(2,)),
    slot_row(51, 20, 8.9, Target(100, 5.0), parity_slots=48, peer_batches=(4,)),
    slot_row(51, 5, -2.6, Target(100, 5.0), parity_slots=64, peer_batches=(4,)),
    slot_row(4, 14, 5.4, Target(20, 10.0), parity_slots=128, peer_batches=(16, 64, 256)),
    slot_row(273, 20, 9.1, Target(10), parity_slots=32, peer_batches=(16, 64), device="cuda"),
)
