"""Files in smaller numbers from weak to strong signals: what is rejected, and that exports ask for it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from ran.export import run
from ran.export.catalogue import target_of
from ran.export.request import Request
from ran.export.slots import experiment_of
from ran.export.sweep import SWEEP_ESN0_DB, smallest_slots, sweep
from ran.export.targets import TARGETS
from ran.report.crossing import Estimate
from receivers import LsLinear, Receiver


class Spoilt(Receiver):
    """LLRs of `LsLinear` times a factor where the noise is as weak as at an SNR, or weaker."""

    name = "spoilt"

    def __init__(self, factor: float, from_db: float) -> None:
        self.factor, self.noise_var = factor, 1.01 * 10 ** (-from_db / 10)

    def __call__(self, observation, truth=None):
        llr = LsLinear()(observation)
        llr[0] *= self.factor if observation.noise_var[0] < self.noise_var else 1.0
        return llr


@pytest.fixture(scope="module")
def links():
    return smallest_slots(experiment_of("pusch-receivers", TARGETS["onnx"].changes, ()))


def test_equal_files_have_no_problem(links):
    points = sweep(links, LsLinear(), LsLinear(), 4.0, 1)
    assert [point.slots for point in points[:: len(SWEEP_ESN0_DB)]] == ["1 PRB, 1 antenna", "1 PRB, 2 antennas"]
    assert [point.problem for point in points] == [""] * len(points)
    assert all(point.float32 == point.smaller and point.lost == 0 and point.finite for point in points)
    # the sweep begins where no block is decoded, and ends where all are
    assert points[-len(SWEEP_ESN0_DB)].float32 == points[-1].num_blocks
    assert points[-1].float32 == 0


def test_what_is_not_finite_is_a_problem_anywhere(links):
    points = sweep(links[1:], LsLinear(), Spoilt(torch.nan, 40.0), 4.0, 1)
    assert [point.finite for point in points] == [True, True, True, False, False, False]
    assert points[3].problem == "LLRs are not finite at 40 dB (1 PRB, 2 antennas)"


def test_blocks_lost_are_a_problem_above_the_waterfall_alone(links):
    points = sweep(links[1:], LsLinear(), Spoilt(-1.0, 10.0), 4.0, 1)
    assert [point.lost for point in points] == [0, 1, 1, 1, 1, 1]
    told = [point.problem for point in points]
    assert told[:2] == ["", ""]
    assert told[2] == "1 of 8 blocks that float32 decodes are lost at 30 dB (1 PRB, 2 antennas)"
    assert all(told[2:])


def rounded_llrs(path: Path) -> None:
    """A file whose LLRs go through float16, which ends at 65504."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.output[:] = ["whole" if name == "llr" else name for name in node.output]
    model.graph.node.append(helper.make_node("Cast", ["whole"], ["half"], to=TensorProto.FLOAT16))
    model.graph.node.append(helper.make_node("Cast", ["half"], ["llr"], to=TensorProto.FLOAT))
    onnx.save(model, path)


def test_an_export_that_fails_on_strong_signals_alone_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr("ran.export.formats.to_f16", rounded_llrs)
    monkeypatch.setattr(run, "decided_loss", lambda *args: Estimate(0.0, 0.0, 0.0))  # in the waterfall there is none
    request = Request(
        "pusch-hybrid",
        target_of("onnx"),
        tmp_path / "out",
        num_prb=(2,),
        dtype="f16",
        num_slots=8,
        latency_slots=2,
    )
    outcome = run.export(request)
    assert outcome.folder.name == "out.rejected"
    assert outcome.problems
    assert all("LLRs are not finite at" in problem for problem in outcome.problems)
    assert any("at 80 dB" in problem for problem in outcome.problems)
    (file,) = outcome.files
    assert {point.slots for point in file.sweep} == {"its slots", "1 PRB, 1 antenna", "1 PRB, 2 antennas"}
    assert "| 1 PRB, 1 antenna | 80 | 8 |" in (outcome.folder / "REPORT.md").read_text()
