"""Nothing depends on the absolute level of the received grid, and no receiver fails when the signal is strong."""

from dataclasses import replace

import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers import RECEIVERS
from receivers.classical.equalizer import lmmse_equalize
from receivers.levels import at_unit_level, level_exponent
from receivers.neural.weights import shipped_weights

AMPLITUDES = [1e-9, 3e-4, 1e9]
# the pilotless weights have a constellation of their own, which these slots do not
WEIGHTS = sorted(name for name in shipped_weights("receiver") if name != "pusch-pilotless")
CLASSICAL = ["blind", "lmmse", "ls-linear", "perfect-csi"]
CASES = (
    [(name, {}) for name in sorted(RECEIVERS) if name != "neural"]
    + [("neural", {"weights": weights}) for weights in WEIGHTS]
    + [(name, {"detector": detector}) for name in CLASSICAL for detector in ("ep", "ml", "k-best", "mmse-pic")]
    + [(name, {"demapper": "exact"}) for name in CLASSICAL]
    + [("blind", {"num_reestimations": 2}), ("blind", {"data_aided": True, "detector": "mmse-pic"})]
    + [("blind", {"noise": "irc"})]
)
IDS = ["-".join([name, *map(str, options.values())]) for name, options in CASES]


def slots(num_layers=1, mcs=14, esn0_db=12.0, num_users=1, num_prb=4, batch=2):
    link = Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pusch=Pusch(num_layers=num_layers, mcs_index=mcs, dmrs=Dmrs(additional_position=1)),
            users=Users(num_users=num_users),
            channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 100},
        )
    )
    return link, link.batch(range(batch), esn0_db, seed=4, scenario_id="levels")


def scaled(batch, amplitude):
    """The same slots as a base station with another gain receives them."""
    seen = batch.observation
    louder = replace(seen, y=seen.y * amplitude, noise_var=seen.noise_var * amplitude**2)
    return replace(batch, observation=louder, h=batch.h * amplitude)


def receive(receiver, batch):
    with torch.inference_mode():
        return receiver(batch.observation, batch.truth if receiver.needs_truth else None)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_llrs_do_not_depend_on_the_level(name, options):
    receiver = RECEIVERS[name](**options)
    # what a decoder that does not converge puts out hangs on every rounding: turns with it want a better signal
    esn0_db = 30.0 if "mmse-pic" in options.values() else 12.0
    for num_layers, mcs in ((1, 14), (2, 20)):
        try:
            receiver.check(4, num_layers, 4)
        except ValueError:
            continue
        _, batch = slots(num_layers, mcs, esn0_db)
        here = receive(receiver, batch)
        for amplitude in AMPLITUDES:
            there = receive(receiver, scaled(batch, amplitude))
            # single precision, carried through iterations that may amplify a rounding
            close = (there - here).abs() <= 0.02 * here.abs() + 0.02 * here.abs().mean()
            assert float(close.float().mean()) > 0.999, amplitude
            decided = here.abs() > 1e-2 * here.abs().mean()
            assert bool(((there > 0) == (here > 0))[decided].all()), amplitude


@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
@pytest.mark.parametrize("amplitude", [1e-9, 1e-7, 1e-4, 1e4, 1e9])
def test_equaliser_of_any_level(num_layers, amplitude):
    generator = torch.Generator().manual_seed(7)
    h = torch.randn(2, 8, num_layers, 50, dtype=torch.complex64, generator=generator)
    y = torch.randn(2, 8, 50, dtype=torch.complex64, generator=generator)
    noise = torch.full((2, 50), 0.1)
    expected, expected_noise = lmmse_equalize(y, h, noise)
    found, found_noise = lmmse_equalize(y * amplitude, h * amplitude, noise * amplitude**2)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found_noise, expected_noise, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_strong_signals_lose_no_block(name, options):
    receiver = RECEIVERS[name](**options)
    for esn0_db in (40.0, 70.0, 100.0):
        link, batch = slots(mcs=14, esn0_db=esn0_db, num_prb=6, batch=4)
        lost = link.count_errors(receive(receiver, batch), batch).block_errors
        assert int(lost.sum()) == 0, esn0_db


def test_unit_level_is_a_power_of_two_and_undoes_another():
    _, batch = slots()
    seen = at_unit_level(batch.observation)
    ratio = (seen.y / batch.observation.y).real
    exponents = torch.log2(ratio[ratio.isfinite()])
    torch.testing.assert_close(exponents, exponents.round(), rtol=0, atol=1e-5)
    assert torch.equal(at_unit_level(seen).y, seen.y)
    doubled = scaled(batch, 2.0**20).observation
    assert torch.equal(at_unit_level(doubled).y, seen.y)
    assert torch.equal(at_unit_level(doubled).noise_var, seen.noise_var)


def test_an_empty_slot_has_exponent_zero():
    _, batch = slots()
    empty = replace(batch.observation, y=torch.zeros_like(batch.observation.y))
    assert level_exponent(empty).tolist() == [0, 0]
