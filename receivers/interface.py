"""What a receiver gets and what it returns. Everything a receiver needs to know is in this file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class PilotLayout:
    """Where the pilots of a slot are and how layers share them; the same for every slot of a batch.

    Pilots come in pairs of subcarriers, and with double-symbol DM-RS in pairs of symbols too.

    symbols: OFDM symbols that carry pilots, ascending, relative to the slot.
    first_subcarrier [num_layers]: subcarrier of a layer's first pilot (0 or 1 for DM-RS type 1; 0, 2 or 4 for type 2).
    spacing: distance of the two pilots of a pair in subcarriers (2 for DM-RS type 1, 1 for type 2).
    cover_code [num_layers, 2]: factor on the even and the odd pilots of a layer (the frequency-domain orthogonal
        cover code w_f of TS 38.211 table 6.4.1.1.3-1). Layers with the same `first_subcarrier` share their REs
        and are told apart by it and by `time_cover_code` alone.
    pair_spacing: distance from one pair to the next (4 for DM-RS type 1, 6 for type 2; a multiple where not all pairs
        are sent); default twice the spacing.
    num_adjacent_symbols: 2 for double-symbol DM-RS: `symbols` are then pairs of neighbours.
    time_cover_code [num_layers, 2]: factor on the first and the second symbol of such a pair (w_t of the same table).
    bundle_subcarriers: the precoder, and with it the layers' channel, may jump every so many subcarriers (a PRG of
        TS 38.214 §5.1.2.3); default never. `SlotObservation.bundles` cuts there.
    """

    symbols: tuple[int, ...]
    first_subcarrier: tuple[int, ...]
    spacing: int
    cover_code: tuple[tuple[int, int], ...]
    pair_spacing: int | None = None
    num_adjacent_symbols: int = 1
    time_cover_code: tuple[tuple[int, int], ...] = ()
    bundle_subcarriers: int | None = None

    def subcarriers(self, layer: int, num_subcarriers: int) -> tuple[int, ...]:
        """Subcarriers of a layer's pilots, ascending, pair by pair."""
        step = self.pair_spacing or 2 * self.spacing
        pairs = range(self.first_subcarrier[layer], num_subcarriers, step)
        return tuple(k for first in pairs for k in (first, first + self.spacing))

    @property
    def is_comb(self) -> bool:
        """Whether a layer's pilots are evenly spaced over the whole band, as those of DM-RS type 1."""
        return self.pair_spacing in (None, 2 * self.spacing)

    @property
    def symbol_groups(self) -> tuple[tuple[int, ...], ...]:
        """Pilot symbols that belong together: one or two each."""
        n = self.num_adjacent_symbols
        return tuple(self.symbols[i : i + n] for i in range(0, len(self.symbols), n))


class SoftDecoder(Protocol):
    """The channel decoder of the slots, for receivers that detect and decode in turns."""

    @property
    def adds_transmissions(self) -> bool:
        """Whether a receiver's LLRs of slots that are not decoded are added to those of other transmissions (HARQ).

        LLRs that a failed decoding had a part in are then worse than those without: they state more than was received.
        A decoder that does not have it does not add.
        """

    def __call__(self, llr: Tensor) -> tuple[Tensor, Tensor]:
        """What the code says about the coded bits.

        llr [batch, num_layers, num_data_re, bits_per_symbol] float32, as receivers return them, for any slots of the
        batch. Returns extrinsic LLRs of the same shape, the LLRs given taken off; bits of blocks that were decoded
        without errors are certain. And, bool [batch], whether that is true of all blocks of a slot.
        """

    def undecoded(self, llr: Tensor) -> tuple[Tensor, Tensor]:
        """As a call, with the LLRs of those slots alone that are not decoded, which is what the next turn needs.

        A decoder need not have it.
        """

    def arrived_layers(self, llr: Tensor) -> Tensor:
        """Which layers carry blocks whose CRC holds, bool [batch, num_layers].

        llr as in a call. Decoded in the arithmetic in which the slots are in the end; a block of zeros has not arrived,
        as it is what nothing decodes to. All bits may be right before all parity checks of the code hold.
        """

    def reencoded(self, llr: Tensor) -> tuple[Tensor, Tensor]:
        """The coded bits of what is decoded, uint8 of the shape of `llr`, and `arrived_layers`.

        Of layers that arrived these are the bits that were sent: labels that cost nothing.
        """

    @property
    def code_rate(self) -> float:
        """Information bits per coded bit of the slots, over all blocks."""


_TYPES = {
    "y": torch.complex64,
    "pilots": torch.complex64,
    "data_mask": torch.bool,
    "noise_var": torch.float32,
    "symbol_times_s": torch.float64,
}


@dataclass(frozen=True)
class SlotObservation:
    """A batch of received slots and what a base station knows about them. No truth in here.

    y [batch, num_rx_ant, num_ofdm_symbols, num_subcarriers] complex64: the received grid.
    pilots [num_layers, num_ofdm_symbols, num_subcarriers] complex64: what each layer sends at pilot REs, power
        offset and cover code included; zero elsewhere. Pilots outside the symbols of `layout` are for phase tracking.
    layout: where the pilots for channel estimation are.
    data_mask [num_ofdm_symbols, num_subcarriers] bool: REs that carry data, on all layers.
    noise_var [batch] float32: noise variance per RE per antenna, linear.
    bits_per_symbol: 1 (pi/2-BPSK), 2, 4, 6, 8 or 10 (QPSK to 1024QAM, TS 38.211 §5.1); the most of all layers.
    layer_amplitude: amplitude of a layer's unit-power symbols, 1/sqrt(layers of the user).
    layer_to_user [num_layers]: which user sends a layer.
    symbol_times_s [num_ofdm_symbols] float64: start of each symbol's useful part after the start of the slot.
    subcarrier_spacing_hz: distance of the subcarriers.
    transform_precoding: DFT-s-OFDM. The modulation symbols of every OFDM symbol with data are spread by a DFT over all
        subcarriers (TS 38.211 §6.3.1.4); `receivers.transform_precoding` spreads and despreads.
    decoder: for receivers that declare `uses_decoder`; each of its calls decodes the slots that it is given once.
    constellation [2**bits_per_symbol] complex64: points of unit mean power in place of those of TS 38.211 §5.1, the
        label of a point its index with the first bit highest; only for one layer. None: the standard's.
    bits_per_layer [num_layers]: where layers differ, as those of two codewords may: the bits per symbol of each. LLRs
        of a layer with fewer bits are 0 beyond its own. Empty: `bits_per_symbol` holds for all layers.

    Tensors of another type are converted, so that receivers meet these types alone.
    """

    y: Tensor
    pilots: Tensor
    layout: PilotLayout
    data_mask: Tensor
    noise_var: Tensor
    bits_per_symbol: int
    layer_amplitude: float
    layer_to_user: tuple[int, ...]
    symbol_times_s: Tensor
    subcarrier_spacing_hz: float
    transform_precoding: bool = False
    decoder: SoftDecoder | None = None
    bits_per_layer: tuple[int, ...] = ()
    constellation: Tensor | None = None

    def __post_init__(self) -> None:
        for name, dtype in _TYPES.items():
            value: Tensor = getattr(self, name)
            if value.dtype != dtype:
                object.__setattr__(self, name, value.to(dtype))
        if not isinstance(self.layer_to_user, tuple):
            object.__setattr__(self, "layer_to_user", tuple(int(user) for user in self.layer_to_user))

    @property
    def modulations(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Bits per symbol, ascending, and the layers that have them."""
        each = self.bits_per_layer or (self.bits_per_symbol,) * self.num_layers
        return tuple((bits, tuple(i for i, b in enumerate(each) if b == bits)) for bits in sorted(set(each)))

    @property
    def num_layers(self) -> int:
        return self.pilots.shape[0]

    @property
    def num_data_re(self) -> int:
        return int(self.data_mask.sum())

    @property
    def num_dmrs_positions(self) -> int | Tensor:
        """Positions of DM-RS in a slot, a double symbol counting once."""
        return len(self.layout.symbol_groups)

    @cached_property
    def _data_places(self) -> Tensor:
        return self.data_mask.flatten().nonzero().squeeze(-1)

    def at_data(self, values: Tensor) -> Tensor:
        """Values on the grid [..., num_ofdm_symbols, num_subcarriers] at the data REs, [..., num_data_re], in the order
        of LLRs."""
        return values.flatten(-2).index_select(-1, self._data_places)

    def with_data(self, values: Tensor, elsewhere: Tensor) -> Tensor:
        """Values at the data REs [..., num_data_re] on the grid, with those of `elsewhere` [..., num_ofdm_symbols,
        num_subcarriers] on all other REs."""
        placed = elsewhere.flatten(-2).index_copy(elsewhere.ndim - 2, self._data_places, values)
        return placed.unflatten(-1, tuple(self.data_mask.shape))

    def of_symbols(self, symbols: slice) -> SlotObservation:
        """Some OFDM symbols of the slots, for what looks at each RE alone: `layout` stays that of the slot."""
        return replace(
            self,
            y=self.y[:, :, symbols],
            pilots=self.pilots[:, symbols],
            data_mask=self.data_mask[symbols],
            symbol_times_s=self.symbol_times_s[symbols],
        )

    def part(self, start: int, stop: int) -> SlotObservation:
        """The slots `start` to `stop` (excluded) of the batch."""
        return replace(self, y=self.y[start:stop], noise_var=self.noise_var[start:stop])

    def select(self, slots: Tensor) -> SlotObservation:
        """The slots at these places of the batch, int64 [n]."""
        return replace(self, y=self.y[slots], noise_var=self.noise_var[slots])

    def bundles(self) -> tuple[SlotObservation, ...]:
        """The observation cut into runs of subcarriers over which the layers' channel is continuous."""
        size, num_subcarriers = self.layout.bundle_subcarriers, self.data_mask.shape[1]
        if size is None or size >= num_subcarriers:
            return (self,)
        layout = replace(self.layout, bundle_subcarriers=None)
        cuts = [slice(k, min(k + size, num_subcarriers)) for k in range(0, num_subcarriers, size)]
        return tuple(
            replace(self, y=self.y[..., k], pilots=self.pilots[..., k], data_mask=self.data_mask[:, k], layout=layout)
            for k in cuts
        )


@dataclass(frozen=True)
class Truth:
    """What only a simulator knows. Handed to receivers that declare `needs_truth`, and to training.

    h [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64: the channel.
    coded_bits [batch, num_layers, num_data_re, bits_per_symbol] uint8: the bits that the LLRs are about; 0 where a
        layer has fewer.
    """

    h: Tensor
    coded_bits: Tensor


@dataclass(frozen=True)
class Supports:
    """Which slots a receiver takes, beside those with DM-RS and one modulation of TS 38.211 §5.1.

    mixed_modulations: layers may differ in modulation (it heeds `SlotObservation.bits_per_layer`).
    constellations: others than the standard's (it heeds `SlotObservation.constellation`).
    no_pilots: slots without pilots; it finds the channel by the mean of a constellation.
    """

    mixed_modulations: bool = False
    constellations: bool = False
    no_pilots: bool = False

    @classmethod
    def all(cls) -> Supports:
        """Every slot: of parts of a receiver that have no say in it."""
        return cls(mixed_modulations=True, constellations=True, no_pilots=True)

    def __and__(self, other: Supports) -> Supports:
        """What two parts of a receiver take together."""
        return Supports(
            self.mixed_modulations and other.mixed_modulations,
            self.constellations and other.constellations,
            self.no_pilots and other.no_pilots,
        )


class Receiver(ABC):
    """Turns observations into LLRs.

    Constructor arguments with type hints are the receiver's options in an experiment file. Raise `ValueError`
    with one line (what, value given, what is allowed) for options that make no sense. Which slots it takes is declared
    in `supports`; `check_on` asks for everything before a run.
    """

    name: ClassVar[str]
    #: A genie: it is handed the truth. Reports label it.
    needs_truth: ClassVar[bool] = False

    @property
    def supports(self) -> Supports:
        """Which slots the receiver takes. A class attribute will do where it does not depend on options."""
        return Supports()

    @property
    def takes_mixed_modulations(self) -> bool:
        """`supports.mixed_modulations`."""
        return self.supports.mixed_modulations

    @property
    def takes_constellations(self) -> bool:
        """`supports.constellations`."""
        return self.supports.constellations

    @property
    def works_without_pilots(self) -> bool:
        """`supports.no_pilots`."""
        return self.supports.no_pilots

    @property
    def uses_decoder(self) -> bool:
        """Whether the receiver calls `SlotObservation.decoder`, which not every simulator may offer."""
        return False

    @property
    def counters(self) -> tuple[str, ...]:
        """Names of what the receiver counts in slots beside its LLRs, such as "iterations": lower-case letters, digits
        and _. A class attribute will do where it does not depend on options."""
        return ()

    def counted(self) -> Mapping[str, Tensor]:
        """What was counted in the slots of the last call, by the names of `counters`: integers of 0 or more [batch].

        They add up: over the parts of a slot with gaps, over retransmissions, and over drops. Runs store them per drop,
        and their tables have the sums.
        """
        return {}

    @abstractmethod
    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] float32, positive means bit 0.

        Data REs come in the order of the standard: subcarrier first, then OFDM symbol.
        """

    def check_on(self, observation: SlotObservation) -> None:
        """Raise `ValueError` when the receiver cannot work on slots like this one, whose received grid is empty: all
        checks below, in their order. Called once before a run, on every contiguous part of the allocation."""
        each = observation.bits_per_layer or (observation.bits_per_symbol,) * observation.num_layers
        for bits in sorted(set(each)):
            self.check(bits, observation.num_layers, observation.y.shape[1])
        self.check_modulations(each)
        self.check_signal(observation)
        self.check_pilots(observation.layout)
        self.check_slot(observation)

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:  # noqa: B027
        """Raise `ValueError` when the receiver cannot work on such slots; called once before a run."""

    def check_modulations(self, bits_per_layer: tuple[int, ...]) -> None:
        """Raise `ValueError` when the receiver cannot demap these layers together; called once before a run."""
        if len(set(bits_per_layer)) > 1 and not self.takes_mixed_modulations:
            raise ValueError(
                f"bits per symbol of the layers: got {', '.join(map(str, bits_per_layer))}; allowed with "
                f"{self.name!r}: one modulation for all"
            )

    def check_signal(self, observation: SlotObservation) -> None:
        """Raise `ValueError` when the receiver does not know the constellation or needs pilots that are not there;
        called once before a run, before the checks of pilots and slot."""
        if observation.constellation is not None and not self.takes_constellations:
            raise ValueError(f"constellation: got one with {self.name!r}; allowed: QAM, or another receiver")
        if not observation.layout.symbols and not self.works_without_pilots:
            raise ValueError(f"pilots: got a slot without any with {self.name!r}; allowed: slots with DM-RS")

    def check_pilots(self, layout: PilotLayout) -> None:  # noqa: B027
        """Raise `ValueError` when the receiver cannot work with such pilots; called once before a run."""

    def check_slot(self, observation: SlotObservation) -> None:  # noqa: B027
        """Raise `ValueError` when the receiver cannot work on slots like this one, whose received grid is empty; called
        once before a run, after the other checks."""

    def fingerprint(self) -> str:
        """What identifies the receiver beyond its name and options: the SHA-256 of its weights, or nothing."""
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its results should know of how they are computed on this machine, a sentence each."""
        return ()

    def to(self, device: torch.device | str) -> Receiver:
        """Move what the receiver holds to `device`."""
        return self
