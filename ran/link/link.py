"""`Link`: a batch of slots through transmitter, channel and noise, and what receivers make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from channels import Awgn, Channel
from channels.paths import Paths
from ran.errors import InputError
from ran.link.catalogue import build_channel, build_impairments
from ran.link.config import LinkConfig
from ran.link.grid import received_grid, transmitted_grid
from ran.link.harq import run_processes
from ran.link.memory import SlotMemory
from ran.link.noise import stream_key
from ran.link.snr import noise_var
from ran.link.streams import stream
from ran.link.turbo import TurboDecoder
from ran.link.waveform import TimeDomain
from ran.phy.config import Decoder, Pdsch, SharedChannel
from ran.phy.dmrs import PAIR_SPACING, PILOT_SPACING, cover_code, dmrs_symbols, first_subcarrier, time_cover_code
from ran.phy.numerology import slot_start_s, symbol_times_s
from ran.phy.pusch import PuschGrid
from receivers import PilotLayout, Receiver, SlotObservation, Truth


class NonFiniteError(Exception):
    """A NaN or an infinity appeared in a slot. `stage` says where, `drop_index` in which drop."""

    def __init__(self, stage: str, drop_index: int) -> None:
        super().__init__(f"non-finite numbers in {stage} of drop {drop_index}")
        self.stage = stage
        self.drop_index = drop_index


@dataclass(frozen=True)
class DropOutcomes:
    """Errors per drop, summed over its users: block_errors int32 [drops], bit_errors int64 [drops].

    With HARQ these are the blocks that never arrived, and `earlier_errors` int32 [drops, transmissions - 1] are those
    still in error after every transmission but the last; without, it is empty.
    """

    block_errors: np.ndarray
    bit_errors: np.ndarray
    earlier_errors: np.ndarray

    @classmethod
    def of_one_slot(cls, block_errors: np.ndarray, bit_errors: np.ndarray) -> DropOutcomes:
        """Without retransmissions."""
        return cls(block_errors, bit_errors, np.zeros((len(block_errors), 0), np.int32))

    def first(self, count: int) -> DropOutcomes:
        """The first `count` drops."""
        return DropOutcomes(self.block_errors[:count], self.bit_errors[:count], self.earlier_errors[:count])


@dataclass(frozen=True)
class SlotBatch:
    """A batch of received slots with everything that produced them.

    transport_blocks [batch, num_users, tb_size] uint8: what was sent.
    coded_bits [batch, num_layers, num_data_re, bits_per_symbol] uint8: the same coded and scrambled.
    x [batch, num_layers, 14, num_subcarriers] complex64: the transmitted grid.
    h [batch, num_rx_ant, num_layers, 14, num_subcarriers] complex64: the channel, where it was asked for.
    """

    observation: SlotObservation
    transport_blocks: np.ndarray
    coded_bits: Tensor
    x: Tensor
    h: Tensor | None

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
        )


@dataclass(frozen=True)
class _Slot:
    """One of the slots of a drop: its grid, and its symbols' times after the start of the slot, and in the drop."""

    grid: PuschGrid
    symbol_times_s: np.ndarray
    part_of_drop: slice
    pilots: Tensor


class Link:
    """PUSCH over a channel, one transport block per user and drop: in one slot, or with HARQ in as many as it takes."""

    def __init__(self, config: LinkConfig, decoder: Decoder | None = None, device: str = "cpu") -> None:
        self.config = config
        self.decoder = decoder or Decoder()
        self.device = torch.device(device)
        self.grid = PuschGrid.build(config.carrier, config.pusch, config.users)
        self.channels = self._build_channels()
        self._memory = SlotMemory(
            num_prb=config.carrier.num_prb,
            num_rx_ant=config.num_rx_ant,
            num_layers=max(self.grid.num_layers, self.grid.num_antennas_per_user * self.grid.num_users),
            num_pilot_symbols=len(self.grid.dmrs_symbols),
            num_coded_bits=self.grid.scrambling.size,
        )
        self._memory.check(with_channel=False)
        self._slots = self._build_slots()
        starts = [slot_start_s(config.carrier.numerology, n) for n in self._slot_numbers]
        self._times = np.concatenate(
            [start - starts[0] + slot.symbol_times_s for start, slot in zip(starts, self._slots, strict=True)]
        )
        middle = (config.carrier.num_subcarriers - 1) / 2
        self._frequencies = (np.arange(config.carrier.num_subcarriers) - middle) * config.carrier.subcarrier_spacing_hz
        self._time_domain = self._build_time_domain(starts)
        self._data_mask = self.grid.data_mask.to(self.device)
        ports = [port for user in self.grid.ports for port in user]
        self._layout = pilot_layout(config.pusch, ports)

    @property
    def _slot_numbers(self) -> list[int]:
        """Numbers of the slots of a drop, counted on over the ends of frames."""
        first, harq = self.config.carrier.slot_number, self.config.harq
        if harq is None:
            return list(range(first, first + self.config.num_slots))
        return [first + attempt * harq.round_trip_slots for attempt in range(harq.max_transmissions)]

    def _build_slots(self) -> tuple[_Slot, ...]:
        """The slots of a drop with their DM-RS, with HARQ one per transmission with its redundancy version."""
        carrier, harq = self.config.carrier, self.config.harq
        if harq is not None and self.config.pusch.rv != 0:
            raise InputError(f"pusch.rv: got {self.config.pusch.rv} with harq; allowed: 0, harq.rv counts")
        if harq is not None and self.config.num_slots != 1:
            raise InputError(f"num_slots: got {self.config.num_slots} with harq; allowed: 1, harq counts the slots")
        slots = []
        for attempt, number in enumerate(self._slot_numbers):
            of_slot, pusch, grid = carrier, self.config.pusch, self.grid
            if harq is not None:
                pusch = pusch.model_copy(update={"rv": harq.rv_of(attempt)})
            if len(self._slot_numbers) > 1:
                in_frame = number % (10 * 2**carrier.numerology)
                of_slot = carrier.model_copy(update={"slot_number": in_frame})
                grid = PuschGrid.build(of_slot, pusch, self.config.users)
            times = symbol_times_s(of_slot.numerology, of_slot.slot_number)
            part = slice(attempt * len(times), (attempt + 1) * len(times))
            slots.append(_Slot(grid, times, part, grid.pilots.to(self.device)))
        return tuple(slots)

    def _build_time_domain(self, starts_s: Sequence[float]) -> TimeDomain | None:
        """The way through the time domain where it is asked for; starts_s: of the slots of a drop."""
        if self.config.waveform is None:
            return None
        slots = [(n, start - starts_s[0]) for n, start in zip(self._slot_numbers, starts_s, strict=True)]
        num_users, per_user = self.grid.num_users, self.grid.num_antennas_per_user
        config, carrier = self.config.waveform, self.config.carrier
        ends = {}
        for end in ("transmit", "receive"):
            ends[end] = build_impairments(getattr(config, f"{end}_impairments"), f"waveform.{end}_impairments")
        domain = TimeDomain(config, carrier, slots, num_users, per_user, self.config.num_rx_ant, **ends)
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
        num_tx_ant = self.grid.num_antennas_per_user * (num_users if len(channels) == 1 else 1)
        for path, channel in zip(paths, channels, strict=True):
            try:
                channel.check(self.config.num_rx_ant, num_tx_ant)
            except ValueError as error:
                raise InputError(f"{path}: {error}") from None
        if sum(isinstance(channel, Awgn) for channel in channels) > 1:
            raise InputError("channel: got awgn for several users, whose channels are then the same; allowed: one user")
        return channels

    @property
    def blocks_per_drop(self) -> int:
        """Transport blocks of a drop."""
        return self.grid.num_users

    @property
    def bits_per_block(self) -> int:
        """Transport block size."""
        return self.grid.transport_block.tb_size

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
            receiver.check(self.grid.bits_per_symbol, self.grid.num_layers, self.config.num_rx_ant)
            receiver.check_pilots(self._layout)
            receiver.check_slot(self._empty_slot())
        except ValueError as error:
            raise InputError(f"receivers.{label}: {error}") from None

    def _empty_slot(self) -> SlotObservation:
        """What is known of a slot before it is received: a received grid of zeros, unit noise."""
        shape = (1, self.config.num_rx_ant, *self._data_mask.shape)
        y = torch.zeros(shape, dtype=torch.complex64, device=self.device)
        return self._observation(self._slots[0], y, 1.0)

    def _observation(self, slot: _Slot, y: Tensor, variance: float) -> SlotObservation:
        grid = slot.grid
        return SlotObservation(
            y=y,
            pilots=slot.pilots,
            layout=self._layout,
            data_mask=self._data_mask,
            noise_var=torch.full((len(y),), variance, device=self.device),
            bits_per_symbol=grid.bits_per_symbol,
            layer_amplitude=grid.layer_amplitude,
            layer_to_user=tuple(u for u, ports in enumerate(grid.ports) for _ in ports),
            symbol_times_s=torch.from_numpy(slot.symbol_times_s),
            subcarrier_spacing_hz=self.config.carrier.subcarrier_spacing_hz,
            transform_precoding=self.config.pusch.transform_precoding,
            decoder=TurboDecoder((grid.codeword,), self.decoder.num_iterations),
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
        attempt: number of the transmission or slot, from 0; above 0 only with HARQ or several slots.
        `InputError` when it would not stay within the memory budget.
        """
        self._memory.check(with_channel)

        def streams(purpose: str, of: slice = slice(None)) -> list[np.random.Generator]:
            return [stream(seed, scenario_id, drop, purpose) for drop in drops[of]]

        def response(of: slice, subcarriers: slice) -> Tensor:
            # drawn from the start for every part of the band: a draw does not depend on where it is looked at
            return self._channel_response(streams("channel", of), self._frequencies[subcarriers], slot.part_of_drop)

        def paths(of: slice, times_s: np.ndarray) -> list[Paths]:
            generators = streams("channel", of)
            return [
                channel.paths(generators, self.config.num_rx_ant, n, times_s, self.device)
                for channel, n in zip(self.channels, self._tx_antennas, strict=True)
            ]

        slot = self._slots[attempt]
        grid = slot.grid
        bits = f"bits {attempt}" if attempt and self.config.harq is None else "bits"
        transport_blocks = _random_bits(streams(bits), (grid.num_users, self.bits_per_block))
        coded_bits = torch.from_numpy(grid.encode(transport_blocks)).to(self.device)
        x = transmitted_grid(grid, coded_bits)
        variance = noise_var(esn0_db)
        noise = f"noise {attempt}" if attempt else "noise"
        noise_keys = np.stack([stream_key(seed, scenario_id, drop, noise) for drop in drops])
        if self._time_domain is None:
            y, h = received_grid(x, response, noise_keys, variance, self._memory, with_channel)
        else:
            y, h = self._time_domain.received_grid(
                grid.precode(x), attempt, paths, streams, noise_keys, variance, with_channel
            )
            h = None if h is None else grid.layer_channel(h)
        return SlotBatch(self._observation(slot, y, variance), transport_blocks, coded_bits, x, h)

    @property
    def _tx_antennas(self) -> list[int]:
        """Transmit antennas of each channel: of all users, or of one."""
        per_user = self.grid.num_antennas_per_user
        return [per_user * self.grid.num_users] if len(self.channels) == 1 else [per_user] * len(self.channels)

    def _channel_response(
        self, generators: list[np.random.Generator], frequencies_hz: np.ndarray, part: slice
    ) -> Tensor:
        """Response of all layers in a slot of the drop, complex64 [batch, num_rx_ant, num_layers, 14, subcarriers]."""
        num_rx_ant = self.config.num_rx_ant
        parts = [
            channel.response_within(generators, num_rx_ant, n, self._times, part, frequencies_hz, self.device)
            for channel, n in zip(self.channels, self._tx_antennas, strict=True)
        ]
        return self.grid.layer_channel(parts[0] if len(parts) == 1 else torch.cat(parts, dim=2))

    def receive(self, receiver: Receiver, batch: SlotBatch) -> Tensor:
        """LLRs of a receiver; only a genie is handed the truth."""
        return receiver(batch.observation, batch.truth if receiver.needs_truth else None)

    def count_errors(self, llr: Tensor, batch: SlotBatch) -> DropOutcomes:
        """Decode the LLRs and count block errors (CRC or bits wrong) and bit errors per drop."""
        sent = batch.transport_blocks
        decision = self.grid.decode(llr.cpu().numpy(), self.decoder.num_iterations, self.decoder.precision)
        wrong = (decision.bits.reshape(sent.shape) != sent).sum(-1, dtype=np.int64)
        failed = (wrong > 0) | ~decision.crc_ok.reshape(wrong.shape)
        return DropOutcomes.of_one_slot(failed.sum(-1, dtype=np.int32), wrong.sum(-1))

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
        return {
            label: DropOutcomes(
                np.concatenate([p.block_errors for p in part]),
                np.concatenate([p.bit_errors for p in part]),
                np.concatenate([p.earlier_errors for p in part]),
            )
            for label, part in parts.items()
        }

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
            _check_finite(batch.observation.y, "the received grid", chosen)
            return batch

        if self.config.harq is None:
            batch = transmit(0, list(range(len(indices))))
            found = {}
            for label, receiver in receivers.items():
                llr = self.receive(receiver, batch)
                _check_finite(llr, f"the LLRs of {label}", indices)
                found[label] = self.count_errors(llr, batch)
            return found

        def receive(label: str, batch: SlotBatch, places: np.ndarray) -> Tensor:
            llr = self.receive(receivers[label], batch)
            _check_finite(llr, f"the LLRs of {label}", [indices[int(place)] for place in places])
            return llr

        codewords = [slot.grid.codeword for slot in self._slots]
        processes = run_processes(
            receivers, len(indices), self.blocks_per_drop, codewords, self.decoder, transmit, receive
        )
        return {
            label: DropOutcomes(p.failures[:, -1], p.bit_errors, p.failures[:, :-1]) for label, p in processes.items()
        }


def pilot_layout(channel: SharedChannel, ports: Sequence[int]) -> PilotLayout:
    """Where the DM-RS of antenna ports are, one port per layer, in the receivers' words."""
    dmrs = channel.dmrs
    prg_size = channel.prg_size if isinstance(channel, Pdsch) else None
    return PilotLayout(
        symbols=dmrs_symbols(channel),
        first_subcarrier=tuple(first_subcarrier(port, dmrs.config_type) for port in ports),
        spacing=PILOT_SPACING[dmrs.config_type],
        cover_code=tuple(cover_code(port) for port in ports),
        pair_spacing=PAIR_SPACING[dmrs.config_type],
        num_adjacent_symbols=dmrs.length,
        time_cover_code=tuple(time_cover_code(port, dmrs.config_type) for port in ports),
        bundle_subcarriers=None if prg_size is None else 12 * prg_size,
    )


def _random_bits(generators: list[np.random.Generator], shape: tuple[int, int]) -> np.ndarray:
    """Independent bits uint8 [len(generators), *shape], every drop's from its own generator."""
    size = shape[0] * shape[1]
    packed = np.stack([np.frombuffer(g.bytes(-(-size // 8)), np.uint8) for g in generators])
    return np.unpackbits(packed, axis=1, count=size).reshape(len(generators), *shape)


def _check_finite(values: Tensor, stage: str, drops: Sequence[int]) -> None:
    # NaN and infinities make the sum one; should finite numbers overflow it, the second look clears them
    total = torch.view_as_real(values).sum() if values.is_complex() else values.sum()
    if not torch.isfinite(total):
        bad = ~torch.isfinite(values.abs().flatten(1)).all(1)
        if bad.any():
            raise NonFiniteError(stage, drops[int(bad.nonzero()[0, 0])])
