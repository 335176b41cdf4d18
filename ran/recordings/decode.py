"""Slots of a recording through receivers and decoder, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.errors import InputError
from ran.link.parts import cut, receive_in_parts, takes_decoder
from ran.link.transmitter import pilot_layout
from ran.link.turbo import TurboDecoder
from ran.phy.codeword import Codeword
from ran.phy.harq import SoftBuffer
from ran.phy.numerology import symbol_times_s
from ran.phy.shared_grid import SharedGrid
from ran.phy.transport_block import TransportBlock
from ran.recordings.config import DecodeConfig, SlotOptions
from ran.recordings.grid_of_slot import grid_of
from ran.recordings.measurement import Measurement, aligned, at_equal_noise, first_path_s, measure
from ran.recordings.slot import RecordedSlot, Recording
from ran.recordings.slot_result import BlockResult, Decoded, KeptSlot, SlotResult, UciResult
from ran.recordings.symbols import interpolator, quality
from ran.recordings.uci import has_ulsch, uci_results
from ran.recordings.user_report import UserReport, user_reports
from receivers import Receiver, SlotObservation


@dataclass(frozen=True)
class _Group:
    """Users of a slot that are received together, by their numbers among all, and their grid."""

    slot: RecordedSlot
    grid: SharedGrid
    options: SlotOptions | None
    users: tuple[int, ...]

    @property
    def blocks(self) -> Sequence[int]:
        """Numbers of the transport blocks: those of the users, or of the codewords of one."""
        count = len(self.grid.block_sizes)
        return self.users if len(self.users) == count else range(count)


class Decoding:
    """Runs receivers over the slots of a recording.

    receivers: by the label that results call them.
    """

    def __init__(self, config: DecodeConfig, receivers: Mapping[str, Receiver], keeps_slots: bool = False) -> None:
        self.config, self.receivers = config, dict(receivers)
        self._keeps_slots = keeps_slots
        self._kept: list[KeptSlot] = []
        self._interpolate = interpolator()
        self._buffers: dict[tuple[str, int], SoftBuffer] = {}
        self._rates: dict[int, tuple[float, int]] = {}
        self._attempts: dict[int, list[SlotResult]] = {}
        self._transmissions = 0

    def run(self, recording: Recording) -> Decoded:
        """Decode every slot; one that does not fit becomes a line, and the others are decoded all the same."""
        results: list[SlotResult] = []
        problems: list[str] = []
        self._kept = []
        skipped = num_slots = 0
        for index, slot in enumerate(recording.slots):
            options = self._options(index, slot)
            if (options is None and self.config.only_listed_slots) or (options is not None and options.skip):
                skipped += 1
                continue
            try:
                groups = self._groups(slot, options)
            except (InputError, ValueError) as error:
                problems.append(_problem(slot, error))
                continue
            before = len(results)
            for group in groups:
                try:
                    with torch.inference_mode():
                        results.append(self._decode(group))
                except (InputError, ValueError) as error:
                    problems.append(_problem(group.slot, error))
            num_slots += len(results) > before
        return Decoded(results, problems, skipped, self._kept, num_slots)

    def _options(self, index: int, slot: RecordedSlot) -> SlotOptions | None:
        for options in self.config.slots:
            if options.index in (None, index) and options.slot_number in (None, slot.slot_number):
                return options
        return None

    def _groups(self, slot: RecordedSlot, options: SlotOptions | None) -> list[_Group]:
        """Users that share resource blocks with one another are received together, and others by themselves: each with
        its own timing, frequency offset and noise."""
        grid = grid_of(self.config, slot.slot_number, options, slot.channel, slot.carrier)
        groups = grid.groups
        if len(groups) == 1:
            return [_Group(slot, self._with_stated_size(grid, slot), options, groups[0][0])]
        found = []
        for users, own in groups:
            name = f"{slot.name} user{'s' if len(users) > 1 else ''} {', '.join(map(str, users))}"
            # what is stated of a slot is stated of its first user; several users have no HARQ process in common
            stated = options if 0 in users or options is None else options.model_copy(update={"payload": None})
            of_group = replace(slot, name=name, process=None)
            if 0 not in users:
                of_group = replace(of_group, tb_size=None, payload=None)
            found.append(_Group(of_group, own, stated, users))
        return found

    def _decode(self, group: _Group) -> SlotResult:
        slot, grid, options = group.slot, group.grid, group.options
        y = self._received(grid, slot)
        observation = self._observation(grid, y, 1.0)
        parts = [cut(observation, part) for part in grid.parts]
        parts = [part for part in parts if part.layout.symbols]
        if not parts:
            raise InputError("dmrs: got a slot without DM-RS; allowed: one with")
        found = measure(parts)
        if not len(found.live_antennas):
            raise InputError("grid: got nothing but zeros in the allocation; allowed: a received signal")
        delay_s, cfo_hz = self._offsets(parts, found)
        y = self._aligned(grid, y, delay_s, cfo_hz)
        observation, gains = at_equal_noise(self._observation(grid, y, 1.0), found, self.config.noise_var)
        users: tuple[UserReport, ...] = ()
        if found.has_signal:
            users = user_reports(grid, observation, gains, delay_s, cfo_hz, group.users)
        stated = self._stated_payload(grid, slot, options)
        blocks: list[BlockResult] = []
        uci: list[UciResult] = []
        sent: Tensor | None = None
        for label, receiver in self.receivers.items():
            llr = self._llr(label, receiver, grid, observation)
            of_receiver = uci_results(label, grid, llr, found.has_signal, group.users)
            uci += of_receiver
            found_blocks, coded = self._blocks(label, llr, group, found.has_signal, stated, of_receiver)
            blocks += found_blocks
            sent = coded if sent is None else sent
        symbols, evm, sinr = quality(grid, observation, sent, self._interpolate)
        channel = self._interpolate(cut(observation, grid.parts[0]))[0]
        row = parts[0].layout.symbols[0]
        power = (np.abs(slot.grid.astype(complex)) ** 2).mean(0)
        # twelve decades below the strongest is nothing at all
        power = 10 * np.log10(np.maximum(power, 1e-12 * power.max()))
        result = SlotResult(
            name=slot.name,
            slot_number=slot.slot_number,
            tb_sizes=grid.block_sizes,
            measurement=found,
            users=users,
            blocks=blocks,
            evm=evm,
            sinr_db=sinr,
            known=sent is not None,
            symbols=symbols,
            channel=channel[0, :, 0, row].numpy(),
            power_db=power.astype(np.float32),
            bits_per_symbol=grid.bits_per_symbol,
            modulation=", ".join(_modulation(bits) for bits in dict.fromkeys(grid.bits_per_layer)),
            measured=slot.measured,
            process=slot.process,
            uci=tuple(uci),
        )
        self._remember(result, slot)
        if self._keeps_slots:
            self._kept.append(KeptSlot(result, grid, replace(observation, decoder=None), sent))
        return result

    def _with_stated_size(self, grid: SharedGrid, slot: RecordedSlot) -> SharedGrid:
        """The grid with the size and the rate that the recording states for a block whose MCS index is reserved."""
        size = grid.block_sizes[0]
        rate, known = slot.target_rate, None
        if slot.process is not None and not slot.new_data:
            known = self._rates.get(slot.process)
        if slot.tb_size is None or slot.tb_size == size:
            if slot.process is not None and slot.new_data:
                self._rates[slot.process] = grid.codewords[0].target_rate, size
            return grid
        if known is not None and known[1] == slot.tb_size:
            rate = known[0]
        if rate is None or not 0 < rate < 1 or len(grid.codewords) > 1:
            raise InputError(
                f"transport block size: got {slot.tb_size} bits in the recording; allowed: {size}, as the configured "
                "allocation has"
            )
        codeword = grid.codewords[0]
        old = codeword.transport_block
        block = TransportBlock(
            slot.tb_size, old.num_coded_bits, rate, old.bits_per_symbol, old.num_layers, old.rv, old.tbs_lbrm
        )
        return replace(grid, codewords=(replace(codeword, transport_block=block, target_rate=rate),))  # type: ignore[type-var]

    def _received(self, grid: SharedGrid, slot: RecordedSlot) -> Tensor:
        """The allocation's part of a recorded grid, complex64 [1, num_rx_ant, num_symbols, num_subcarriers]."""
        carrier, recorded = grid.carrier, slot.grid
        wanted = (carrier.num_symbols, carrier.num_subcarriers)
        if recorded.shape[1:] != wanted:
            raise InputError(f"grid: got {list(recorded.shape[1:])}; allowed: {list(wanted)}, symbols and subcarriers")
        chosen = self.config.antennas
        if chosen is not None:
            if max(chosen) >= len(recorded):
                raise InputError(f"antennas: got {max(chosen)}; allowed: 0 to {len(recorded) - 1}")
            recorded = recorded[list(chosen)]
        elif self.config.num_rx_ant not in (None, len(recorded)):
            raise InputError(
                f"num_rx_ant: got {self.config.num_rx_ant}; allowed: {len(recorded)}, as the recording has"
            )
        if slot.missing is not None:
            missing = slot.missing if chosen is None else slot.missing[list(chosen)]
            self._check_missing(grid, torch.from_numpy(missing))
        y = torch.from_numpy(np.ascontiguousarray(recorded))
        if self.config.compensate_hz:
            from ran.phy.ofdm import Ofdm

            extended = carrier.cyclic_prefix == "extended"
            ofdm = Ofdm(carrier.numerology, slot.slot_number, wanted[1], 2048, extended, self.config.compensate_hz)
            y = y * ofdm.phases().conj()[:, None]
        return grid.placement.take(y)[None]

    @staticmethod
    def _check_missing(grid: SharedGrid, missing: Tensor) -> None:
        used = grid.data_mask | (grid.pilots != 0).any(0)
        of_grid = grid.placement.take(missing.to(torch.uint8)).bool() & used
        if of_grid.any():
            antennas = int(of_grid.flatten(1).any(1).sum())
            symbols = of_grid.any(0).any(1).nonzero().flatten().tolist()
            share = float(of_grid.sum()) / (int(used.sum()) * len(of_grid))
            raise InputError(
                f"grid: got a slot with {share:.1%} of the allocation missing, in {antennas} antennas and the symbols "
                f"{symbols}; allowed: all of the allocation"
            )

    def _observation(self, grid: SharedGrid, y: Tensor, noise_var: float) -> SlotObservation:
        extended = grid.carrier.cyclic_prefix == "extended"
        points = grid.constellation
        return SlotObservation(
            y=y,
            pilots=grid.pilots,
            layout=pilot_layout(grid.channel, grid.layer_ports),
            data_mask=grid.data_mask,
            noise_var=torch.full((1,), noise_var),
            bits_per_symbol=grid.bits_per_symbol,
            layer_amplitude=grid.layer_amplitude,
            layer_to_user=grid.layer_to_user,
            symbol_times_s=torch.from_numpy(
                symbol_times_s(grid.carrier.numerology, grid.carrier.slot_number, extended)
            ),
            subcarrier_spacing_hz=grid.carrier.subcarrier_spacing_hz,
            transform_precoding=grid.transform_precoding,
            decoder=TurboDecoder(
                grid.codewords, self.config.decoder.num_iterations, precision=self.config.decoder.precision
            ),
            bits_per_layer=grid.bits_per_layer if len(set(grid.bits_per_layer)) > 1 else (),
            constellation=None if points is None else torch.from_numpy(points),
        )

    def _offsets(self, parts: list[SlotObservation], found: Measurement) -> tuple[float, float]:
        """What is taken off before the receivers: the delay of the first path, which they expect at 0 or a little
        behind, and the mean CFO."""
        if not self.config.align or not found.has_signal:
            return 0.0, 0.0
        cfo = found.cfo_hz if math.isfinite(found.cfo_hz) else 0.0
        return first_path_s(parts, found.timing_s), cfo

    @staticmethod
    def _aligned(grid: SharedGrid, y: Tensor, delay_s: float, cfo_hz: float) -> Tensor:
        if delay_s == 0 and cfo_hz == 0:
            return y
        extended = grid.carrier.cyclic_prefix == "extended"
        times = symbol_times_s(grid.carrier.numerology, grid.carrier.slot_number, extended)
        return aligned(y, grid.placement.subcarriers, times, grid.carrier.subcarrier_spacing_hz, delay_s, cfo_hz)

    def _stated_payload(
        self, grid: SharedGrid, slot: RecordedSlot, options: SlotOptions | None
    ) -> NDArray[np.uint8] | None:
        stated = slot.payload
        if options is not None and options.payload is not None:
            try:
                stated = np.unpackbits(np.frombuffer(bytes.fromhex(options.payload), np.uint8))
            except ValueError:
                raise InputError("slots.payload: got no pairs of hexadecimal digits; allowed: hexadecimal") from None
        size = grid.block_sizes[0]
        return None if stated is None or len(stated) < size else stated[:size]

    def _llr(
        self, label: str, receiver: Receiver, grid: SharedGrid, observation: SlotObservation
    ) -> NDArray[np.float32]:
        """LLRs of a receiver; `InputError` where it cannot take the slot."""
        self._check(label, receiver, grid, observation)
        if grid.is_contiguous:
            llr = receiver(observation, None)
        else:
            llr = receive_in_parts(receiver, observation, None, grid)
        values = llr.numpy()
        if not np.isfinite(values).all():
            raise InputError(f"{label}: got LLRs that are not finite; allowed: finite ones")
        return values

    def _blocks(
        self,
        label: str,
        values: NDArray[np.float32],
        group: _Group,
        has_signal: bool,
        stated: NDArray[np.uint8] | None,
        uci: list[UciResult],
    ) -> tuple[list[BlockResult], Tensor | None]:
        """Results of a receiver, and the coded bits of all blocks and UCI where it decoded all of them."""
        grid, blocks = group.grid, group.blocks
        if not has_ulsch(grid):
            return [], None
        buffers, combined = self._soft_buffers(label, grid, group.slot)
        how = self.config.decoder
        decisions = grid.decode_blocks(values, how.num_iterations, how.precision, buffers)
        found: list[BlockResult] = []
        payloads = np.zeros((1, len(grid.block_sizes), max(grid.block_sizes)), np.uint8)
        number = 0
        for decision in decisions:
            for bits, ok, iterations in zip(decision.bits, decision.crc_ok, decision.iterations, strict=True):
                payloads[0, number, : len(bits)] = bits
                matches = None if stated is None or number else bool(np.array_equal(bits, stated))
                received = bool(ok) and has_signal and bool(bits.any())
                found.append(
                    BlockResult(
                        label,
                        blocks[number],
                        received,
                        bool(ok),
                        float(iterations.mean()),
                        bits.copy(),
                        matches,
                        combined,
                    )
                )
                number += 1
        if not all(block.received for block in found) or not all(part.ok for part in uci):
            return found, None
        kinds = dict.fromkeys(part.kind for part in uci)
        bits = {kind: np.stack([part.bits for part in uci if part.kind == kind])[None] for kind in kinds}
        return found, torch.from_numpy(grid.code(payloads, bits))

    def _soft_buffers(self, label: str, grid: SharedGrid, slot: RecordedSlot) -> tuple[list[SoftBuffer] | None, int]:
        """Soft buffer of the slot's HARQ process, a new one for a new block; and the transmissions in it with this."""
        if not self.config.harq or slot.process is None or len(grid.block_sizes) != 1:
            return None, 1
        key = label, slot.process
        codeword: Codeword = grid.codewords[0]
        buffer = self._buffers.get(key)
        fits = buffer is not None and buffer.tb_size == codeword.transport_block.tb_size
        if slot.new_data or buffer is None or not fits or buffer.code.base_graph != codeword.transport_block.base_graph:
            buffer = codeword.transport_block.new_soft_buffer(1)
            self._buffers[key] = buffer
        return [buffer], buffer.num_transmissions + 1

    def _check(self, label: str, receiver: Receiver, grid: SharedGrid, observation: SlotObservation) -> None:
        if receiver.needs_truth:
            raise InputError(f"{label}: got a genie, which needs the channel; allowed: receivers without the truth")
        if receiver.uses_decoder and not takes_decoder(grid):
            raise InputError(
                f"{label}: got an allocation with gaps or hops, or users that overlap in part; allowed: contiguous ones"
            )
        if receiver.uses_decoder and grid.codewords[0].uci is not None:
            raise InputError(f"{label}: got UCI, which its decoder does not know; allowed: another receiver")
        for own in [observation] if grid.is_contiguous else [cut(observation, part) for part in grid.parts]:
            receiver.check_on(own)

    def _remember(self, result: SlotResult, slot: RecordedSlot) -> None:
        """A block that arrives labels the earlier attempts of its process."""
        first = result.blocks[0].block if result.blocks else 0
        received = next((block.payload for block in result.blocks if block.received and block.block == first), None)
        result.label = received
        self._transmissions += 1
        result.transmission = self._transmissions
        if slot.process is None:
            return
        if slot.new_data:
            self._attempts[slot.process] = []
        attempts = self._attempts.setdefault(slot.process, [])
        if attempts:
            result.transmission = attempts[0].transmission
        attempts.append(result)
        if received is not None:
            for attempt in attempts:
                if attempt.tb_sizes == result.tb_sizes and attempt.label is None:
                    attempt.label = received


def _problem(slot: RecordedSlot, error: Exception) -> str:
    return f"{slot.name}: {' '.join(str(error).split())}"


def _modulation(bits_per_symbol: int) -> str:
    return {1: "π/2-BPSK", 2: "QPSK"}.get(bits_per_symbol, f"{2**bits_per_symbol}QAM")
