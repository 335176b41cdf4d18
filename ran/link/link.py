"""`Link`: a batch of slots through transmitter, channel and noise, and what receivers make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from channels import Awgn, Channel
from ran.errors import InputError
from ran.link.catalogue import build_channel
from ran.link.config import LinkConfig
from ran.link.snr import noise_var
from ran.link.streams import stream
from ran.phy.config import Decoder
from ran.phy.dmrs import cdm_group, cover_code
from ran.phy.numerology import NUM_SYMBOLS_PER_SLOT, symbol_times_s
from ran.phy.pusch import PuschGrid
from receivers import PilotLayout, Receiver, SlotObservation, Truth

_BATCH_BYTES = 32 * 2**20


class NonFiniteError(Exception):
    """A NaN or an infinity appeared in a slot. `stage` says where, `drop_index` in which drop."""

    def __init__(self, stage: str, drop_index: int) -> None:
        super().__init__(f"non-finite numbers in {stage} of drop {drop_index}")
        self.stage = stage
        self.drop_index = drop_index


@dataclass(frozen=True)
class DropOutcomes:
    """Errors per drop, summed over its users: block_errors int32 [drops], bit_errors int64 [drops]."""

    block_errors: np.ndarray
    bit_errors: np.ndarray


@dataclass(frozen=True)
class SlotBatch:
    """A batch of received slots with everything that produced them.

    transport_blocks [batch, num_users, tb_size] uint8: what was sent.
    x [batch, num_layers, 14, num_subcarriers] complex64: the transmitted grid.
    """

    observation: SlotObservation
    truth: Truth
    transport_blocks: np.ndarray
    x: Tensor


class Link:
    """PUSCH over a channel, one slot per drop, one transport block per user and drop."""

    def __init__(self, config: LinkConfig, decoder: Decoder | None = None, device: str = "cpu") -> None:
        self.config = config
        self.decoder = decoder or Decoder()
        self.device = torch.device(device)
        self.grid = PuschGrid.build(config.carrier, config.pusch, config.users)
        self.channels = self._build_channels()
        self._times = symbol_times_s(config.carrier.numerology, config.carrier.slot_number)
        middle = (config.carrier.num_subcarriers - 1) / 2
        self._frequencies = (np.arange(config.carrier.num_subcarriers) - middle) * config.carrier.subcarrier_spacing_hz
        self._pilots = self.grid.pilots.to(self.device)
        self._data_mask = self.grid.data_mask.to(self.device)
        flat_ports = [port for user in self.grid.ports for port in user]
        self._layout = PilotLayout(
            symbols=self.grid.dmrs_symbols,
            first_subcarrier=tuple(cdm_group(port) for port in flat_ports),
            spacing=2,
            cover_code=tuple(cover_code(port) for port in flat_ports),
        )

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
        num_layers = self.grid.num_layers if len(channels) == 1 else self.config.pusch.num_layers
        for path, channel in zip(paths, channels, strict=True):
            try:
                channel.check(self.config.num_rx_ant, num_layers)
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
        """Drops simulated together: a power of two up to 64 that keeps a batch's channel near 32 MiB.

        It depends on the configuration alone, so the arithmetic of a drop does not depend on how a run is cut up.
        """
        per_drop = 8 * self.config.num_rx_ant * self.grid.num_layers * NUM_SYMBOLS_PER_SLOT
        per_drop *= self.config.carrier.num_subcarriers
        return int(2 ** np.clip(np.floor(np.log2(_BATCH_BYTES / per_drop)), 0, 6))

    def check_receiver(self, label: str, receiver: Receiver) -> None:
        """Refuse a receiver that cannot work on this link's slots."""
        try:
            receiver.check(self.grid.bits_per_symbol, self.grid.num_layers, self.config.num_rx_ant)
        except ValueError as error:
            raise InputError(f"receivers.{label}: {error}") from None

    def batch(self, drops: Sequence[int], esn0_db: float, seed: int, scenario_id: str) -> SlotBatch:
        """Transmit one slot per drop and receive it; nothing depends on the other drops of the batch."""

        def streams(purpose: str) -> list[np.random.Generator]:
            return [stream(seed, scenario_id, drop, purpose) for drop in drops]

        grid = self.grid
        shape = (grid.num_users, self.bits_per_block)
        transport_blocks = np.stack([g.integers(0, 2, shape, dtype=np.uint8) for g in streams("bits")])
        coded_bits = torch.from_numpy(grid.encode(transport_blocks)).to(self.device)
        x = grid.map_to_grid(coded_bits)
        h = self._channel_response(streams("channel"))
        clean = (h * x[:, None]).sum(2)
        noise_shape = (*clean.shape[1:], 2)
        noise = np.stack([g.standard_normal(noise_shape, dtype=np.float32) for g in streams("noise")])
        variance = noise_var(esn0_db)
        y = clean + (variance / 2) ** 0.5 * torch.view_as_complex(torch.from_numpy(noise)).to(self.device)
        observation = SlotObservation(
            y=y,
            pilots=self._pilots,
            layout=self._layout,
            data_mask=self._data_mask,
            noise_var=torch.full((len(drops),), variance, device=self.device),
            bits_per_symbol=grid.bits_per_symbol,
            layer_amplitude=grid.layer_amplitude,
            layer_to_user=tuple(u for u, ports in enumerate(grid.ports) for _ in ports),
            symbol_times_s=torch.from_numpy(self._times),
            subcarrier_spacing_hz=self.config.carrier.subcarrier_spacing_hz,
        )
        return SlotBatch(observation, Truth(h, coded_bits), transport_blocks, x)

    def _channel_response(self, generators: list[np.random.Generator]) -> Tensor:
        """Response of all layers, complex64 [batch, num_rx_ant, num_layers, 14, num_subcarriers]."""
        num_rx_ant, per_user = self.config.num_rx_ant, self.config.pusch.num_layers
        if len(self.channels) == 1:
            counts = [self.grid.num_layers]
        else:
            counts = [per_user] * self.grid.num_users
        parts = [
            channel.response(generators, num_rx_ant, n, self._times, self._frequencies, self.device)
            for channel, n in zip(self.channels, counts, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def receive(self, receiver: Receiver, batch: SlotBatch) -> Tensor:
        """LLRs of a receiver; only a genie is handed the truth."""
        return receiver(batch.observation, batch.truth if receiver.needs_truth else None)

    def count_errors(self, llr: Tensor, batch: SlotBatch) -> DropOutcomes:
        """Decode the LLRs and count block errors (CRC or bits wrong) and bit errors per drop."""
        sent = batch.transport_blocks
        decision = self.grid.decode(llr.cpu().numpy(), self.decoder.num_iterations, self.decoder.precision)
        wrong = (decision.bits.reshape(sent.shape) != sent).sum(-1, dtype=np.int64)
        failed = (wrong > 0) | ~decision.crc_ok.reshape(wrong.shape)
        return DropOutcomes(failed.sum(-1, dtype=np.int32), wrong.sum(-1))

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
        with torch.inference_mode():
            for start in range(drops.start, drops.stop, size):
                # the last batch is completed and cut, so that a drop meets the same batch whatever is asked for
                indices = range(start, start + size)
                batch = self.batch(indices, esn0_db, seed, scenario_id)
                _check_finite(batch.observation.y, "the received grid", indices)
                keep = min(size, drops.stop - start)
                for label, receiver in receivers.items():
                    llr = self.receive(receiver, batch)
                    _check_finite(llr, f"the LLRs of {label}", indices)
                    outcome = self.count_errors(llr, batch)
                    parts[label].append(DropOutcomes(outcome.block_errors[:keep], outcome.bit_errors[:keep]))
        return {
            label: DropOutcomes(
                np.concatenate([p.block_errors for p in part]), np.concatenate([p.bit_errors for p in part])
            )
            for label, part in parts.items()
        }


def _check_finite(values: Tensor, stage: str, drops: Sequence[int]) -> None:
    if not torch.isfinite(values.abs().sum()):
        bad = ~torch.isfinite(values.abs().flatten(1)).all(1)
        if bad.any():
            raise NonFiniteError(stage, drops[int(bad.nonzero()[0, 0])])
