"""A receiver that changes its input in place is stopped with its name."""

from dataclasses import fields

import pytest
import torch

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.link.untouched import _checksums
from ran.phy.config import Carrier, Harq
from receivers import RECEIVERS, LsLinear


class Meddler(LsLinear):
    """Changes one field of what it is given."""

    def __init__(self, field: str) -> None:
        super().__init__()
        self.field = field

    def __call__(self, observation, truth=None):
        llr = super().__call__(observation, truth)
        value = getattr(observation, self.field)
        if self.field == "y":
            # past torch's own bookkeeping
            value.numpy()[..., 0] *= 3
        else:
            value.mul_(2) if value.dtype != torch.bool else value.logical_not_()
        return llr


def link(**more):
    return Link(LinkConfig(carrier=Carrier(num_prb=4), channel={"name": "rayleigh-block"}, **more))


@pytest.mark.parametrize("field", ["y", "pilots", "noise_var", "data_mask", "symbol_times_s"])
@pytest.mark.parametrize("more", [{}, {"harq": Harq()}], ids=["once", "harq"])
def test_a_change_in_place_stops_with_the_receivers_name(field, more):
    with pytest.raises(InputError, match=rf"^receivers\.mine: changed observation\.{field} .*clone"):
        link(**more).simulate({"mine": Meddler(field), "ls": LsLinear()}, range(8), 10.0, 1, "s")


@pytest.mark.parametrize("name", sorted(RECEIVERS))
def test_our_receivers_leave_their_input_alone(name):
    batch = link().batch(range(2), 10.0, 1, "s")
    receiver = RECEIVERS[name]()
    truth = batch.truth if receiver.needs_truth else None
    before = _checksums(batch.observation, truth)
    receiver(batch.observation, truth)
    assert _checksums(batch.observation, truth) == before
    named = {f"observation.{f.name}" for f in fields(batch.observation)}
    assert (
        {"observation.y", "observation.pilots", "observation.noise_var"}
        <= set(before)
        <= named
        | {
            "truth.h",
            "truth.coded_bits",
        }
    )


class Returns(LsLinear):
    """Something else than LLRs of its slots."""

    def __init__(self, change) -> None:
        super().__init__()
        self.change = change

    def __call__(self, observation, truth=None):
        return self.change(super().__call__(observation, truth))


@pytest.mark.parametrize(
    ("change", "given"),
    [
        (lambda llr: llr[..., :-1], r"torch.float32 \[\d+, 1, \d+, 3\]"),
        (lambda llr: llr.double(), "torch.float64"),
        (lambda llr: llr.numpy(), "ndarray"),
        (lambda llr: None, "NoneType"),
        (lambda llr: "soft bits", "str"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"harq": Harq()}], ids=["once", "harq"])
def test_what_is_no_llrs_is_named(change, given, more):
    with pytest.raises(InputError, match=rf"^receivers\.mine: returned {given}.*; allowed: LLRs torch.float32 \["):
        link(**more).simulate({"mine": Returns(change)}, range(2), 10.0, 1, "s")
