"""A PUCCH received: from a resource grid to UCI, or to nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.config import Carrier, Pucch
from ran.phy.ofdm import Ofdm
from ran.phy.pucch import (
    data_mask,
    despread,
    dmrs_grid,
    dmrs_mask,
    hops,
    num_coded_bits,
    pucch_grid,
    scrambling,
    spread,
    uci_code,
)
from receivers.control.channel_prior import ChannelPrior
from receivers.control.energy import energy, explained_energy, share_threshold, shares
from receivers.control.pilot_receiver import PilotReceiver, combine
from receivers.control.sequence_detector import HopPlaces, SequenceDetector

#: Payloads from this size on have a CRC, of 6 bits, and from the next on of 11.
_WITH_CRC, _WITH_LONG_CRC = 12, 20
#: A CRC of 6 bits passes one of eight candidates in noise with 12 %: then the DM-RS must also be more than noise would
#: be with this probability.
_PILOT_FALSE_ALARM = 0.1


@dataclass(frozen=True)
class PucchDecision:
    """bits uint8 [batch, num_bits]; present bool [batch]: whether a PUCCH was found, false for DTX.

    scheduling_request bool [batch]: in format 0 with `listen_for_sr` a positive one, else false.
    """

    bits: npt.NDArray[np.uint8]
    present: npt.NDArray[np.bool_]
    scheduling_request: npt.NDArray[np.bool_]


class PucchReceiver:
    """Receives one user's PUCCH of any format on any number of antennas.

    Formats 0 and 1 are detected without a channel estimate, DM-RS and data together. In formats 2 to 4 the channel is
    estimated by LMMSE from the DM-RS, UCI is decoded, and a payload without CRC counts only if the whole signal that it
    would have been explains more of the received energy than noise does.

    false_ack: probability that a bit is decided to be an ACK when nothing is sent; a bound for payloads up to 11 bits.
    From 12 bits on the CRC decides, up to 19 bits together with the DM-RS. prior: of the channel. listen_for_sr:
    format 0 may carry a positive scheduling request beside or instead of HARQ-ACK.
    """

    def __init__(
        self,
        carrier: Carrier,
        pucch: Pucch,
        false_ack: float = 0.005,
        prior: ChannelPrior | None = None,
        listen_for_sr: bool = False,
    ) -> None:
        if not 0 < false_ack < 1:
            raise bad_value("false_ack", false_ack, "between 0 and 1")
        if listen_for_sr and pucch.format != 0:
            raise bad_value("listen_for_sr", True, "format 0 (TS 38.213 §9.2.5.1)")
        self.carrier, self.pucch, self.prior = carrier, pucch, prior or ChannelPrior()
        ofdm = Ofdm.build(carrier)
        self._times_s = np.array(ofdm.starts, np.float64) / ofdm.sample_rate_hz
        self._masks = [self._of_hop(hop.index) for hop in hops(carrier, pucch)]
        words = 2**pucch.num_bits
        #: Of one candidate signal in noise; half of all have an ACK at a bit.
        self._false_alarm = false_ack / max(words // 2, 1) if pucch.num_bits < _WITH_CRC else _PILOT_FALSE_ALARM
        if pucch.format < 2:
            self._build_sequences(words, listen_for_sr)
        else:
            self._build_pilots()

    def __call__(self, y: npt.NDArray[np.complexfloating]) -> PucchDecision:
        """y: received grid, complex [batch, num_rx_ant, num_symbols, num_subcarriers], at any level."""
        expected = (self.carrier.num_symbols, self.carrier.num_subcarriers)
        if y.ndim != 4 or y.shape[2:] != expected:
            raise bad_value("shape of the received grid", y.shape, f"[batch, num_rx_ant, {expected[0]}, {expected[1]}]")
        y = np.asarray(y, np.complex64)
        if self.pucch.format < 2:
            found = self._detector([y[:, :, mask] for mask in self._masks])
            request = found.present & self._requests[found.word]
            return PucchDecision(self._words[found.word], found.present, request)
        return self._decode(y)

    def _of_hop(self, index: int) -> npt.NDArray[np.bool_]:
        hop = hops(self.carrier, self.pucch)[index]
        mask = np.zeros((self.carrier.num_symbols, self.carrier.num_subcarriers), bool)
        last = hop.first_subcarrier + self.pucch.num_subcarriers
        mask[list(hop.symbols), hop.first_subcarrier : last] = True
        return mask

    def _places(self, mask: npt.NDArray[np.bool_]) -> HopPlaces:
        symbols, subcarriers = np.nonzero(mask)
        frequencies_hz = subcarriers.astype(np.float64) * self.carrier.subcarrier_spacing_hz
        return HopPlaces(self._times_s[symbols], frequencies_hz)

    def _build_sequences(self, num_words: int, listen_for_sr: bool) -> None:
        count = self.pucch.num_bits
        payloads = ((np.arange(num_words)[:, None] >> np.arange(count - 1, -1, -1)) & 1).astype(np.uint8)
        grids = [pucch_grid(self.carrier, self.pucch, payloads)]
        if count == 0:
            grids = [pucch_grid(self.carrier, self.pucch, payloads, scheduling_request=True)]
        elif listen_for_sr:
            grids.append(pucch_grid(self.carrier, self.pucch, payloads, scheduling_request=True))
        self._requests = np.repeat(np.arange(len(grids)) == (0 if count == 0 else 1), num_words)
        self._words = np.tile(payloads, (len(grids), 1))
        signals = np.concatenate(grids)
        self._detector = SequenceDetector(
            [signals[:, mask] for mask in self._masks],
            [self._places(mask) for mask in self._masks],
            self._false_alarm / len(grids),
            self.prior,
        )

    def _build_pilots(self) -> None:
        carrier, pucch = self.carrier, self.pucch
        dmrs, pilots, data = dmrs_grid(carrier, pucch), dmrs_mask(carrier, pucch), data_mask(carrier, pucch)
        self._pilot_masks = [mask & pilots for mask in self._masks]
        self._data_masks = [mask & data for mask in self._masks]
        self._pilots = [dmrs[mask] for mask in self._pilot_masks]
        pilot_places = [self._places(mask) for mask in self._pilot_masks]
        data_places = [self._places(mask) for mask in self._data_masks]
        self._receiver = PilotReceiver(self._pilots, pilot_places, data_places, self.prior)
        self._code = uci_code(carrier, pucch)
        num_bits = num_coded_bits(carrier, pucch)
        self._signs = 1 - 2 * scrambling(carrier, pucch, num_bits).astype(np.float32)
        if pucch.num_bits < _WITH_CRC:
            self._bases = [self.prior.basis(at.times_s, at.frequencies_hz) for at in map(self._places, self._masks)]
        else:
            self._bases = [self.prior.basis(at.times_s, at.frequencies_hz) for at in pilot_places]
        # mean power of every data resource element: the cover of format 4 leaves some empty
        num_symbols = num_bits // pucch.bits_per_symbol
        one_each = spread(pucch, np.eye(num_symbols, dtype=np.complex64))
        self._powers = np.sum(np.abs(one_each) ** 2, axis=0)

    def _decode(self, y: npt.NDArray[np.complex64]) -> PucchDecision:
        estimate = self._receiver.estimate([y[:, :, mask] for mask in self._pilot_masks])
        values, gains, first = [], [], 0
        for mask, h, err_var in zip(self._data_masks, estimate.h, estimate.err_var, strict=True):
            powers = self._powers[first : first + int(mask.sum())]
            first += len(powers)
            noise_var = estimate.noise_var[:, None] + powers * err_var
            value, gain = combine(y[:, :, mask], h, noise_var, powers)
            values.append(value)
            gains.append(gain)
        llr = self._llr(np.concatenate(values, axis=1), np.concatenate(gains, axis=1))
        found = self._code.decode(np.ascontiguousarray(llr * self._signs))
        # a CRC of zeros is not a payload
        present = found.ok & (np.abs(llr).max(axis=1) > 0)
        if self.pucch.num_bits < _WITH_LONG_CRC:
            present = present & self._is_present(y, found.bits)
        return PucchDecision(found.bits, present, np.zeros(len(y), bool))

    def _llr(self, values: npt.NDArray[np.complex64], gains: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """LLRs as received, before descrambling, float32 [batch, E_tot]."""
        pucch = self.pucch
        symbols = despread(pucch, values)
        if pucch.format > 2:
            # transform precoding gives all symbols of an OFDM symbol the mean gain of its resource elements
            size = pucch.num_subcarriers
            weights = self._powers.reshape(-1, size)
            blocks = (gains.reshape(len(gains), -1, size) * weights).sum(-1) / weights.sum(-1)
            per_block = symbols.shape[1] // blocks.shape[1]
            gains = np.repeat(blocks, per_block, axis=1)
        # the error has gain (1 - gain) of the power; 4 Re{x} / error, per real dimension of unit-power symbols
        reliability = 4 / np.maximum(1 - gains, 1e-6)
        if pucch.bits_per_symbol == 1:
            turned = symbols * np.where(np.arange(symbols.shape[1]) % 2, -1j, 1) * np.exp(-0.25j * np.pi)
            return np.asarray(turned.real * reliability, np.float32)
        pairs = np.stack([symbols.real, symbols.imag], axis=-1) * (reliability / np.sqrt(2))[..., None]
        return np.asarray(pairs.reshape(len(pairs), -1), np.float32)

    def _is_present(self, y: npt.NDArray[np.complex64], bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Whether the decoded signal, or with a CRC its DM-RS, explains more than noise would."""
        if self.pucch.num_bits < _WITH_CRC:
            sent = pucch_grid(self.carrier, self.pucch, bits)
            masks, signals = self._masks, [sent[:, mask] for mask in self._masks]
        else:
            masks = self._pilot_masks
            signals = [np.broadcast_to(pilots, (len(y), len(pilots))) for pilots in self._pilots]
        top = np.abs(y).max(axis=(1, 2, 3), keepdims=True, initial=0)
        scaled = y / np.where(top > 0, top, 1)
        explained, whole = np.zeros(len(y)), np.zeros(len(y))
        num_explained = num_all = 0
        for mask, signal, basis in zip(masks, signals, self._bases, strict=True):
            received = scaled[:, :, mask]
            explained += explained_energy(received, signal, basis)
            whole += energy(received)
            num_explained += basis.shape[1] * y.shape[1]
            num_all += basis.shape[0] * y.shape[1]
        threshold = share_threshold(self._false_alarm, num_explained, num_all)
        return shares(explained, whole) > threshold
