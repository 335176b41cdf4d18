"""`ran bench latency`: quantiles per model against the slot durations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ran.bench.latency import budgets_s, shares, verdict
from ran.cli.main import main
from ran.link import Link, LinkConfig
from ran.link.latency import Latency, slot_latency
from receivers import LsLinear
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
