"""The link in the time domain: waveforms through time-varying channels, with timing and frequency offsets.

What the frequency-domain path leaves out appears by itself: intercarrier interference, intersymbol interference beyond
the cyclic prefix, and what impairments do to samples. Its approximations, with their errors:

- Delays are fractions of a sample: a Kaiser-windowed sinc interpolates, amplitude error below 1e-5 over the used band
  (`ran.phy.ofdm.interpolation_reach`).
- Gains are taken four times per useful symbol and interpolated by cubics: a path of Doppler shift f has the amplitude
  error 9/384 (2 pi f / (4 subcarrier spacings))^4, 1.5e-5 at a tenth of the subcarrier spacing.
- Before the slot's first symbol comes its last once more, and after its last its first, as if the slot were sent again
  and again: so tails meet symbols of the same power and allocation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from channels.paths import Paths
from ran.errors import InputError, bad_value
from ran.link.memory import BUDGET_BYTES
from ran.link.noise import complex_normals
from ran.phy.allocation import Placement
from ran.phy.config import Carrier
from ran.phy.ofdm import INTERPOLATION_DB, Ofdm, interpolation_reach
from ran.phy.waveform import Waveform

#: What a radio does to samples: waveform complex64 [batch, num_antennas, num_samples], sample rate in Hz, one generator
#: per drop; returns the same shape.
Impairment = Callable[[Tensor, float, Sequence[np.random.Generator]], Tensor]
#: Generators of a purpose for some of the drops.
Streams = Callable[[str, slice], Sequence[np.random.Generator]]
#: Paths of some of the drops at the times given: one for the antennas of all users, or one per user.
PathsOfDrops = Callable[[slice, NDArray[np.float64]], list[Paths]]

#: Samples between two nodes at which gains are taken, as a part of the useful symbol, and nodes of an interpolation.
_NODES_PER_SYMBOL, _SUPPORT = 4, 4
#: Waveforms of drops that are worked on together, and windows of a waveform that are multiplied together.
_STEP_BYTES = 16 * 2**20
_WINDOW_BYTES = 4 * 2**20


@dataclass(frozen=True)
class _Slot:
    """One of the slots of a drop: its symbols, its start in the drop, and the times of all slots' gains it looks at."""

    ofdm: Ofdm
    start_s: float
    nodes: slice
    middles: slice


class TimeDomain:
    """The way of the users' grids through the time domain to the received grid.

    slots: number and start in the drop, in seconds, of the slots of a drop. placements: where the grids of these lie on
    the carrier; by default they are the carrier's.
    transmit, receive: impairments in order; those of transmission meet the antennas of one user at a time, each user
    with generators of its own, before the carrier frequency offset, those of reception the noisy sum.
    """

    def __init__(
        self,
        config: Waveform,
        carrier: Carrier,
        slots: Sequence[tuple[int, float]],
        num_users: int,
        num_antennas_per_user: int,
        num_rx_ant: int,
        placements: Sequence[Placement] | None = None,
        transmit: Sequence[Impairment] = (),
        receive: Sequence[Impairment] = (),
    ) -> None:
        self.config = config
        self.num_users, self.num_antennas_per_user, self.num_rx_ant = num_users, num_antennas_per_user, num_rx_ant
        self.transmit, self.receive = tuple(transmit), tuple(receive)
        self._placements = tuple(placements or ())
        self._spacing_hz = carrier.subcarrier_spacing_hz
        in_frame = 10 * 2**carrier.numerology
        symbols = [
            Ofdm.build(carrier, config.fft_size, number % in_frame, config.carrier_frequency_hz) for number, _ in slots
        ]
        self.sample_rate_hz = symbols[0].sample_rate_hz
        self._reach = interpolation_reach(symbols[0].num_subcarriers, symbols[0].fft_size)
        self._block = symbols[0].fft_size // _NODES_PER_SYMBOL
        self._check_offsets()
        shortest = min(min(ofdm.prefixes) for ofdm in symbols)
        default = min(self._reach, shortest // 2)
        self.window_offset = default if config.window_offset_samples is None else config.window_offset_samples
        if self.window_offset > shortest:
            raise bad_value(
                "waveform.window_offset_samples",
                self.window_offset,
                f"0 to {shortest}, the shortest cyclic prefix (TS 38.211 §5.3.1)",
            )
        times: list[NDArray[np.float64]] = []
        self._slots: list[_Slot] = []
        for (_, start_s), ofdm in zip(slots, symbols, strict=True):
            first = sum(map(len, times))
            nodes = (np.arange(self._num_blocks(ofdm) + _SUPPORT - 1) - 1) * self._block
            middles = np.array(ofdm.starts) - self.window_offset + (ofdm.fft_size - 1) / 2
            times += [start_s + nodes / self.sample_rate_hz, start_s + middles / self.sample_rate_hz]
            ends = first + len(nodes), first + len(nodes) + len(middles)
            self._slots.append(_Slot(ofdm, start_s, slice(first, ends[0]), slice(*ends)))
        self._times = np.concatenate(times)
        self._check_memory()

    def _check_offsets(self) -> None:
        useful_s = 1 / self._spacing_hz
        for key, values, largest, unit in (
            ("timing_offset_s", self.config.timing_offset_s, useful_s / 2, "s, half a useful symbol"),
            ("cfo_hz", self.config.cfo_hz, self._spacing_hz / 2, "Hz, half the subcarrier spacing"),
        ):
            if len(values) not in (1, self.num_users):
                allowed = f"one number, or one for each of {self.num_users} users"
                raise InputError(f"waveform.{key}: got a list of {len(values)}; allowed: {allowed}")
            random = getattr(self.config, key.replace("_s", "_max_s").replace("_hz", "_max_hz"))
            worst = max(values, key=abs)
            if abs(worst) + random > largest:
                raise InputError(
                    f"waveform.{key}: got {worst:g} and a random part of {random:g}; "
                    f"allowed: together at most {largest:g} {unit}"
                )

    def _check_memory(self) -> None:
        needed = self._drop_bytes + _WINDOW_BYTES
        if needed > BUDGET_BYTES:
            raise InputError(
                f"memory: got {self.num_rx_ant} antennas in the time domain, whose samples need {needed / 2**30:.1f} "
                f"GiB; allowed: {BUDGET_BYTES / 2**30:.1f} GiB; reduce num_rx_ant, carrier.num_prb or "
                f"waveform.fft_size {needed / BUDGET_BYTES:.1f} times"
            )

    @property
    def _drop_bytes(self) -> int:
        """Samples of a drop: sent with copies, received from every node, received, noise, windows and spectra."""
        sent = 3 * self.num_users * self.num_antennas_per_user
        return 8 * self._slots[0].ofdm.num_samples * (sent + (_SUPPORT + 4) * self.num_rx_ant)

    def _num_blocks(self, ofdm: Ofdm) -> int:
        return -(-ofdm.num_samples // self._block)

    def received_grid(
        self,
        x: Tensor,
        attempt: int,
        paths: PathsOfDrops,
        streams: Streams,
        noise_keys: NDArray[np.uint32],
        noise_var: float,
        with_channel: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Grids of the transmit antennas through the air, plus noise.

        x [batch, num_users * num_antennas_per_user, 14, num_subcarriers] complex64, antennas of a user together;
        attempt: number of the slot in the drop; noise_keys uint32 [batch, 4]; noise_var per RE, linear.
        Returns y [batch, num_rx_ant, 14, num_subcarriers] complex64 and, where asked for, the response h [batch,
        num_rx_ant, antennas, 14, num_subcarriers]: in the middle of each FFT window, with the ramp of the timing offset
        and the rotation of the frequency offset, without impairments and intercarrier interference.
        """
        slot = self._slots[attempt]
        placement = self._placements[attempt] if self._placements else None
        if placement is not None:
            x = placement.put(x)
        step = max(1, _STEP_BYTES // self._drop_bytes)
        received, responses = [], []
        for first in range(0, len(x), step):
            drops = slice(first, min(first + step, len(x)))
            timing_s, cfo_hz = self._offsets(streams("clocks", drops))
            users = self._of_users(paths(drops, self._times), timing_s)
            sent = self._sent(x[drops], attempt, cfo_hz, drops, streams)
            samples = self._through_air(sent, users, slot)
            samples = samples + self._noise(noise_keys[drops], noise_var, samples)
            for number, impairment in enumerate(self.receive):
                samples = impairment(samples, self.sample_rate_hz, streams(f"receive {number} {attempt}", drops))
            received.append(slot.ofdm.demodulate(samples, self.window_offset))
            if with_channel:
                responses.append(self._response(users, cfo_hz, slot))
        y, h = torch.cat(received), torch.cat(responses) if with_channel else None
        if placement is None:
            return y, h
        return placement.take(y), None if h is None else placement.take(h)

    def _offsets(self, generators: Sequence[np.random.Generator]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Timing and frequency offsets, float64 [batch, num_users]; a drop's numbers are those of timing, then CFO."""
        numbers = np.stack([g.uniform(-1, 1, (2, self.num_users)) for g in generators])
        return (
            np.array(self.config.timing_offset_s) + self.config.timing_offset_max_s * numbers[:, 0],
            np.array(self.config.cfo_hz) + self.config.cfo_max_hz * numbers[:, 1],
        )

    def _of_users(self, paths: list[Paths], timing_s: NDArray[np.float64]) -> list[Paths]:
        """Paths of each user, its timing offset included, and the carrier moved to where the waveform has it."""
        users = []
        for user in range(self.num_users):
            of_user = paths[user if len(paths) > 1 else 0]
            gains = of_user.gains
            if len(paths) == 1:
                first = user * self.num_antennas_per_user
                gains = gains[:, :, first : first + self.num_antennas_per_user]
            delays = of_user.delays_s + torch.from_numpy(timing_s[:, user, None]).to(of_user.delays_s.device)
            # gains refer to the middle of the band, half a subcarrier below subcarrier K/2, the waveform's carrier
            cycles = delays * (self._spacing_hz / 2)
            users.append(Paths(gains * _phasor(-cycles)[:, None, None, :, None], delays))
        return users

    def _sent(
        self, x: Tensor, attempt: int, cfo_hz: NDArray[np.float64], drops: slice, streams: Streams
    ) -> list[Tensor]:
        """Waveform of each user, [batch, antennas, samples]: the slot between its last and its first symbol."""
        slot = self._slots[attempt]
        ofdm = slot.ofdm
        before, after = ofdm.prefixes[-1] + ofdm.fft_size, ofdm.prefixes[0] + ofdm.fft_size
        num_samples = before + ofdm.num_samples + after
        times = slot.start_s + (torch.arange(num_samples, dtype=torch.float64) - before) / self.sample_rate_hz
        sent = []
        for user in range(self.num_users):
            first = user * self.num_antennas_per_user
            samples = ofdm.modulate(x[:, first : first + self.num_antennas_per_user])
            samples = torch.cat([samples[..., -before:], samples, samples[..., :after]], dim=-1)
            for number, impairment in enumerate(self.transmit):
                generators = streams(f"transmit {number} user {user} {attempt}", drops)
                samples = impairment(samples, self.sample_rate_hz, generators)
            if np.any(cfo_hz[:, user]):
                cycles = torch.from_numpy(cfo_hz[:, user, None]) * times
                samples = samples * _phasor(cycles)[:, None].to(x.device)
            sent.append(samples)
        return sent

    def _through_air(self, sent: list[Tensor], users: list[Paths], slot: _Slot) -> Tensor:
        """Sum of the users' waveforms after their channels, complex64 [batch, num_rx_ant, num_samples].

        Drop by drop: each has its own delays, and then its numbers depend on no other drop.
        """
        drops = []
        for drop in range(len(sent[0])):
            parts = []
            for samples, paths in zip(sent, users, strict=True):
                delays = paths.delays_s[drop] * self.sample_rate_hz
                parts.append(self._convolve(samples[drop], paths.gains[drop][..., slot.nodes], delays, slot.ofdm))
            drops.append(torch.stack(parts).sum(0) if len(parts) > 1 else parts[0])
        return torch.stack(drops)

    def _convolve(self, samples: Tensor, gains: Tensor, delays: Tensor, ofdm: Ofdm) -> Tensor:
        """One drop and user: [num_rx_ant, num_samples] from samples [antennas, one symbol + slot + one symbol].

        gains [num_rx_ant, antennas, num_paths, num_nodes]; delays [num_paths] float64 in samples. Over a block between
        two nodes the output is the cubic interpolation of what the taps at four nodes give.
        """
        before = ofdm.prefixes[-1] + ofdm.fft_size
        low = math.floor(float(delays.min())) - self._reach + 1
        high = math.ceil(float(delays.max())) + self._reach - 1
        if high > before:
            raise InputError(
                f"channel: got a delay of {float(delays.max()) / self.sample_rate_hz:.3g} s; allowed with waveform: at "
                f"most {(before - self._reach) / self.sample_rate_hz:.3g} s, one symbol with its cyclic prefix"
            )
        num_taps, num_antennas = high - low + 1, len(samples)
        taps = torch.arange(high, low - 1, -1, device=delays.device)
        kernel = _kernel(taps - delays[:, None], self._reach).to(gains.dtype)
        # [num_nodes, num_rx_ant, antennas, num_taps]
        by_node = gains.permute(3, 0, 1, 2) @ kernel
        num_blocks = self._num_blocks(ofdm)
        weights = _cubic(self._block).to(samples.device)[:, None, :, None]
        samples = samples.contiguous()
        per_step = max(1, _WINDOW_BYTES // (8 * num_antennas * num_taps * self._block))
        out = []
        for first in range(0, num_blocks, per_step):
            count = min(per_step, num_blocks - first)
            # [count, num_rx_ant, antennas, num_taps, support] -> [count, support * num_rx_ant, antennas * num_taps]
            filters = by_node[first : first + count + _SUPPORT - 1].unfold(0, _SUPPORT, 1)
            filters = filters.permute(0, 4, 1, 2, 3).reshape(count, -1, num_antennas * num_taps)
            windows = samples.as_strided(
                (count, num_antennas, num_taps, self._block),
                (self._block, samples.stride(0), 1, 1),
                samples.storage_offset() + before - high + first * self._block,
            )
            at_nodes = torch.bmm(filters, windows.reshape(count, -1, self._block))
            # real and imaginary parts apart: the product of a complex and a real tensor would make this complex first
            blocks = (torch.view_as_real(at_nodes).view(count, _SUPPORT, -1, self._block, 2) * weights).sum(1)
            # [count, num_rx_ant, block] -> [num_rx_ant, count * block]
            out.append(torch.view_as_complex(blocks).transpose(0, 1).flatten(1))
        return torch.cat(out, dim=-1)[..., : ofdm.num_samples]

    def _noise(self, keys: NDArray[np.uint32], noise_var: float, like: Tensor) -> Tensor:
        """White noise of the variance per RE in every sample, in the shape of `like`."""
        amplitude = noise_var**0.5
        if like.device.type != "cpu":
            return amplitude * complex_normals(keys, like[0].numel(), like.device).view(like.shape)
        from ran.link.kernels import white_noise  # numba takes a while to import

        batch, num_rx_ant, num_samples = like.shape
        noise = np.empty((batch, num_rx_ant, 2 * num_samples), np.float32)
        white_noise(keys, np.float32(amplitude), noise)
        return torch.from_numpy(noise.view(np.complex64))

    def _response(self, users: list[Paths], cfo_hz: NDArray[np.float64], slot: _Slot) -> Tensor:
        """What a genie sees, complex64 [batch, num_rx_ant, antennas of all users, 14, num_subcarriers]."""
        ofdm = slot.ofdm
        frequencies = (torch.arange(ofdm.num_subcarriers) - ofdm.num_subcarriers // 2) * self._spacing_hz
        frequencies = frequencies.to(users[0].delays_s)
        times = torch.from_numpy(self._times[slot.middles])
        parts = []
        for user, paths in enumerate(users):
            cfo = torch.from_numpy(cfo_hz[:, user, None, None])
            # the transmitter's oscillator turns on while the path's delay passes: [batch, num_paths, 14]
            rotation = _phasor(cfo.to(frequencies) * (times.to(frequencies) - paths.delays_s[..., None]))
            gains = paths.gains[..., slot.middles] * rotation[:, None, None]
            parts.append(Paths(gains, paths.delays_s).to_grid(frequencies))
        return torch.cat(parts, dim=2)


def _phasor(cycles: Tensor) -> Tensor:
    """exp(2j pi cycles), complex64; whole cycles are taken off in double precision."""
    turn = 2 * torch.pi * (cycles % 1)
    return torch.polar(torch.ones_like(turn), turn).to(torch.complex64)


def _kernel(distance: Tensor, reach: int) -> Tensor:
    """Sinc at distances in samples, float64, in a Kaiser window of `INTERPOLATION_DB` over `reach` either side."""
    beta = 0.1102 * (INTERPOLATION_DB - 8.7)
    inside = (1 - (distance / reach) ** 2).clamp_min(0)
    window = torch.special.i0e(beta * inside.sqrt()) * torch.exp(beta * (inside.sqrt() - 1))
    return torch.sinc(distance) * window / torch.special.i0e(torch.tensor(beta).to(window)) * (distance.abs() < reach)


@lru_cache(maxsize=8)
def _cubic(block: int) -> Tensor:
    """Lagrange weights of nodes -1, 0, 1, 2 at places 0 to 1, float32 [4, block]."""
    place = np.arange(block) / block
    nodes = np.arange(_SUPPORT) - 1
    weights = [
        np.prod([(place - other) / (node - other) for other in nodes if other != node], axis=0) for node in nodes
    ]
    with torch.inference_mode(False):  # what is kept must also serve callers that train
        return torch.from_numpy(np.stack(weights).astype(np.float32))
