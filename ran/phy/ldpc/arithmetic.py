"""Constants of the decoder's arithmetic, which every implementation of it shares.

Both precisions count in the same steps: what the received LLRs are scaled to, see `decoder.decode`.
"""

#: Largest magnitude of a received LLR in int8 steps.
INT8_LIMIT = 60
#: The same in float32: only so that nothing overflows where a few LLRs are beyond all measure above the others.
FLOAT32_LIMIT = 1e18
#: Largest factor from LLRs to steps: float32 has no larger number. Met where LLRs are near the smallest it has.
MAX_SCALE = 3.4028234663852886e38
#: Mean of min(magnitude of a received LLR, `INT8_LIMIT`) in int8 steps at code rate R: first + second R^2; see
#: `decoder`.
INT8_MEAN_MAGNITUDE = (4.0, 56.0)
#: Steps of Newton's method that find the scale.
NUM_SCALE_STEPS = 6
#: Largest magnitude in int8 steps that a check passes on, before it is multiplied by 0.75. Up to 30 checks add up in a
#: column: with larger messages posteriors run into the limit of int8 and take wrong decisions with them (at 63 we
#: measured an error floor of 1 in 100 blocks at rate 1/2).
INT8_CHECK_LIMIT = 50
#: float32: a check passes on factor x max(magnitude - offset, 0). Min-sum claims more than it knows, mostly of small
#: magnitudes, so that a factor alone cannot be right at every rate: 0.75 without an offset lost up to 0.17 dB to int8,
#: whose rounding down acts as an offset (docs/decisions/0031).
FLOAT32_FACTOR = 0.8
#: The offset in steps at code rate R is slope x (rate - R), within 0 and 1. At high rates bits that were not sent
#: follow from one another in long chains, at each link of which an offset takes away from little.
FLOAT32_OFFSET_SLOPE = 5.0
FLOAT32_OFFSET_RATE = 0.9
#: A parity bit in a single check can hold an LLR against which that check alone never prevails, so that the parity
#: checks would not hold although all is decided. Its LLR counts less, where that parity bit is decided, than a check
#: can say at most.
OWN_PARITY_LIMIT = 3 * INT8_CHECK_LIMIT // 4 - 1
#: A bit that is known, fillers, in steps: above what all LLRs of a code block together can be.
KNOWN = {"int8": 127, "float32": 1e30}
