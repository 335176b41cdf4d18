"""The compiled path of the classical receivers against the torch path, which other tests hold against Sionna."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers import Lmmse, LsLinear, PerfectCsi
from receivers.classical import equalizer, linear, pilots
from receivers.classical.equalizer import detect
from receivers.classical.linear import estimate_linear, interpolate_linear
from receivers.classical.lmmse import WienerInterpolator
from receivers.classical.processor import runs_compiled
from receivers.classical.unrolled import MAX_LAYERS

TDL = {"name": "tdl", "profile": "C", "delay_spread_ns": 200, "max_doppler_hz": 200}
MCS_OF_BITS = {2: (1, 4), 4: (1, 14), 6: (1, 22), 8: (2, 22)}


def observe(num_layers=1, bits=4, groups=2, num_prb=23, num_rx_ant=4, esn0_db=8.0, batch=2, num_symbols=14, position=1):
    table, index = MCS_OF_BITS[bits]
    pusch = Pusch(
        mcs_table=table,
        mcs_index=index,
        num_symbols=num_symbols,
        dmrs=Dmrs(num_cdm_groups_without_data=groups, additional_position=position),
    )
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=pusch,
        users=Users(num_users=num_layers),
        num_rx_ant=num_rx_ant,
        channel=TDL,
    )
    made = Link(config).batch(range(batch), esn0_db, 5, "kernels")
    return made.observation, made.truth


@pytest.fixture
def torch_only(monkeypatch):
    """Call to turn the compiled path off."""

    def off():
        for module in (equalizer, linear, pilots):
            monkeypatch.setattr(module, "runs_compiled", lambda *tensors: False)

    return off


def assert_close(got, expected):
    """Equal but for rounding, relative to the typical size of a bit's LLRs."""
    scale = expected.abs().mean((0, 1, 2))
    assert float(((got - expected).abs() / (expected.abs() + scale)).max()) < 2e-4
    assert float(((got - expected).abs() / scale).mean()) < 5e-6


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize(("groups", "num_symbols", "position"), [(2, 14, 1), (1, 11, 2)])
def test_one_layer_of_every_modulation(bits, groups, num_symbols, position, torch_only):
    # 23 PRB: the last block of resource elements is shorter than the others
    observation, truth = observe(1, bits, groups, num_symbols=num_symbols, position=position)
    receivers = (LsLinear(), Lmmse(), PerfectCsi())
    compiled = [receiver(observation, truth) for receiver in receivers]
    torch_only()
    for receiver, got in zip(receivers, compiled, strict=True):
        expected = receiver(observation, truth)
        assert got.shape == expected.shape == truth.coded_bits.shape
        assert_close(got, expected)


@pytest.mark.parametrize(("num_layers", "groups", "num_rx_ant"), [(2, 2, 4), (2, 1, 3), (3, 2, 4), (4, 2, 8)])
def test_several_layers(num_layers, groups, num_rx_ant, torch_only):
    observation, truth = observe(num_layers, 4, groups, num_rx_ant=num_rx_ant)
    receivers = (LsLinear(), PerfectCsi())
    compiled = [receiver(observation, truth) for receiver in receivers]
    torch_only()
    for receiver, got in zip(receivers, compiled, strict=True):
        assert_close(got, receiver(observation, truth))


def many_layers(num_layers, num_rx_ant, num_prb=2):
    """An observation of more layers than there are DM-RS ports; only what detection looks at makes sense."""
    observation, _ = observe(1, num_prb=num_prb, num_rx_ant=num_rx_ant)
    torch.manual_seed(1)
    h = torch.randn(2, num_rx_ant, num_layers, 14, 12 * num_prb, dtype=torch.complex64)
    err_var = 0.05 * torch.rand(2, num_layers, 14, 12 * num_prb)
    y = h.sum(2) + 0.1 * torch.randn(2, num_rx_ant, 14, 12 * num_prb, dtype=torch.complex64)
    return replace(observation, y=y, pilots=observation.pilots.expand(num_layers, -1, -1)), h, err_var


@pytest.mark.slow
@pytest.mark.parametrize("num_layers", range(5, MAX_LAYERS + 1))
def test_more_layers(num_layers, torch_only):
    observation, h, err_var = many_layers(num_layers, 12)
    got = detect(observation, h, err_var)
    torch_only()
    assert_close(got, detect(observation, h, err_var))


def test_more_layers_than_kernels_are_written_for():
    observation, h, err_var = many_layers(MAX_LAYERS + 1, 16)
    llr = detect(observation, h, err_var)
    assert llr.shape == (2, MAX_LAYERS + 1, 12 * 24, 4)
    assert torch.isfinite(llr).all()


def test_detection_in_steps_of_symbols_changes_nothing(torch_only, monkeypatch):
    observation, truth = observe(2, groups=1)
    torch_only()
    with torch.no_grad():
        whole = detect(observation, truth.h, None)
        monkeypatch.setattr(equalizer, "STEP_BYTES", 1)
        torch.testing.assert_close(detect(observation, truth.h, None), whole)


def test_estimates_on_the_grid(torch_only):
    observation, _ = observe(4)
    interpolator = WienerInterpolator(200e-9, 200.0)
    compiled = interpolate_linear(observation), interpolator(observation)
    torch_only()
    for got, expected in zip(compiled, (interpolate_linear(observation), interpolator(observation)), strict=True):
        torch.testing.assert_close(got[0], expected[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(got[1], expected[1], rtol=1e-4, atol=1e-6)


def test_gradients_take_the_torch_path():
    observation, truth = observe(2, 6)
    h = truth.h.clone().requires_grad_()
    llr = detect(observation, h, None)
    assert_close(detect(observation, truth.h, None), llr.detach())
    llr.abs().sum().backward()
    assert torch.isfinite(torch.view_as_real(h.grad)).all()
    assert h.grad.abs().max() > 0
    with torch.no_grad():
        assert not detect(observation, h, None).requires_grad
        assert runs_compiled(h)
    assert not runs_compiled(h)
    assert not runs_compiled(torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize("receiver", [LsLinear(), Lmmse(), PerfectCsi()], ids=lambda r: r.name)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_a_slot_does_not_depend_on_its_batch(receiver, num_layers):
    observation, truth = observe(num_layers, 6, batch=5)
    whole = receiver(observation, truth)
    part = receiver(observation.part(3, 4), replace(truth, h=truth.h[3:4]))
    if receiver.name == "lmmse":  # its matrix products are the library's
        torch.testing.assert_close(part[0], whole[3], rtol=1e-3, atol=1e-3)
    else:
        assert torch.equal(part[0], whole[3])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bits", [2, 8])
def test_bad_numbers_stay_visible(bad, num_layers, bits):
    observation, truth = observe(num_layers, bits)
    position = truth.coded_bits.shape[2] // 2
    data = observation.data_mask.flatten().nonzero()[position].item()
    y = observation.y.clone()
    y.flatten(2)[1, 2, data] = bad
    llr = detect(replace(observation, y=y), truth.h, None)
    assert not torch.isfinite(llr[1, :, position]).any()
    llr[1, :, position] = 0
    assert torch.isfinite(llr).all()
    for of in ("h", "noise"):
        h, noise = truth.h.clone(), observation.noise_var.clone()
        if of == "h":
            h.flatten(3)[0, 1, 0, data] = bad
        else:
            noise[0] = float("nan")
        llr = detect(replace(observation, noise_var=noise), h, None)
        assert not torch.isfinite(llr[0, :, position]).all(), of


def test_strided_inputs_are_understood():
    observation, _ = observe(1)
    wide = torch.stack([observation.y, observation.y], dim=-1)[..., 0]
    conjugated = observation.y.conj().clone().conj()
    assert not wide.is_contiguous()
    expected = LsLinear()(observation)
    for y in (wide, conjugated):
        assert torch.equal(LsLinear()(replace(observation, y=y)), expected)


def test_estimate_of_ls_is_small():
    observation, _ = observe(4, num_rx_ant=8)
    # two functions over frequency instead of 14 symbols
    assert estimate_linear(observation).modes.shape == (2, 8, 4, 2, 276)


SCRIPT = """
import torch
from receivers import LsLinear, PilotLayout, SlotObservation
torch.manual_seed(1)
pilots = torch.zeros(1, 14, 24, dtype=torch.complex64)
pilots[:, 2, ::2] = 1
mask = torch.ones(14, 24, dtype=torch.bool)
mask[2] = False
layout = PilotLayout(symbols=(2,), first_subcarrier=(0,), spacing=2, cover_code=((1, 1),))
y = torch.randn(1, 2, 14, 24, dtype=torch.complex64)
times = torch.arange(14, dtype=torch.float64)
print(LsLinear()(SlotObservation(y, pilots, layout, mask, torch.ones(1), 4, 1.0, (0,), times, 3e4)).sum().item())
"""


def start(cache):
    environment = {**os.environ, "RAN_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_processes_may_compile_at_once_and_a_torn_or_unwritable_cache_does_no_harm(tmp_path):
    cache = tmp_path / "cache"
    results = []
    for process in [start(cache), start(cache)]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        results.append(out)
    files = {path.name for path in (cache / "generated").iterdir() if path.suffix == ".py"}
    assert len(files) == 1
    (source,) = (cache / "generated").glob("*.py")
    source.write_text(source.read_text()[:500])
    blocked = tmp_path / "file"
    blocked.write_text("")
    for process in [start(cache), start(blocked / "below")]:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        results.append(out)
    assert len(set(results)) == 1, results
    assert np.isfinite(float(results[0]))
    assert {path.name for path in (cache / "generated").iterdir() if path.suffix == ".py"} == files
