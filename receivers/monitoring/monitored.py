"""A receiver under observation: it works as before, and every slot leaves a few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from receivers.interface import PilotLayout, Receiver, SlotObservation, SoftDecoder, Supports, Truth
from receivers.monitoring.inputs import STATISTICS, configuration, input_statistics

_NOTHING = (math.nan,) * len(STATISTICS)


@dataclass(frozen=True)
class SlotRecord:
    """What a slot left.

    statistics: those of `receivers.monitoring.inputs`, NaN in slots that were not sampled. configuration: as there.
    arrived: whether all its blocks did.
    excess: by how many bits per coded bit the LLRs claim more than they hold; in slots that arrived against the bits
        that were decoded, in others what they claim beyond the code rate, at which they would have been decoded; NaN in
        slots that arrived and were not sampled.
    compared: whether the reference receiver saw the slot too; reference_arrived: then, whether it received all blocks.
    fell_back: share of layers that an `arbitrated` receiver took from its last member alone though others ran too; 0 of
        other receivers.
    """

    statistics: tuple[float, ...]
    configuration: dict[str, int]
    arrived: bool
    excess: float
    compared: bool
    reference_arrived: bool = False
    fell_back: float = 0.0


@dataclass
class _Shadow:
    """Which slots the reference sees: every so many, and slots that did not arrive as far as a share allows."""

    every: int
    share: float
    seen: int = 0
    failed: int = 0

    def wants(self, arrived: bool) -> bool:
        number, self.seen = self.seen, self.seen + 1
        if number % self.every == 0:
            return True
        if not arrived and self.failed < self.share * self.seen:
            self.failed += 1
            return True
        return False


@dataclass
class Monitored(Receiver):
    """A receiver whose slots are recorded; its LLRs are untouched.

    reference: a cheap receiver that some slots are compared with: every `every`-th, and of those that did not arrive as
        many as make up to `share` of all slots. stride: every so many slots are sampled for their statistics.
    records: of all slots so far, in the order in which they came.
    """

    receiver: Receiver
    reference: Receiver
    every: int = 20
    share: float = 0.4
    stride: int = 4
    records: list[SlotRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._shadow = _Shadow(self.every, self.share)

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.receiver.name

    @property
    def supports(self) -> Supports:
        # what LLRs claim is counted over the bits of one modulation
        return replace(self.receiver.supports & self.reference.supports, mixed_modulations=False)

    @property
    def uses_decoder(self) -> bool:
        return True

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        for receiver in (self.receiver, self.reference):
            receiver.check(bits_per_symbol, num_layers, num_rx_ant)

    def check_modulations(self, bits_per_layer: tuple[int, ...]) -> None:
        for receiver in (self.receiver, self.reference):
            receiver.check_modulations(bits_per_layer)

    def check_signal(self, observation: SlotObservation) -> None:
        for receiver in (self.receiver, self.reference):
            receiver.check_signal(observation)

    def check_pilots(self, layout: PilotLayout) -> None:
        for receiver in (self.receiver, self.reference):
            receiver.check_pilots(layout)

    def check_slot(self, observation: SlotObservation) -> None:
        for receiver in (self.receiver, self.reference):
            receiver.check_slot(observation)

    def to(self, device: torch.device | str) -> Receiver:
        self.receiver.to(device)
        self.reference.to(device)
        return self

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        decoder = observation.decoder
        if decoder is None:
            raise ValueError("decoder: got None; allowed: observations with a decoder, to monitor a receiver")
        llr, fell_back = self._received(observation)
        bits, arrived = self._decoded(decoder, llr)
        self.record(observation, llr, bits, arrived, fell_back)
        return llr

    def _decoded(self, decoder: SoftDecoder, llr: Tensor) -> tuple[Tensor, Tensor]:
        """As `SoftDecoder.reencoded`, with bits where they are looked at: of sampled slots, and where some layers of a
        slot arrived and others did not. Elsewhere they are 0."""
        sampled = self._sampled(len(llr))
        if len(sampled) == len(llr):
            return decoder.reencoded(llr)
        if not sampled:
            arrived = decoder.arrived_layers(llr)
            if not bool((arrived.any(1) & ~arrived.all(1)).any()):
                return torch.zeros((), dtype=torch.uint8, device=llr.device).expand(llr.shape), arrived
            return decoder.reencoded(llr)
        others = torch.tensor([i for i in range(len(llr)) if i not in set(sampled)], device=llr.device)
        bits = torch.zeros(llr.shape, dtype=torch.uint8, device=llr.device)
        arrived = torch.zeros(llr.shape[:2], dtype=torch.bool, device=llr.device)
        chosen = torch.tensor(sampled, device=llr.device)
        bits[chosen], arrived[chosen] = decoder.reencoded(llr[chosen])
        arrived[others] = decoder.arrived_layers(llr[others])
        parted = others[arrived[others].any(1) & ~arrived[others].all(1)]
        if len(parted):
            bits[parted] = decoder.reencoded(llr[parted])[0]
        return bits, arrived

    def _sampled(self, num_slots: int) -> list[int]:
        """Which of the next slots are sampled for their statistics."""
        return [i for i in range(num_slots) if (len(self.records) + i) % self.stride == 0]

    def _received(self, observation: SlotObservation) -> tuple[Tensor, Tensor]:
        """LLRs, and the share of layers of each slot that fell back."""
        arbitrate: Any = getattr(self.receiver, "arbitrate", None)
        if arbitrate is None:
            return self.receiver(observation), torch.zeros(len(observation.y))
        found = arbitrate(observation)
        if not bool(found.ran[:-1].any()):
            return found.llr, torch.zeros(len(observation.y))
        last = len(found.ran) - 1
        # with all members at hand, the last one alone
        fell_back = ((found.chosen == last) & found.ran[:-1].any(0)[:, None]).float().mean(1)
        return found.llr, fell_back

    def record(
        self, observation: SlotObservation, llr: Tensor, bits: Tensor, arrived: Tensor, fell_back: Tensor
    ) -> None:
        """What monitoring adds to receiving and decoding; bits, arrived: as `SoftDecoder.reencoded` has them."""
        decoder = observation.decoder
        if decoder is None:
            raise ValueError("decoder: got None; allowed: observations with a decoder, to monitor a receiver")
        all_arrived = arrived.all(1).tolist()
        sampled = self._sampled(len(llr))
        statistics = dict(zip(sampled, _of(sampled, observation), strict=True))
        looked_at = sorted({*sampled, *(i for i, ok in enumerate(all_arrived) if not ok)})
        excess = dict(zip(looked_at, _excess(looked_at, llr, bits, arrived, decoder.code_rate), strict=True))
        compared = [i for i, ok in enumerate(all_arrived) if self._shadow.wants(ok)]
        others = self._compared(observation, compared)
        known = configuration(observation)
        for i, ok in enumerate(all_arrived):
            self.records.append(
                SlotRecord(
                    statistics.get(i, _NOTHING),
                    known,
                    ok,
                    excess.get(i, math.nan),
                    i in others,
                    others.get(i, False),
                    float(fell_back[i]),
                )
            )

    def _compared(self, observation: SlotObservation, places: list[int]) -> dict[int, bool]:
        """Of the slots that the reference sees, whether it received them."""
        if not places or observation.decoder is None:
            return {}
        slots = observation.select(torch.tensor(places, device=observation.y.device))
        arrived = observation.decoder.arrived_layers(self.reference(slots)).all(1)
        return dict(zip(places, arrived.tolist(), strict=True))


def _of(places: list[int], observation: SlotObservation) -> list[tuple[float, ...]]:
    """Input statistics of the slots at these places."""
    if not places:
        return []
    chosen = observation.select(torch.tensor(places, device=observation.y.device))
    return [tuple(row) for row in input_statistics(chosen).tolist()]


def _excess(places: list[int], llr: Tensor, bits: Tensor, arrived: Tensor, code_rate: float) -> list[float]:
    """`claimed_excess` of the slots at these places."""
    if not places:
        return []
    chosen = torch.tensor(places, device=llr.device)
    found: list[float] = claimed_excess(llr[chosen], bits[chosen], arrived[chosen], code_rate).tolist()
    return found


def claimed_excess(llr: Tensor, bits: Tensor, arrived: Tensor, code_rate: float) -> Tensor:
    """Bits per coded bit that LLRs claim and do not hold, float32 [batch], the mean of the layers.

    llr, bits [batch, num_layers, num_data_re, bits_per_symbol]; arrived bool [batch, num_layers]. Of layers that
    arrived the cross-entropy of their bits less the entropy that the LLRs state: 0 on average where they are
    calibrated. Of others what they claim to hold above the code rate, with which they would have been decoded; never
    below 0.
    """
    size = llr.abs()
    # a decision is wrong with p = exp(-size) / (1 + exp(-size)); the entropy is log(1 + exp(-size)) + size * p, and the
    # cost of a bit the same with 1 or 0, whether it is wrong, in place of p
    weight = torch.exp(-size)
    wrong = ((llr < 0) != (bits != 0)).to(llr.dtype)
    expected = size * (weight / (1 + weight))
    excess = (size * wrong - expected).mean((2, 3)) / math.log(2)
    stated = (torch.log1p(weight) + expected).mean((2, 3)) / math.log(2)
    above = (1 - stated - code_rate).clamp_min(0)
    return torch.where(arrived, excess, above).mean(1)
