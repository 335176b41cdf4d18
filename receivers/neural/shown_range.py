"""What of a slot's SNR the networks are shown, and how far they are followed: no more than in their training.

Beyond the trained range a network extrapolates, which no training has checked. There it is shown the end of the range.
Its corrections count in deviations of the classical estimate, and no more than a few of them. `Shown.trust` takes them
back in step with the deviation of the noise, so that a receiver which corrects a classical one becomes that one when
the signal is strong. Detection always uses the true noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: How far the SNR of a slot rises above the Es/N0 that it is drawn at, as few antennas and subcarriers fade together.
#: Of 1,600 training slots of each of the shipped weights the strongest were 3 to 4 dB above their recipes' end.
FADING_DB = 6.0
#: Where a card does not tell: no recipe of ours draws beyond 24 dB.
HIGHEST_SNR_DB = 30.0
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
class Shown:
    """Levels that features are made of, all of one shape.

    noise: variance. power: of the channel. trust: factor on corrections, 1 within the range and towards 0 above it.
    added_error: what is added to error variances.
    """

    noise: Tensor
    power: Tensor
    trust: Tensor
    added_error: Tensor


def shown_levels(noise_var: Tensor, power: Tensor, highest_snr_db: float) -> Shown:
    """noise_var and power, of the channel: of the same shape, linear. Within the range nothing is changed, not by a
    digit: `noise` and `power` are those given, `trust` is 1 and `added_error` 0."""
    import torch  # takes a while, and model cards are read without

    noise = torch.maximum(noise_var, 10 ** (-highest_snr_db / 10) * power)
    return Shown(
        noise,
        torch.maximum(power, _LEAST_POWER * noise_var),
        (noise_var / noise).sqrt(),
        _ERROR_SHARE * (noise - noise_var),
    )


def within_training(out: Tensor) -> Tensor:
    """What a network puts out, no larger than a classical estimate may be wrong by."""
    return out.clamp(-LARGEST_CORRECTION, LARGEST_CORRECTION)


def trained_snr_db(training: Mapping[str, Any]) -> float:
    """Highest SNR of a slot that a network is shown, from what its card says of its training: the end of the Es/N0 that
    slots were drawn at, and `FADING_DB`."""
    drawn = [training.get("slots"), *(training.get("cases") or ())]
    ends = [_largest(block["esn0_db"]) for block in drawn if isinstance(block, Mapping) and "esn0_db" in block]
    return max(ends) + FADING_DB if ends else HIGHEST_SNR_DB


def _largest(drawn: Any) -> float:
    """Largest value of a number, or of a recipe's distribution of them: {"uniform": [low, high]} and its like."""
    if isinstance(drawn, Mapping):
        return max(float(value) for values in drawn.values() for value in values)
    return float(drawn)
