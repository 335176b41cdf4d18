"""`Link`: a batch of slots through transmitter, channel and noise, and what receivers make of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from channels import Awgn, Channel
from channels.paths import Paths
from ran.errors import InputError, ReceiverRefused
from ran.link.batch import SlotBatch, check_finite, random_blocks
from ran.link.catalogue import build_channel, build_impairments
from ran.link.config import LinkConfig
from ran.link.downlink import Downlink
from ran.link.grid import received_grid, transmitted_grid
from ran.link.harq import run_processes
from ran.link.link_budget import Received, check_link_budget, received
from ran.link.memory import SlotMemory
from ran.link.noise import stream_key
from ran.link.outcomes import DropOutcomes, compare
from ran.link.parts import cuts, receive_in_parts
from ran.link.snr import noise_var
from ran.link.streams import stream
from ran.link.transmitter import Transmitter, pilot_layout
from ran.link.turbo import TurboDecoder
from ran.link.untouched import untouched
from ran.link.uplink import Uplink
from ran.link.waveform import TimeDomain
from ran.phy.config import Decoder
from ran.phy.dmrs import left_to_others, reserved_mask
from ran.phy.numerology import slot_start_s, symbol_times_s
from ran.phy.shared_grid import SharedGrid
from receivers import Receiver, SlotObservation

#: Symbol of a slot at which the transmitter learns the channel.
_CSI_SYMBOL = 7


@dataclass(frozen=True)
class _Slot:
    """One of the slots of a drop: its grid, and its symbols' times after the start of the slot, and in the drop.

    csi: when the transmitter learned the channel, in the drop.
    frequencies_hz [hops, num_subcarriers]: of the grid's columns from the middle of the carrier, float64.
    """

    grid: SharedGrid
    frequencies_hz: np.ndarray
    symbol_times_s: np.ndarray
    part_of_drop: slice
    csi: slice
    pilots: Tensor


class Link:
    """A PUSCH or PDSCH over a channel, a transport block per user or codeword and drop.

    A drop is one slot, or with HARQ as many as it takes.
    """

    def __init__(self, config: LinkConfig, decoder: Decoder | None = None, device: str = "cpu") -> None:
        self.config = config
        self.decoder = decoder or Decoder()
        self.device = torch.device(device)
        side = Uplink if config.pdsch is None else Downlink
        self.transmitter: Transmitter = side(config, self._slot_numbers)
        self.grid = self.transmitter.grids[0]
        uci = self.grid.codewords[0].uci
        if uci is not None and not uci.uci.has_ulsch:
            raise InputError("pusch.uci.has_ulsch: got false in a link; allowed: true, links count transport blocks")
        self.channels = self._build_channels()
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
        self._slots, self._times = self._build_slots()
        self._frequencies = self._slots[0].frequencies_hz[0]
        self._time_domain = self._build_time_domain()
        self.channels = self._over_the_band(self.channels)
        self._data_mask = self.grid.data_mask.to(self.device)
        self._layout = pilot_layout(self.grid.channel, self.grid.layer_ports)
        points = self.grid.constellation
        self._points = None if points is None else torch.from_numpy(points).to(self.device)

    @property
    def _slot_numbers(self) -> list[int]:
        """Numbers of the slots of a drop, counted on over the ends of frames."""
        first, harq = self.config.carrier.slot_number, self.config.harq
        if harq is None:
            return list(range(first, first + self.config.num_slots))
        return [first + attempt * harq.round_trip_slots for attempt in range(harq.max_transmissions)]

    def _build_slots(self) -> tuple[tuple[_Slot, ...], np.ndarray]:
        """The slots of a drop, and the times of the process that its channel is, seconds.

        Where the transmitter knows the channel as it was in an earlier slot, a symbol of that belongs to the process.
        """
        numerology, delay = self.config.carrier.numerology, self.transmitter.csi_delay_slots
        extended = self.config.carrier.cyclic_prefix == "extended"
        start = slot_start_s(numerology, self._slot_numbers[0], extended)
        slots, times = [], np.zeros(0)
        for number, grid in zip(self._slot_numbers, self.transmitter.grids, strict=True):
            of_slot = symbol_times_s(numerology, grid.carrier.slot_number, extended)
            part = slice(len(times), len(times) + len(of_slot))
            csi = slice(part.start + _CSI_SYMBOL, part.start + _CSI_SYMBOL + 1)
            times = np.concatenate([times, slot_start_s(numerology, number, extended) - start + of_slot])
            if delay:
                csi = slice(part.stop, part.stop + 1)
                earlier = symbol_times_s(numerology, number - delay, extended)[_CSI_SYMBOL]
                times = np.append(times, slot_start_s(numerology, number - delay, extended) - start + earlier)
            slots.append(_Slot(grid, self._frequencies_of(grid), of_slot, part, csi, grid.pilots.to(self.device)))
        return tuple(slots), times

    def _frequencies_of(self, grid: SharedGrid) -> np.ndarray:
        """Frequencies of a grid's columns from the middle of the carrier in Hz, float64 [hops, num_subcarriers]."""
        carrier, placement = self.config.carrier, grid.placement
        rows = [0, placement.first_symbol_of_second][: len(placement.hops)]
        middle = (carrier.num_subcarriers - 1) / 2
        return (placement.subcarriers[rows] - middle) * carrier.subcarrier_spacing_hz

    def _build_time_domain(self) -> TimeDomain | None:
        """The way through the time domain where it is asked for."""
        config, carrier, sender = self.config.waveform, self.config.carrier, self.transmitter
        if config is None:
            return None
        if self.config.precoding is not None and sender.csi_delay_slots is not None:
            raise InputError(
                f"precoding: got {self.config.precoding.name!r} with waveform, where the transmitter does not know the "
                "channel; allowed: identity, random, random-type-one"
            )
        extended = carrier.cyclic_prefix == "extended"
        starts = [slot_start_s(carrier.numerology, n, extended) for n in self._slot_numbers]
        slots = [(n, start - starts[0]) for n, start in zip(self._slot_numbers, starts, strict=True)]
        ends = {}
        for end in ("transmit", "receive"):
            ends[end] = build_impairments(getattr(config, f"{end}_impairments"), f"waveform.{end}_impairments")
        num_users, per_user = self.grid.num_users, sender.antennas_per_user
        placements = [grid.placement for grid in sender.grids]
        domain = TimeDomain(config, carrier, slots, num_users, per_user, self.config.num_rx_ant, placements, **ends)
        for end, impairments in ends.items():
            for index, impairment in enumerate(impairments):
                try:
                    impairment.check(domain.sample_rate_hz)
                except ValueError as error:
                    raise InputError(f"waveform.{end}_impairments[{index}]: {error}") from None
        return domain

    def _build_channels(self) -> tuple[Channel, ...]:
        """One channel for all users, or one per user."""
        block, num_users = self.config.channel, self.config.users.num_users
        blocks = (block,) if isinstance(block, Mapping) else block
        if len(blocks) not in (1, num_users):
            raise InputError(
                f"channel: got a list of {len(blocks)} channels; allowed: one channel or {num_users}, one per user"
            )
        # a list of one channel for one user is a channel; a single channel carries the layers of all users
        paths = ["channel"] if len(blocks) == 1 else [f"channel[{i}]" for i in range(num_users)]
        channels = tuple(build_channel(b, path) for b, path in zip(blocks, paths, strict=True))
        transmitter = self.transmitter
        num_tx_ant = transmitter.num_tx_ant if len(channels) == 1 else transmitter.antennas_per_user
        for path, channel in zip(paths, channels, strict=True):
            try:
                channel.check(self.config.num_rx_ant, num_tx_ant)
            except ValueError as error:
                raise InputError(f"{path}: {error}") from None
        if sum(isinstance(channel, Awgn) for channel in channels) > 1:
            raise InputError("channel: got awgn for several users, whose channels are then the same; allowed: one user")
        check_link_budget(self.config.link_budget, channels, num_users, self.config.waveform is not None)
        return channels

    def _over_the_band(self, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        """The channels for the carrier's whole band: parts of it are asked for one by one."""
        half = max(float(np.abs(slot.frequencies_hz).max()) for slot in self._slots)
        sizes = self.config.num_rx_ant, self._tx_antennas
        try:
            return tuple(c.for_band(*sizes, half, as_paths=self._time_domain is not None) for c in channels)
        except ValueError as error:
            raise InputError(f"channel: {error}") from None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the results should know of the channels, a sentence each."""
        return tuple(dict.fromkeys(note for channel in self.channels for note in channel.notes))

    def received(self, drops: Sequence[int], tx_power_dbm: float, seed: int, scenario_id: str) -> Received | None:
        """Large-scale state of the users of drops at a transmit power; None without a link budget."""
        if self.config.link_budget is None:
            return None
        generators = [stream(seed, scenario_id, drop, "channel") for drop in drops]
        antennas = self.config.num_rx_ant, self._tx_antennas
        parts = []
        for index, channel in enumerate(self.channels):
            states = [generator.bit_generator.state for generator in generators]
            parts.append(channel.path_gains(generators, *antennas))
            if index + 1 < len(self.channels):
                # on to where the next user's numbers begin, which is where the channel's own draw ends
                for generator, state in zip(generators, states, strict=True):
                    generator.bit_generator.state = state
                channel.response_within(generators, *antennas, self._times, slice(0, 1), np.zeros(1), self.device)
        arrays = [
            np.stack([getattr(part, name) for part in parts], 1)
            for name in ("path_gain_db", "distance_2d_m", "condition")
        ]
        allocated = self.config.carrier.model_copy(update={"num_prb": self.grid.num_prb})
        return received(self.config.link_budget, tx_power_dbm, allocated, *arrays)

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
        return len(self.grid.codewords) == 2

    @property
    def slot_duration_s(self) -> float:
        return self.config.carrier.slot_duration_s

    @property
    def batch_drops(self) -> int:
        """Drops simulated together: a power of two.

        It depends on the configuration alone, so the arithmetic of a drop does not depend on how a run is cut up.
        """
        return self._memory.batch_drops

    def check_receiver(self, label: str, receiver: Receiver) -> None:
        """Refuse a receiver that cannot work on this link's slots, or not within the memory budget."""
        try:
            if receiver.needs_truth:
                self._memory.check(with_channel=True)
            for bits_per_symbol in sorted(set(self.grid.bits_per_layer)):
                receiver.check(bits_per_symbol, self.grid.num_layers, self.config.num_rx_ant)
            receiver.check_modulations(self.grid.bits_per_layer)
            slot = self._empty_slot()
            parts = [slot]
            self._check_allocation(receiver)
            if not self.grid.placement.is_contiguous:
                parts = [own for _, own, _ in cuts(slot, self.grid.placement.parts)]
            for part in parts:
                receiver.check_signal(part)
                receiver.check_pilots(part.layout)
                receiver.check_slot(part)
        except ValueError as error:
            raise ReceiverRefused(f"receivers.{label}: {error}") from None

    def _check_allocation(self, receiver: Receiver) -> None:
        """`ValueError` for a receiver that needs the whole slot at once, where it is taken apart; and without DM-RS."""
        if receiver.uses_decoder and not self.grid.placement.is_contiguous:
            raise ValueError(
                f"allocation: got one with gaps or hops with {receiver.name!r}, which decodes the whole slot; allowed: "
                "contiguous ones, or another receiver"
            )
        if receiver.uses_decoder and self.grid.codewords[0].uci is not None:
            raise ValueError(
                f"pusch.uci: got some with {receiver.name!r}, whose decoder knows the transport block alone; allowed: "
                "without UCI, or another receiver"
            )
        carrier, channel = self.config.carrier, self.grid.channel
        if channel.allocation.reserved and (left_to_others(carrier, channel) & reserved_mask(carrier, channel)).any():
            raise ValueError("allocation.reserved: got resource elements of DM-RS; allowed: others, to receive")

    def check_memory(self, receivers: Mapping[str, Receiver]) -> None:
        """`InputError` when these receivers together do not stay within the memory budget."""
        self._memory.check(any(r.needs_truth for r in receivers.values()), len(receivers))

    def _empty_slot(self) -> SlotObservation:
        """What is known of a slot before it is received: a received grid of zeros, unit noise."""
        shape = (1, self.config.num_rx_ant, *self._data_mask.shape)
        y = torch.zeros(shape, dtype=torch.complex64, device=self.device)
        return self._observation(self._slots[0], y, 1.0)

    def _observation(self, slot: _Slot, y: Tensor, variance: float | Tensor) -> SlotObservation:
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
            decoder=TurboDecoder(grid.codewords, self.decoder.num_iterations, self.config.harq is not None),
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

        def streams(purpose: str, of: slice = slice(None)) -> list[np.random.Generator]:
            return [stream(seed, scenario_id, drop, purpose) for drop in drops[of]]

        def of_attempt(purpose: str) -> str:
            return f"{purpose} {attempt}" if attempt else purpose

        def known_channel(subcarriers: np.ndarray) -> Tensor:
            frequencies = self._frequencies[subcarriers]
            return self._antenna_channel(streams("channel"), frequencies, slot.csi, amplitudes)[..., 0, :]

        def response(of: slice, subcarriers: slice) -> Tensor:
            # drawn from the start for every part of the band: a draw does not depend on where it is looked at
            scale = None if amplitudes is None else amplitudes[of]
            parts = [
                self._antenna_channel(streams("channel", of), frequencies[subcarriers], slot.part_of_drop, scale)
                for frequencies in slot.frequencies_hz
            ]
            h = parts[0]
            if len(parts) == 2:
                second = grid.placement.first_symbol_of_second
                h = torch.cat([h[..., :second, :], parts[1][..., second:, :]], dim=-2)
            return sender.layer_channel(h, None if precoder is None else precoder[of], subcarriers.start)

        def paths(of: slice, times_s: np.ndarray) -> list[Paths]:
            generators = streams("channel", of)
            return [
                channel.paths(generators, self.config.num_rx_ant, self._tx_antennas, times_s, self.device)
                for channel in self.channels
            ]

        precoder = sender.precoder(known_channel, lambda purpose: streams(of_attempt(purpose)), variance)
        precoder = None if precoder is None else precoder.to(self.device)
        bits = "bits" if self.config.harq is not None else of_attempt("bits")
        transport_blocks = random_blocks(streams(bits), self.bits_per_block)
        uci = self._uci_bits(streams(of_attempt("uci"))) if grid.codewords[0].uci is not None else {}
        coded = grid.codewords[0].encode(transport_blocks, uci) if uci else grid.code(transport_blocks)
        coded_bits = torch.from_numpy(coded).to(self.device)
        x = transmitted_grid(grid, coded_bits)
        noise_keys = np.stack([stream_key(seed, scenario_id, drop, of_attempt("noise")) for drop in drops])
        if self._time_domain is None:
            y, h = received_grid(x, response, noise_keys, variance, self._memory, with_channel)
        else:
            sent = sender.antenna_grid(x, precoder)
            y, h = self._time_domain.received_grid(sent, attempt, paths, streams, noise_keys, variance, with_channel)
            h = None if h is None else sender.layer_channel(h, precoder)
        if state is None:
            observation = self._observation(slot, y, variance)
            return SlotBatch(observation, transport_blocks, coded_bits, x, h, precoder, uci=uci)
        of_drop = torch.from_numpy(state.noise_var).to(self.device, torch.float32)
        level = of_drop.sqrt()
        y = y * level.view(-1, 1, 1, 1)
        h = None if h is None else h * level.view(-1, 1, 1, 1, 1)
        observation = self._observation(slot, y, of_drop)
        return SlotBatch(observation, transport_blocks, coded_bits, x, h, precoder, state, uci)

    def _uci_bits(self, generators: list[np.random.Generator]) -> dict[str, np.ndarray]:
        """Independent UCI payloads by kind, uint8 [batch, num_users, bits], every drop's from its own generator."""
        found = self.grid.codewords[0].uci
        codes = {} if found is None else found.codes
        users = self.grid.num_users
        drawn: dict[str, list[np.ndarray]] = {kind: [] for kind in codes}
        for generator in generators:
            for kind, code in codes.items():
                drawn[kind].append(generator.integers(0, 2, (users, code.num_bits), dtype=np.uint8))
        return {kind: np.stack(bits) for kind, bits in drawn.items()}

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

    @property
    def _tx_antennas(self) -> int:
        """Transmit antennas of each channel: of all users, or of one."""
        sender = self.transmitter
        return sender.num_tx_ant if len(self.channels) == 1 else sender.antennas_per_user

    def _antenna_channel(
        self,
        generators: list[np.random.Generator],
        frequencies_hz: np.ndarray,
        part: slice,
        amplitudes: Tensor | None = None,
    ) -> Tensor:
        """Response of all antennas at some times of the drop, complex64 [batch, num_rx_ant, num_tx_ant, times, n].

        amplitudes float32 [batch, num_channels]: by which each channel is multiplied.
        """
        antennas = self.config.num_rx_ant, self._tx_antennas
        parts = [
            channel.response_within(generators, *antennas, self._times, part, frequencies_hz, self.device)
            for channel in self.channels
        ]
        if amplitudes is not None:
            parts = [h * amplitudes[:, i].view(-1, 1, 1, 1, 1) for i, h in enumerate(parts)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def receive(self, receiver: Receiver, batch: SlotBatch, label: str = "") -> Tensor:
        """LLRs of a receiver; only a genie is handed the truth.

        label: what the receiver is called. `InputError` when it changes its input, which all receivers share.
        """
        truth = batch.truth if receiver.needs_truth else None
        with untouched(label or type(receiver).__name__, receiver, batch.observation, truth):
            if not self.grid.placement.is_contiguous:
                return receive_in_parts(receiver, batch.observation, truth, self.grid.placement.parts)
            return receiver(batch.observation, truth)

    def count_errors(self, llr: Tensor, batch: SlotBatch) -> DropOutcomes:
        """Decode the LLRs and count block errors (CRC or bits wrong) and bit errors per drop."""
        grid, how = self.grid, (self.decoder.num_iterations, self.decoder.precision)
        # a GPU decodes what it holds
        decisions = grid.decode_blocks(llr, *how) if llr.is_cuda else grid.decode_blocks(llr.numpy(), *how)
        wrong, failed = compare(self.grid, decisions, batch.transport_blocks)
        return DropOutcomes.of_failures(failed[:, None], wrong.sum(-1), self.has_two_codewords)

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
    ) -> dict[str, DropOutcomes]:
        """Outcomes of every receiver on the same drops.

        drops: must start at a multiple of `batch_drops`. `NonFiniteError` when a NaN or an infinity appears.
        """
        self.check_memory(receivers)
        size = self.batch_drops
        if drops.step != 1 or drops.start % size:
            raise InputError(f"drops: got {drops}; allowed: consecutive drops from a multiple of {size}")
        parts: dict[str, list[DropOutcomes]] = {label: [] for label in receivers}
        with_channel = any(receiver.needs_truth for receiver in receivers.values())
        with torch.inference_mode():
            for start in range(drops.start, drops.stop, size):
                # the last batch is completed and cut, so that a drop meets the same batch whatever is asked for
                indices = range(start, start + size)
                outcomes = self._outcomes(receivers, indices, esn0_db, seed, scenario_id, with_channel)
                keep = min(size, drops.stop - start)
                for label, outcome in outcomes.items():
                    parts[label].append(outcome.first(keep))
        return {label: DropOutcomes.joined(part) for label, part in parts.items()}

    def _outcomes(
        self,
        receivers: Mapping[str, Receiver],
        indices: range,
        esn0_db: float,
        seed: int,
        scenario_id: str,
        with_channel: bool,
    ) -> dict[str, DropOutcomes]:
        """Outcomes of every receiver on one batch of drops."""

        def transmit(attempt: int, places: list[int]) -> SlotBatch:
            chosen = [indices[place] for place in places]
            batch = self.batch(chosen, esn0_db, seed, scenario_id, with_channel, attempt=attempt)
            check_finite(batch.observation.y, "the received grid", chosen)
            return batch

        if self.config.harq is None:
            batch = transmit(0, list(range(len(indices))))
            found = {}
            for label, receiver in receivers.items():
                started = time.perf_counter()
                llr = self.receive(receiver, batch, label)
                check_finite(llr, f"the LLRs of {label}", indices)
                found[label] = self.count_errors(llr, batch).with_seconds(time.perf_counter() - started)
            return _with_received(found, batch.received)

        def receive(label: str, batch: SlotBatch, places: np.ndarray) -> Tensor:
            llr = self.receive(receivers[label], batch, label)
            check_finite(llr, f"the LLRs of {label}", [indices[int(place)] for place in places])
            return llr

        grids = self.transmitter.grids
        found = run_processes(receivers, len(indices), grids, self.decoder, transmit, receive)
        return _with_received(found, self.received(indices, esn0_db, seed, scenario_id))


def _with_received(found: dict[str, DropOutcomes], state: Received | None) -> dict[str, DropOutcomes]:
    """Outcomes with the large-scale state of the users of the same drops."""
    return found if state is None else {label: outcome.with_received(state) for label, outcome in found.items()}
