"""The C library held against the readable receivers whose model files it works by."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers import Blind, Lmmse, SlotObservation
from receivers.c_library import build
from receivers.c_library.library import Handle, LlrFormat, StatusError, load
from receivers.c_library.model_file import model_bytes
from receivers.c_library.receiver import CLibrary
from receivers.c_library.work import _transform, work_of
from receivers.classical.timing import delayed

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler ($CXX, g++, clang++, c++)")


def tolerance(esn0_db: float) -> float:
    """Of LLRs over the largest one: single precision, its rounding magnified by the condition of the covariances that
    are inverted, which grows with the SNR. Readable receivers move by as much when a slot is scaled by 1.1: by up to
    8e-5 at 10 dB and 3e-3 at 30 dB."""
    return max(2e-5, 1e-5 * 10 ** (esn0_db / 10))


def slots(
    esn0_db=12.0, batch=2, num_prb=24, layers=1, users=1, rx=4, mcs=14, table=1, profile="B", spread_ns=100, **dmrs
):
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(num_layers=layers, mcs_table=table, mcs_index=mcs, dmrs=Dmrs(**{"additional_position": 1, **dmrs})),
        users=Users(num_users=users),
        num_rx_ant=rx,
        channel={"name": "tdl", "profile": profile, "delay_spread_ns": spread_ns, "max_doppler_hz": 200},
    )
    return Link(config).batch(range(batch), esn0_db, seed=4, scenario_id="c-library").observation


def handle(receiver, slot: SlotObservation, threads: int = 1, llr_format: LlrFormat = "float32") -> Handle:
    return Handle(build.built_library(), model_bytes(receiver, slot), threads, llr_format)


def difference(receiver, observation: SlotObservation, threads: int = 1) -> float:
    """Largest difference of the LLRs of any slot, over the largest LLR of that slot."""
    library, worst = handle(receiver, observation, threads), 0.0
    for i in range(len(observation.y)):
        slot = observation.part(i, i + 1)
        expected = receiver(slot)[0].transpose(0, 1).numpy()
        found = library(slot.y[0].numpy(), float(slot.noise_var[0])).llr
        assert found.shape == expected.shape
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    return worst


CASES = {
    "QPSK": {"mcs": 4, "esn0_db": 5.0},
    "16QAM, two antennas, 51 PRB": {"num_prb": 51, "rx": 2},
    "three subbands, three antennas": {"num_prb": 127, "rx": 3, "batch": 1},
    "64QAM, long delays": {"mcs": 20, "esn0_db": 18.0, "profile": "C", "spread_ns": 300},
    "256QAM": {"table": 2, "mcs": 22, "esn0_db": 25.0},
    "one PRB": {"num_prb": 1},
    "one DM-RS symbol": {"additional_position": 0},
    "four DM-RS symbols": {"additional_position": 3},
    "double-symbol DM-RS": {"length": 2},
    "data beside the DM-RS": {"num_cdm_groups_without_data": 1},
    "two layers": {"layers": 2, "esn0_db": 14.0},
    "three layers": {"layers": 3, "esn0_db": 18.0, "num_prb": 12},
    "four layers": {"layers": 4, "esn0_db": 20.0, "num_prb": 12},
    "two users": {"users": 2, "num_prb": 12},
}


@pytest.mark.parametrize("algorithm", [Lmmse, Blind], ids=["lmmse", "blind"])
@pytest.mark.parametrize("case", CASES)
def test_llrs_are_those_of_the_readable_receiver(algorithm, case):
    settings = {"esn0_db": 12.0, **CASES[case]}
    assert difference(algorithm(), slots(**settings)) < tolerance(settings["esn0_db"])


@pytest.mark.parametrize("receiver", [Lmmse(detector="ep"), Blind(detector="lmmse")], ids=["lmmse-ep", "blind-lmmse"])
def test_detectors_of_several_layers(receiver):
    assert difference(receiver, slots(layers=2)) < tolerance(12)


def test_pilots_of_type_2():
    assert difference(Lmmse(), slots(config_type=2)) < tolerance(12)


@pytest.mark.parametrize("algorithm", [Lmmse, Blind], ids=["lmmse", "blind"])
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_level_of_a_slot_does_not_matter(algorithm, scale):
    observation = slots(layers=2, num_prb=6)
    scaled = replace(observation, y=observation.y * scale, noise_var=observation.noise_var * scale**2)
    assert difference(algorithm(), scaled) < tolerance(12)
    library, i = handle(algorithm(), observation), slice(0, 1)
    near, far = (library(o.y[i][0].numpy(), float(o.noise_var[0]), depth="llr channel") for o in (observation, scaled))
    np.testing.assert_allclose(far.llr, near.llr, atol=tolerance(12) * np.abs(near.llr).max())
    np.testing.assert_allclose(far.channel / scale, near.channel, atol=tolerance(12) * np.abs(near.channel).max())
    assert far.noise_var / scale**2 == pytest.approx(near.noise_var, rel=1e-4)


@pytest.mark.parametrize("algorithm", [Lmmse, Blind], ids=["lmmse", "blind"])
@pytest.mark.parametrize("detector", ["lmmse", "ep"])
def test_layers_from_one_direction(algorithm, detector):
    """Two layers whose channels differ by a thousandth: no number gets lost, and decisions agree."""
    observation = slots(layers=2, num_prb=6, esn0_db=30.0)
    y = observation.y.clone()
    y[:, 1:] = y[:, :1] * (1 + 1e-3 * torch.arange(1, 4).view(1, 3, 1, 1))
    observation = replace(observation, y=y)
    library, receiver = handle(algorithm(detector=detector), observation), algorithm(detector=detector)
    for i in range(len(y)):
        slot = observation.part(i, i + 1)
        expected = receiver(slot)[0].transpose(0, 1).numpy()
        found = library(slot.y[0].numpy(), float(slot.noise_var[0])).llr
        assert np.isfinite(found).all()
        # one antenna's worth of signal for two layers: sure decisions are few, and those agree
        sure = np.abs(expected) > 0.05 * np.abs(expected).max()
        assert np.mean((found < 0)[sure] != (expected < 0)[sure]) < 1e-3
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999


def test_late_and_early_slots_are_told():
    observation = slots()
    for late_s in (-3e-6, 3.5e-6):
        moved = delayed(observation, torch.full((2,), late_s, dtype=torch.float64))
        assert difference(Blind(), moved) < tolerance(12)
        library = handle(Blind(), moved)
        before = library(observation.y[0].numpy()).timing_s
        assert library(moved.y[0].numpy()).timing_s - before == pytest.approx(late_s, abs=2e-8)


def test_channel_symbols_and_measures():
    observation = slots(layers=2)
    receiver = Blind()
    slot, estimate = observation.part(0, 1), receiver.estimate(observation.part(0, 1))
    result = handle(receiver, slot)(slot.y[0].numpy(), depth="channel symbols")
    assert result.llr is None
    h, error = estimate.h_hat[0].numpy(), estimate.err_var[0].numpy()
    np.testing.assert_allclose(result.channel, h, atol=tolerance(12) * np.abs(h).max())
    np.testing.assert_allclose(result.error_var, error, atol=1e-3 * error.max())
    assert result.noise_var == pytest.approx(float(estimate.noise_var), rel=1e-4)
    power, delay = torch.cat(estimate.powers, 1), torch.cat(estimate.delays_s, 1)
    assert result.timing_s == pytest.approx(float((power * delay).sum() / power.sum()), abs=1e-10)
    assert np.mean(1 / result.symbol_noise) == pytest.approx(10 ** (result.sinr_db / 10), rel=1e-4)
    each = np.mean(1 / result.symbol_noise, axis=0)
    np.testing.assert_allclose(result.layer_sinr_db, 10 * np.log10(each), atol=1e-3)
    # of the points that were sent most are within a few deviations
    assert np.isfinite(result.symbols).all()
    assert np.mean(np.abs(result.symbols) ** 2) == pytest.approx(1 + np.mean(result.symbol_noise), rel=0.2)


def test_frequency_offset_is_told():
    """150 Hz more: a tenth of a turn between the two DM-RS symbols, well within what is looked for."""
    observation = slots(esn0_db=20.0)
    turn = torch.exp(2j * torch.pi * 150.0 * observation.symbol_times_s).to(torch.complex64)
    offset = replace(observation, y=observation.y * turn[:, None])
    for algorithm in (Lmmse(), Blind()):
        library = handle(algorithm, observation)
        before, after = (library(o.y[0].numpy(), 0.01).cfo_hz for o in (observation, offset))
        assert after - before == pytest.approx(150, abs=60)
    single = slots(additional_position=0)
    assert np.isnan(handle(Blind(), single)(single.y[0].numpy()).cfo_hz)


def test_numbers_that_go_in_and_out():
    slot = slots(mcs=20, esn0_db=22.0).part(0, 1)
    grid = slot.y[0].numpy()
    wide = handle(Blind(), slot)(grid).llr
    half = handle(Blind(), slot, llr_format="float16")(grid).llr
    np.testing.assert_array_equal(half, wide.astype(np.float16))
    small = handle(Blind(), slot, llr_format="int8")(grid).llr
    assert np.abs(wide).max() * 8 > 127
    np.testing.assert_array_equal(small, np.clip(np.rint(wide * 8), -127, 127).astype(np.int8))
    brain = torch.view_as_real(slot.y[0]).to(torch.bfloat16)
    rounded = torch.view_as_complex(brain.float()).numpy()
    library = handle(Blind(), slot)
    np.testing.assert_array_equal(library(brain.view(torch.uint16).numpy()).llr, library(rounded).llr)


@pytest.mark.parametrize("algorithm", [Lmmse, Blind], ids=["lmmse", "blind"])
def test_threads_and_receivers_do_not_meet(algorithm):
    """Two receivers in two threads, and threads within one: the same numbers as one after the other."""
    observation = slots(batch=4, num_prb=48)
    grids = [o.numpy() for o in observation.y]
    alone = handle(algorithm(), observation)
    expected = [alone(grid, 0.06).llr for grid in grids]
    shared = handle(algorithm(), observation, threads=2)
    for grid, llr in zip(grids, expected, strict=True):
        np.testing.assert_array_equal(shared(grid, 0.06).llr, llr)
    wrong: list[int] = []

    def work(order: int) -> None:
        library = handle(algorithm(), observation)
        for i in range(40):
            which = (i * order) % 4
            if not np.array_equal(library(grids[which], 0.06).llr, expected[which]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(order,)) for order in (1, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_refusals():
    slot = slots().part(0, 1)
    model, grid = model_bytes(Lmmse(), slot), slot.y[0].numpy()
    library = handle(Lmmse(), slot)
    bad = grid.copy()
    bad[0, 5, 7] = np.nan
    for arguments, status in (((bad, 0.1), 7), ((grid, 0.0), 8), ((grid, float("nan")), 7)):
        with pytest.raises(StatusError) as refused:
            library(*arguments)
        assert refused.value.status == status
    with pytest.raises(StatusError) as refused:
        library(grid, 0.1, np.ones(7, np.float32))
    assert refused.value.status == 6
    for broken in (b"", model[:-1], model[:40], b"x" + model[1:], model[:100] + b"\x01" + model[101:]):
        with pytest.raises(StatusError) as refused:
            Handle(build.built_library(), broken)
        assert refused.value.status == 3
    with pytest.raises(StatusError) as refused:
        Handle(build.built_library(), model[:8] + b"\x02" + model[9:])
    assert refused.value.status == 4
    # as good as before
    assert np.isfinite(library(grid, 0.1).llr).all()
    c = load(build.built_library())
    assert c.ran6g_process(None, None, None) == 1
    assert c.ran6g_status_text(99) == b"not a code of this library"


def test_floor_of_operations_and_bytes():
    # radix 2 throughout: the 5 N log2 N of the textbooks
    assert _transform(1024) == 5 * 1024 * 10
    # an odd prime p: half the products of the definition, a complex by a real number each
    assert _transform(149) == pytest.approx(2 * 149**2, rel=0.06)
    few, many = (work_of(Lmmse(), slots(rx=rx)) for rx in (2, 4))
    grid = 2 * 8 * 14 * 12 * 24
    assert many.num_bytes - few.num_bytes == grid
    assert many.flops < 2 * few.flops
    blind = work_of(Blind(), slots(rx=4))
    assert blind.flops < many.flops
    assert blind.least_s(1e9, 1e12) == blind.flops / 1e9
    assert blind.least_s(1e15, 1e9) == blind.num_bytes / 1e9


def test_receiver_of_an_experiment():
    observation = slots(layers=2, batch=2)
    for algorithm, reference in (("lmmse", Lmmse()), ("blind", Blind())):
        receiver = CLibrary(algorithm)
        expected = torch.cat([reference(observation.part(i, i + 1)) for i in range(2)])
        scale = float(expected.abs().max())
        torch.testing.assert_close(receiver(observation) / scale, expected / scale, rtol=0, atol=tolerance(12))
        again = pickle.loads(pickle.dumps(receiver))
        assert torch.equal(again(observation), receiver(observation))
        # DM-RS of another slot, for which the model file was not made
        pilots = observation.pilots * torch.exp(2j * torch.pi * torch.rand(observation.pilots.shape))
        other = replace(observation, pilots=pilots)
        expected = reference(other.part(0, 1))
        scale = float(expected.abs().max())
        torch.testing.assert_close(receiver(other)[:1] / scale, expected / scale, rtol=0, atol=tolerance(12))
    lost = replace(observation, y=observation.y * float("nan"))
    assert torch.isnan(CLibrary("blind")(lost)).all()


@pytest.mark.parametrize(
    ("receiver", "changes", "word"),
    [
        (Blind(noise="irc"), {}, "noise"),
        (Blind(num_reestimations=2), {}, "num_reestimations"),
        (Blind(reject_bursts=True), {}, "reject_bursts"),
        (Lmmse(reject_bursts=True), {}, "reject_bursts"),
        (Lmmse(detector="k-best"), {"layers": 2}, "detector"),
        (Lmmse(demapper="exact"), {}, "demapper"),
        (Blind(), {"config_type": 2}, "DM-RS"),
    ],
)
def test_what_the_library_does_not_do_is_refused(receiver, changes, word):
    with pytest.raises(ValueError, match=f"^{word}: got .*; allowed: "):
        model_bytes(receiver, slots(num_prb=4, **changes))
