"""`ran bench latency`: quantiles per model against the slot durations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ran.bench.latency import LatencyRow, budgets_s, markdown, shares, verdict
from ran.bench.runtimes import in_runtime
from ran.bench.work import product_flops
from ran.cli.main import main
from ran.link import Link, LinkConfig
from ran.link.catalogue import build_receiver
from ran.link.latency import Latency, slot_latency
from receivers import LsLinear
from receivers.c_library.build import compiler
from receivers.onnx.export import export_generic


def test_budgets_are_the_slot_durations():
    assert budgets_s() == {15: 1e-3, 30: 5e-4, 60: 2.5e-4, 120: 1.25e-4}
    assert verdict(Latency(1e-4, 2e-4, 3e-4, 10)) == "15 kHz, 30 kHz"
    assert verdict(Latency(1e-3, 2e-3, 3e-3, 10)) == "none"
    assert shares(Latency(1e-4, 2e-4, 3e-4, 10)) == pytest.approx([30, 60, 120, 240])


def test_quantiles_of_known_delays(monkeypatch):
    link = Link(LinkConfig(channel="awgn", num_rx_ant=1))
    observation = link.batch(range(2), 10.0, 1, "latency", False).observation
    seen = []

    class Timed(LsLinear):
        def __call__(self, slot, truth=None):
            seen.append(slot.y.shape[0])
            return torch.zeros(1)

    delays = np.linspace(1e-3, 2e-3, 101)
    ticks = iter(np.stack([np.zeros(101), delays], 1).ravel().tolist())
    monkeypatch.setattr("ran.link.latency.time.perf_counter", lambda: next(ticks, 0.0))
    found = slot_latency(Timed(), observation, 101, num_warm_up=0)
    assert set(seen) == {1}
    assert found.median_s == pytest.approx(1.5e-3)
    assert found.p99_s == pytest.approx(1.99e-3)
    assert found.p999_s == pytest.approx(1.999e-3)


def test_operations_of_products():
    weight, image = torch.ones(6, 3, 3, 3), torch.ones(2, 3, 10, 12)
    # every output number takes 27 multiply-adds
    assert product_flops(lambda: torch.conv2d(image, weight, padding=1)) == 2 * (2 * 6 * 10 * 12) * 27
    real, complex_ = torch.ones(5, 7), torch.ones(7, 4, dtype=torch.complex64)
    assert product_flops(lambda: real @ real.T) == 2 * 5 * 5 * 7
    assert product_flops(lambda: complex_.mT.conj() @ complex_) == 8 * 4 * 4 * 7
    assert product_flops(lambda: torch.relu(real)) == 0


def test_share_of_the_peak():
    row = LatencyRow("m", "torch", "cpu", 1, Latency(1e-3, 2e-3, 3e-3, 10), None, 10**7, 1e11)
    assert row.share_of_peak == pytest.approx(0.1)
    assert "| 0.01 | 10% of 100 GFLOP/s |" in markdown([row], "ran bench latency m")
    assert LatencyRow("m", "torch", "cpu", 1, row.latency, None).share_of_peak is None


def test_runtimes_of_trained_weights(tmp_path, capsys):
    command = ["bench", "latency", "pusch-hybrid", "ls-linear", "--slots", "10", "--set", "carrier.num_prb=2"]
    assert main([*command, "--runtime", "eager", "--runtime", "onnx", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "latency.json").read_text())
    assert [(row["model"], row["runtime"]) for row in rows] == [
        ("pusch-hybrid", "torch"),
        ("pusch-hybrid", "onnxruntime"),
        ("ls-linear", "torch"),
    ]
    assert rows[0]["flops"] == rows[1]["flops"] > 1e6
    assert rows[0]["gemm_flops_per_s"] > 1e8
    assert main([*command, "--runtime", "onxx", "--out", str(tmp_path)]) == 2
    assert "--runtime: got 'onxx'" in capsys.readouterr().err


@pytest.mark.slow
def test_compiled_networks_say_the_same():
    link = Link(LinkConfig(channel={"name": "tdl", "profile": "TDLB100", "max_doppler_hz": 10.0}))
    observation = link.batch(range(1), 10.0, 1, "latency", False).observation
    eager = build_receiver({"name": "neural", "weights": "pusch-hybrid"})
    compiled = in_runtime(eager, "compile", 4, 1)
    assert torch.allclose(compiled(observation), eager(observation), atol=1e-2, rtol=1e-3)


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    export_generic("pusch-hybrid", "model.onnx")
    command = ["bench", "latency", "pusch-hybrid", "model.onnx", "ls-linear", "--slots", "10", "--out", "latency"]
    assert main([*command, "--num-prb", "2", "--num-prb", "3"]) == 0
    printed = capsys.readouterr().out
    assert "/model.onnx | onnxruntime, cpu | 2 |" in printed
    assert "| of 0.125 ms (120 kHz) |" in printed
    rows = json.loads((tmp_path / "latency" / "latency.json").read_text())
    assert [row["runtime"] for row in rows] == ["torch", "onnxruntime", "torch"] * 2
    assert [row["num_prb"] for row in rows] == [2] * 3 + [3] * 3
    assert main([*command, "--num-prb", "2", "--num-prb", "2"]) == 2
    assert "--num-prb: got [2, 2]; allowed: different numbers" in capsys.readouterr().err
    assert all(0 < row["latency"]["median_s"] <= row["latency"]["p999_s"] for row in rows)
    assert rows[1]["model_only"]["median_s"] < rows[1]["latency"]["p999_s"]
    assert (tmp_path / "latency" / "latency.png").stat().st_size > 5000
    assert main(["bench", "latency", "pusch-hybird"]) == 2
    assert "did you mean 'pusch-hybrid'" in capsys.readouterr().err
    assert main(["bench", "latency", "perfect-csi"]) == 2
    assert "a genie" in capsys.readouterr().err


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler ($CXX, g++, clang++, c++)")
def test_receivers_with_options(tmp_path, capsys):
    block = "{name: c-library, algorithm: blind}"
    command = ["bench", "latency", "--slots", "10", "--num-prb", "2", "--out", str(tmp_path)]
    assert main([*command, block, "{name: lmmse, detector: ep}"]) == 0
    rows = json.loads((tmp_path / "latency.json").read_text())
    assert [(row["model"], row["runtime"]) for row in rows] == [
        (block, "C library"),
        ("{name: lmmse, detector: ep}", "torch"),
    ]
    capsys.readouterr()
    for wrong, message in (("{name: lmmse, detectr: ep}", "did you mean 'detector'?"), ("{}", "model.name: got None")):
        assert main([*command, wrong]) == 2
        error = capsys.readouterr().err.strip()
        assert message in error
        assert len(error.splitlines()) == 1
