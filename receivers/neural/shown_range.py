"""What of a slot's SNR the networks are shown, and how far they are followed: no more than in their training.

Beyond the trained range a network extrapolates, which no training has checked. There it is shown the end of the range.
Every modulation has a range of its own: a training draws QPSK at lower SNRs than 64QAM, and a network has no other
measure of what a strong 16QAM is. With fewer DM-RS symbols than any slot of the training had, its corrections are left
out.
Its corrections count in deviations of the classical estimate, and no more than a few of them. `Shown.trust` takes them
back in step with the deviation of the noise, so that a receiver which corrects a classical one becomes that one when
the signal is strong. Detection always uses the true noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from receivers.interface import SlotObservation

#: How far the SNR of a slot rises above the Es/N0 that it is drawn at, as few antennas and subcarriers fade together.
#: Chosen with sight of the slots of docs/lab/strong-signals-and-levels.md: with 6 dB pusch-munich lost 5 of 128 slots
#: of 16QAM at 19 dB with one DM-RS symbol at 300 Hz, with 4 dB none. tests/receivers/test_fading_margin.py measures
#: that and the rise of the BLER on other slots.
FADING_DB = 4.0
#: Where a card does not tell: no recipe of ours draws beyond it.
HIGHEST_ESN0_DB = 24.0
#: Of a slot (TS 38.211 table 6.4.1.1.3-3).
_MOST_DMRS_POSITIONS = 4
#: Least power of an estimated channel, as a share of the noise (-30 dB): training showed -26 dB, an empty slot has 0.
_LEAST_POWER = 1e-3
#: Error variance of an estimate relative to the noise, as is common in training (log10 from -2.8 to 1.3).
_ERROR_SHARE = 0.1
#: Largest size of a feature that grows with what an estimate leaves unexplained. Training showed up to 9.
LARGEST_FEATURE = 10.0
#: Largest correction, in deviations of the classical estimate. Of 40 million in training of
#: pusch-hybrid 4 of 10,000 were larger, of pusch-realtime none.
LARGEST_CORRECTION = 6.0


@dataclass(frozen=True)
class ShownRange:
    """What a training has shown of slots.

    highest_snr_db: by bits per symbol, ascending, the highest SNR in dB; none for models that are not trained.
    fewest_dmrs_positions: positions of DM-RS in a slot, a double symbol counting once.
    """

    highest_snr_db: tuple[tuple[int, float], ...] = ()
    fewest_dmrs_positions: int = 0

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> ShownRange:
        """What a card says of it. `ValueError`, `TypeError`, `LookupError` or `AttributeError` for what is no range.

        Cards of before have no `trained_range`; all modulations then share the end of the Es/N0 that slots were drawn
        at.
        """
        written = card.get("trained_range")
        if written is None:
            return cls(((0, _highest_drawn_db(card.get("training", {})) + FADING_DB),))
        ends = sorted((int(bits), float(end) + FADING_DB) for bits, end in written["highest_esn0_db"].items())
        fewest = written["fewest_dmrs_positions"]
        if not ends or not all(math.isfinite(end) for _, end in ends):
            raise ValueError("trained_range: Es/N0 is a finite number for every modulation")
        if type(fewest) is not int or not 0 <= fewest <= _MOST_DMRS_POSITIONS:
            raise ValueError(f"trained_range: DM-RS positions are 0 to {_MOST_DMRS_POSITIONS}")
        return cls(tuple(ends), fewest)

    def snr_db(self, bits_per_symbol: int) -> float:
        """Highest SNR that was shown of a modulation: where it was not trained, of the next lower one that was, or
        else of the lowest. Infinite for models that are not trained."""
        if not self.highest_snr_db:
            return math.inf
        lower = [end for bits, end in self.highest_snr_db if bits <= bits_per_symbol]
        return lower[-1] if lower else self.highest_snr_db[0][1]

    def snr_db_of(self, observation: SlotObservation) -> float:
        """Highest SNR that was shown of slots with the observation's modulation; of its modulations the least."""
        return min(self.snr_db(bits) for bits in {observation.bits_per_symbol, *observation.bits_per_layer})

    def has(self, observation: SlotObservation) -> bool | Tensor:
        """Whether slots with as few DM-RS positions were shown; in a graph that is recorded a number, 1 or 0."""
        if not self.fewest_dmrs_positions:
            return True
        return observation.num_dmrs_positions >= self.fewest_dmrs_positions


@dataclass(frozen=True)
class Shown:
    """Levels that features are made of, all of one shape.

    noise: variance. power: of the channel. trust: factor on corrections, 1 within the range and towards 0 above it.
    added_error: what is added to error variances.
    """

    noise: Tensor
    power: Tensor
    trust: Tensor
    added_error: Tensor


def shown_levels(noise_var: Tensor, power: Tensor, highest_snr_db: float, is_known: bool | Tensor = True) -> Shown:
    """noise_var and power, of the channel: of the same shape, linear. Within the range nothing is changed, not by a
    digit: `noise` and `power` are those given, `trust` is 1 and `added_error` 0.

    is_known: whether training had such slots; `trust` is 0 otherwise.
    """
    import torch  # takes a while, and model cards are read without

    noise = torch.maximum(noise_var, 10 ** (-highest_snr_db / 10) * power)
    return Shown(
        noise,
        torch.maximum(power, _LEAST_POWER * noise_var),
        where_known((noise_var / noise).sqrt(), is_known),
        _ERROR_SHARE * (noise - noise_var),
    )


def where_known(values: Tensor, is_known: bool | Tensor) -> Tensor:
    """The values where training had such slots (`ShownRange.has`), and otherwise 0."""
    if isinstance(is_known, bool):
        return values if is_known else values.new_zeros(values.shape)
    return values * is_known.to(values.dtype)


def within_training(out: Tensor) -> Tensor:
    """What a network puts out, no larger than a classical estimate may be wrong by."""
    return out.clamp(-LARGEST_CORRECTION, LARGEST_CORRECTION)


def _highest_drawn_db(training: Mapping[str, Any]) -> float:
    """End of the Es/N0 that a card's slots were drawn at."""
    drawn = [training.get("slots"), *(training.get("cases") or ())]
    ends = [_largest(block["esn0_db"]) for block in drawn if isinstance(block, Mapping) and "esn0_db" in block]
    highest = max(ends, default=HIGHEST_ESN0_DB)
    if not math.isfinite(highest):
        raise ValueError("training: Es/N0 is a finite number")
    return highest


def _largest(drawn: Any) -> float:
    """Largest value of a number, or of a recipe's distribution of them: {"uniform": [low, high]} and its like."""
    if isinstance(drawn, Mapping):
        return max(float(value) for values in drawn.values() for value in values)
    return float(drawn)
