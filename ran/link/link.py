"""`Link`: a batch of slots through transmitter, channel and noise, and what receivers make of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from channels import Channel
from channels.interface import GridModes
from channels.paths import Paths
from ran.errors import InputError
from ran.link.acceptance import check_receiver
from ran.link.batch import SlotBatch, check_finite, random_blocks, random_uci
from ran.link.config import LinkConfig
from ran.link.downlink import Downlink
from ran.link.grid import received_grid, transmitted_grid
from ran.link.harq import run_processes
from ran.link.link_budget import Received
from ran.link.link_channels import LinkChannels
from ran.link.memory import SlotMemory
from ran.link.noise import stream_key
from ran.link.outcomes import compare, counts_of
from ran.link.parts import receive_in_parts
from ran.link.receiver_counters import ReceiverCounters
from ran.link.slots import Slot, build_slots, slot_numbers
from ran.link.snr import noise_var
from ran.link.streams import DropGenerators
from ran.link.time_domain import time_domain_of
from ran.link.transmitter import Transmitter, pilot_layout
from ran.link.turbo import TurboDecoder
from ran.link.untouched import check_llr, is_trusted, untouched
from ran.link.uplink import Uplink
from ran.phy.config import Decoder
from ran.stats.counts import Counts
from receivers import Receiver, SlotObservation


class Link:
    """A PUSCH or PDSCH over a channel, a transport block per user or codeword and drop.

    A drop is one slot, or with HARQ as many as it takes.
    """

    def __init__(self, config: LinkConfig, decoder: Decoder | None = None, device: str = "cpu") -> None:
        self.config = config
        self.decoder = decoder or Decoder()
        self.device = torch.device(device)
        #: Of the last call of `simulate`: what each receiver took, decoding included (with HARQ without).
        self.receiver_seconds: dict[str, float] = {}
        side = Uplink if config.pdsch is None else Downlink
        self.transmitter: Transmitter = side(config, slot_numbers(config))
        self.grid = self.transmitter.grids[0]
        uci = self.grid.codewords[0].uci
        if uci is not None and not uci.uci.has_ulsch:
            raise InputError("pusch.uci.has_ulsch: got false in a link; allowed: true, links count transport blocks")
        self._channels = LinkChannels(config, self.transmitter, self.device)
        self._memory = SlotMemory(
            num_prb=self.grid.num_prb,
            num_rx_ant=config.num_rx_ant,
            num_layers=self.grid.num_layers,
            num_pilot_symbols=len(self.grid.dmrs_symbols),
            num_coded_bits=self.grid.num_coded_bits,
            num_tx_ant=self.transmitter.num_tx_ant,
            num_soft_bits=0 if config.harq is None else self.grid.num_mother_bits,
            transmitter_knows=self.transmitter.csi_delay_slots is not None,
        )
        self._memory.check(with_channel=False)
        self._slots, self._times = build_slots(config, self.transmitter, self.device)
        self._frequencies = self._slots[0].frequencies_hz[0]
        self._time_domain = time_domain_of(config, self.transmitter)
        half_band_hz = max(float(np.abs(slot.frequencies_hz).max()) for slot in self._slots)
        self._channels.prepare(self._times, half_band_hz, as_paths=self._time_domain is not None)
        self._data_mask = self.grid.data_mask.to(self.device)
        self._layout = pilot_layout(self.grid.channel, self.grid.layer_ports)
        points = self.grid.constellation
        self._points = None if points is None else torch.from_numpy(points).to(self.device)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """One channel for all users, or one per user."""
        return self._channels.channels

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the results should know of the channels, a sentence each."""
        return self._channels.notes

    def received(self, drops: Sequence[int], tx_power_dbm: float, seed: int, scenario_id: str) -> Received | None:
        """Large-scale state of the users of drops at a transmit power; None without a link budget."""
        return self._channels.received(drops, tx_power_dbm, seed, scenario_id)

    @property
    def blocks_per_drop(self) -> int:
        """Transport blocks of a drop."""
        return len(self.grid.block_sizes)

    @property
    def bits_per_block(self) -> tuple[int, ...]:
        """Transport block sizes of a drop, one per user or codeword."""
        return self.grid.block_sizes

    @property
    def has_two_codewords(self) -> bool:
        """Whether the blocks of a drop are two codewords of one user, and not one block per user."""
        return self.grid.has_two_codewords

    @property
    def slot_duration_s(self) -> float:
        return self.config.carrier.slot_duration_s

    @property
    def batch_drops(self) -> int:
        """Drops simulated together: a power of two.

        It depends on the configuration alone, so the arithmetic of a drop does not depend on how a run is cut up.
        """
        return self._memory.batch_drops

    @property
    def batch_bytes(self) -> int:
        """Upper estimate of what a batch and one classical receiver hold in memory at once, without the program."""
        return self._memory.peak_bytes(with_channel=False)

    def check_receiver(self, label: str, receiver: Receiver) -> None:
        """`ReceiverRefused` for a receiver that cannot work on this link's slots, or not within the memory budget."""
        check_receiver(label, receiver, self.config.carrier, self.grid, self._empty_slot(), self._memory)

    def check_memory(self, receivers: Mapping[str, Receiver]) -> None:
        """`InputError` when these receivers together do not stay within the memory budget."""
        self._memory.check(any(r.needs_truth for r in receivers.values()), len(receivers))

    def _empty_slot(self) -> SlotObservation:
        """What is known of a slot before it is received: a received grid of zeros, unit noise."""
        shape = (1, self.config.num_rx_ant, *self._data_mask.shape)
        y = torch.zeros(shape, dtype=torch.complex64, device=self.device)
        return self._observation(self._slots[0], y, 1.0)

    def _observation(self, slot: Slot, y: Tensor, variance: float | Tensor) -> SlotObservation:
        grid = slot.grid
        return SlotObservation(
            y=y,
            pilots=slot.pilots,
            layout=self._layout,
            data_mask=self._data_mask,
            noise_var=variance if isinstance(variance, Tensor) else torch.full((len(y),), variance, device=self.device),
            bits_per_symbol=grid.bits_per_symbol,
            layer_amplitude=grid.layer_amplitude,
            layer_to_user=grid.layer_to_user,
            symbol_times_s=torch.from_numpy(slot.symbol_times_s),
            subcarrier_spacing_hz=self.config.carrier.subcarrier_spacing_hz,
            transform_precoding=grid.transform_precoding,
            decoder=TurboDecoder(
                grid.codewords, self.decoder.num_iterations, self.config.harq is not None, self.decoder.precision
            ),
            bits_per_layer=grid.bits_per_layer if len(set(grid.bits_per_layer)) > 1 else (),
            constellation=self._points,
        )

    def batch(
        self,
        drops: Sequence[int],
        esn0_db: float,
        seed: int,
        scenario_id: str,
        with_channel: bool = True,
        attempt: int = 0,
    ) -> SlotBatch:
        """Transmit one slot per drop and receive it; nothing depends on the other drops of the batch.

        with_channel: keep the channel, which only `truth` needs; without, a batch takes far less memory.
        esn0_db: with a link budget the transmit power in dBm. The grid then has the level at which the strongest user
            of a drop has unit mean power, and noise_var is the drop's own: common factors change nothing.
        attempt: number of the transmission or slot, from 0; above 0 only with HARQ or several slots.
        `InputError` when it would not stay within the memory budget.
        """
        self._memory.check(with_channel)

        slot, sender = self._slots[attempt], self.transmitter
        grid = slot.grid
        state = self.received(drops, esn0_db, seed, scenario_id)
        # with a link budget: noise of unit variance, and channels in proportion to it
        variance = noise_var(esn0_db) if state is None else 1.0
        amplitudes = None if state is None else torch.from_numpy(state.amplitudes).to(self.device, torch.float32)

        def streams(purpose: str, of: slice = slice(None)) -> DropGenerators:
            return DropGenerators(seed, scenario_id, drops[of], purpose)

        def of_attempt(purpose: str) -> str:
            return f"{purpose} {attempt}" if attempt else purpose

        def known_channel(subcarriers: np.ndarray) -> Tensor:
            frequencies = self._frequencies[subcarriers]
            return self._channels.response(streams("channel"), frequencies, slot.csi, amplitudes)[..., 0, :]

        # nothing has to be done to the channel as a whole: then it is never written out
        as_modes = self.device.type == "cpu" and amplitudes is None and len(slot.frequencies_hz) == 1
        as_modes = as_modes and sender.layers_are_antennas

        def response(of: slice, subcarriers: slice) -> list[GridModes]:
            # drawn from the start for every part of the band: a draw does not depend on where it is looked at
            if as_modes:
                drawn = streams("channel", of)
                return self._channels.grid_modes(drawn, slot.frequencies_hz[0][subcarriers], slot.part_of_drop)
            scale = None if amplitudes is None else amplitudes[of]
            parts = [
                self._channels.response(streams("channel", of), frequencies[subcarriers], slot.part_of_drop, scale)
                for frequencies in slot.frequencies_hz
            ]
            h = parts[0]
            if len(parts) == 2:
                second = grid.placement.first_symbol_of_second
                h = torch.cat([h[..., :second, :], parts[1][..., second:, :]], dim=-2)
            h = sender.layer_channel(h, None if precoder is None else precoder[of], subcarriers.start)
            return [GridModes(h)]

        def paths(of: slice, times_s: np.ndarray) -> list[Paths]:
            return self._channels.paths(streams("channel", of), times_s)

        precoder = sender.precoder(known_channel, lambda purpose: streams(of_attempt(purpose)), variance)
        precoder = None if precoder is None else precoder.to(self.device)
        bits = "bits" if self.config.harq is not None else of_attempt("bits")
        transport_blocks = random_blocks(streams(bits), self.bits_per_block)
        with_uci = grid.codewords[0].uci is not None
        uci = random_uci(streams(of_attempt("uci")), grid.codewords) if with_uci else {}
        coded = grid.code(transport_blocks, uci)
        coded_bits = torch.from_numpy(coded).to(self.device)
        x = transmitted_grid(grid, coded_bits)
        noise_keys = np.stack([stream_key(seed, scenario_id, drop, of_attempt("noise")) for drop in drops])
        if self._time_domain is None:
            y, h = received_grid(x, response, noise_keys, variance, self._memory, with_channel)
        else:
            sent = sender.antenna_grid(x, precoder)
            y, h = self._time_domain.received_grid(sent, attempt, paths, streams, noise_keys, variance, with_channel)
            h = None if h is None else sender.layer_channel(h, precoder)
            if self.config.waveform is not None and self.config.waveform.gain_db:
                gain = 10 ** (self.config.waveform.gain_db / 20)
                y, h, variance = y * gain, None if h is None else h * gain, variance * gain**2
        if state is None:
            observation = self._observation(slot, y, variance)
            return SlotBatch(observation, transport_blocks, coded_bits, x, h, precoder, uci=uci)
        of_drop = torch.from_numpy(state.noise_var).to(self.device, torch.float32)
        level = of_drop.sqrt()
        y = y * level.view(-1, 1, 1, 1)
        h = None if h is None else h * level.view(-1, 1, 1, 1, 1)
        observation = self._observation(slot, y, of_drop)
        return SlotBatch(observation, transport_blocks, coded_bits, x, h, precoder, state, uci)

    def recorded(
        self,
        y: Tensor,
        noise_variance: float | Tensor,
        transport_blocks: np.ndarray,
        coded_bits: Tensor,
        h: Tensor | None,
    ) -> SlotBatch:
        """A batch of slots that this link transmitted and received before, at one noise variance or at one for each.

        y [batch, num_rx_ant, 14, num_subcarriers] complex64, on the link's device; the rest as in `SlotBatch`.
        """
        x = transmitted_grid(self._slots[0].grid, coded_bits)
        return SlotBatch(self._observation(self._slots[0], y, noise_variance), transport_blocks, coded_bits, x, h)

    def receive(
        self, receiver: Receiver, batch: SlotBatch, label: str = "", after: Callable[[], None] = lambda: None
    ) -> Tensor:
        """LLRs of a receiver; only a genie is handed the truth.

        label: what the receiver is called. after: called after every call of the receiver, which is handed the parts of
        a slot with gaps one by one. `InputError` when it changes its input, which all receivers share, or returns
        something else than LLRs of the slots.
        """
        truth = batch.truth if receiver.needs_truth else None
        name = label or type(receiver).__name__
        with untouched(name, receiver, batch.observation, truth):
            if not self.grid.is_contiguous:
                llr = receive_in_parts(receiver, batch.observation, truth, self.grid, after)
            else:
                llr = receiver(batch.observation, truth)
                after()
        if not is_trusted(receiver):
            check_llr(name, llr, tuple(batch.coded_bits.shape))
        return llr

    def count_errors(self, llr: Tensor, batch: SlotBatch) -> Counts:
        """Decode the LLRs and count block errors (CRC or bits wrong) and bit errors per drop."""
        grid, how = self.grid, (self.decoder.num_iterations, self.decoder.precision)
        # a GPU decodes what it holds
        decisions = grid.decode_blocks(llr, *how) if llr.is_cuda else grid.decode_blocks(llr.numpy(), *how)
        wrong, failed = compare(self.grid, decisions, batch.transport_blocks)
        return counts_of(failed[:, None], wrong.sum(-1), self.has_two_codewords, batch.received, grid.has_unlike_users)

    def warm_up(self, receivers: Mapping[str, Receiver]) -> None:
        """Make the processor's kernels ready that these receivers on this link need.

        Seconds the first time on a machine; processes that start later load them from disk.
        """
        with torch.inference_mode():
            batch = self.batch(range(1), 0.0, 0, "warm-up", any(r.needs_truth for r in receivers.values()))
            for receiver in receivers.values():
                self.receive(receiver, batch)

    def simulate(
        self, receivers: Mapping[str, Receiver], drops: range, esn0_db: float, seed: int, scenario_id: str
    ) -> dict[str, Counts]:
        """Outcomes of every receiver on the same drops.

        drops: must start at a multiple of `batch_drops`. `NonFiniteError` when a NaN or an infinity appears.
        """
        self.check_memory(receivers)
        self.receiver_seconds = dict.fromkeys(receivers, 0.0)
        size = self.batch_drops
        if drops.step != 1 or drops.start % size:
            raise InputError(f"drops: got {drops}; allowed: consecutive drops from a multiple of {size}")
        parts: dict[str, list[Counts]] = {label: [] for label in receivers}
        with_channel = any(receiver.needs_truth for receiver in receivers.values())
        with torch.inference_mode():
            for start in range(drops.start, drops.stop, size):
                # the last batch is completed and cut, so that a drop meets the same batch whatever is asked for
                indices = range(start, start + size)
                outcomes = self._outcomes(receivers, indices, esn0_db, seed, scenario_id, with_channel)
                keep = min(size, drops.stop - start)
                for label, outcome in outcomes.items():
                    parts[label].append(outcome.first(keep))
        return {label: Counts.joined(part) for label, part in parts.items()}

    def _outcomes(
        self,
        receivers: Mapping[str, Receiver],
        indices: range,
        esn0_db: float,
        seed: int,
        scenario_id: str,
        with_channel: bool,
    ) -> dict[str, Counts]:
        """Outcomes of every receiver on one batch of drops."""

        def transmit(attempt: int, places: list[int]) -> SlotBatch:
            chosen = [indices[place] for place in places]
            batch = self.batch(chosen, esn0_db, seed, scenario_id, with_channel, attempt=attempt)
            check_finite(batch.observation.y, "the received grid", chosen)
            return batch

        counters = {label: ReceiverCounters(label, receiver, len(indices)) for label, receiver in receivers.items()}
        if self.config.harq is None:
            batch = transmit(0, list(range(len(indices))))
            found = {}
            for label, receiver in receivers.items():
                started = time.perf_counter()
                llr = self.receive(receiver, batch, label, counters[label].add)
                check_finite(llr, f"the LLRs of {label}", indices)
                found[label] = self.count_errors(llr, batch).counting(counters[label].values)
                self.receiver_seconds[label] += time.perf_counter() - started
            return found

        def receive(label: str, batch: SlotBatch, places: np.ndarray) -> Tensor:
            started = time.perf_counter()
            llr = self.receive(receivers[label], batch, label, lambda: counters[label].add(places))
            check_finite(llr, f"the LLRs of {label}", [indices[int(place)] for place in places])
            self.receiver_seconds[label] += time.perf_counter() - started
            return llr

        grids = self.transmitter.grids
        state = self.received(indices, esn0_db, seed, scenario_id)
        processes = run_processes(receivers, len(indices), grids, self.decoder, transmit, receive, state)
        return {label: counts.counting(counters[label].values) for label, counts in processes.items()}
