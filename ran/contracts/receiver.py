"""The contract of `receivers.Receiver`."""

from __future__ import annotations

from dataclasses import replace

import torch

from ran.contracts.slots import shape_problem, slots
from ran.link.receiver_counters import ReceiverCounters
from ran.link.untouched import untouched
from ran.stats.counts import check_counter_names
from receivers import Receiver, SlotObservation

#: Bits that may be wrong at 20 dB: more is no better than a guess.
_MOST_WRONG = 0.2
_LEVELS = (1e-6, 1e6)


def _llr(receiver: Receiver, observation: SlotObservation | None = None, part: slice = slice(None)) -> torch.Tensor:
    batch = slots()
    truth = replace(batch.truth, h=batch.truth.h[part], coded_bits=batch.truth.coded_bits[part])
    with torch.inference_mode():
        return receiver(observation or batch.observation, truth if receiver.needs_truth else None)


def _shape(receiver: Receiver) -> str:
    return shape_problem(_llr(receiver), "LLRs")


def _sign(receiver: Receiver) -> str:
    wrong = float(((_llr(receiver) < 0) != slots().coded_bits.bool()).float().mean())
    if wrong > 1 - _MOST_WRONG:
        return f"{wrong:.0%} of the bits are wrong at 20 dB: a positive LLR means bit 0, and here it means bit 1"
    return (
        "" if wrong < _MOST_WRONG else f"{wrong:.0%} of the bits are wrong at 20 dB; allowed: below {_MOST_WRONG:.0%}"
    )


def _alone(receiver: Receiver) -> str:
    alone = _llr(receiver, slots().observation.part(1, 2), slice(1, 2))
    close = torch.allclose(alone, _llr(receiver)[1:2], rtol=2e-2, atol=2e-2)
    return "" if close else "LLRs of a slot differ with the batch that it is in"


def _untouched(receiver: Receiver) -> str:
    batch = slots()
    truth = batch.truth if receiver.needs_truth else None
    with torch.inference_mode(), untouched(type(receiver).__name__, receiver, batch.observation, truth):
        receiver(batch.observation, truth)
    return ""


def _counts(receiver: Receiver) -> str:
    try:
        check_counter_names(receiver.counters)
        _llr(receiver)
        counters = ReceiverCounters(type(receiver).__name__, receiver, len(slots().observation.y))
        counters.add()
    except ValueError as error:
        return str(error)
    return ""


def _level(receiver: Receiver) -> str:
    if receiver.needs_truth:
        return ""
    seen, expected = slots().observation, _llr(receiver) < 0
    for level in _LEVELS:
        scaled = replace(seen, y=seen.y * level, noise_var=(seen.noise_var.double() * level**2).float())
        changed = float(((_llr(receiver, scaled) < 0) != expected).float().mean())
        if changed > 0.01:
            return f"{changed:.0%} of the decisions change at a level of {level:g}; allowed: none"
    return ""


RECEIVER_TESTS = {
    "shape and type": _shape,
    "positive LLRs mean bit 0": _sign,
    "a slot does not depend on its batch": _alone,
    "the observation is not changed": _untouched,
    "no dependence on the level": _level,
    "counters are what is declared": _counts,
}
