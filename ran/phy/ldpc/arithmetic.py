"""Constants of the decoder's arithmetic, which every implementation of it shares."""

#: Largest magnitude of a received LLR in int8 steps.
INT8_LIMIT = 60
#: Mean of min(magnitude of a received LLR, `INT8_LIMIT`) in int8 steps at code rate R: first + second R^2; see
#: `decoder`.
INT8_MEAN_MAGNITUDE = (4.0, 56.0)
#: Steps of Newton's method that find the scale.
NUM_SCALE_STEPS = 6
#: Largest magnitude in int8 steps that a check passes on, before it is multiplied by 0.75. Up to 30 checks add up in a
#: column: with larger messages posteriors run into the limit of int8 and take wrong decisions with them (at 63 we
#: measured an error floor of 1 in 100 blocks at rate 1/2).
INT8_CHECK_LIMIT = 50
#: A parity bit in a single check can hold an LLR against which that check alone never prevails, so that the parity
#: checks would not hold although all is decided. Its LLR counts less, where that parity bit is decided, than a check
#: can say at most.
OWN_PARITY_LIMIT = 3 * INT8_CHECK_LIMIT // 4 - 1
#: LLR of a bit that is known: fillers.
KNOWN = {"int8": 127, "float32": 1e9}
