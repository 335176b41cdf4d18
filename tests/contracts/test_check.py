"""`ran check` on good and on faulty classes."""

import pytest

from ran.cli.main import main

GOOD = '''
import numpy as np, torch
from channels import Channel
class Mine(Channel):
    """Flat."""
    name = "mine"
    def response(self, generators, num_rx_ant, num_tx_ant, symbol_times_s, subcarrier_frequencies_hz, device="cpu"):
        shape = (num_rx_ant, num_tx_ant, 1, 1, 2)
        h = np.stack([g.standard_normal(shape).view(complex)[..., 0] for g in generators]) * SCALE
        h = torch.from_numpy(h.astype(np.complex64))
        return h.expand(-1, -1, -1, len(symbol_times_s), len(subcarrier_frequencies_hz))END
SCALE = 0.5 ** 0.5
'''
RECEIVER = '''
from receivers import LsLinear
class Mine(LsLinear):
    """LS."""
    def __call__(self, observation, truth=None):
        return SIGN * super().__call__(observation, truth)
'''


IMPAIRMENT = '''
import numpy as np, torch
from channels.impairments import Impairment
class Mine(Impairment):
    """A gain."""
    name = "mine"
    def _impair(self, waveform, sample_rate_hz, generators):
        gain = [DRAW for g in generators]
        return WHAT * torch.tensor(gain, dtype=torch.float32)[:, None, None]
'''
PREDICTOR = '''
import torch
from receivers.beams import BeamPrediction, BeamPredictor
from receivers.beams.best_measured import on_set_a
class Mine(BeamPredictor):
    """The strongest."""
    name = "mine"
    def __call__(self, observation, truth=None):
        rsrp = on_set_a(observation.latest())[:, None]
        return MADE
'''
GOOD_PREDICTION = "BeamPrediction.of_rsrp(rsrp.repeat(1, observation.num_horizon, 1))"


def _check(tmp_path, capsys, text):
    (tmp_path / "mine.py").write_text(text)
    status = main(["check", f"{tmp_path / 'mine.py'}:Mine"])
    return status, capsys.readouterr().out.splitlines()


def test_a_good_channel_and_a_good_receiver_pass(tmp_path, capsys):
    status, lines = _check(tmp_path, capsys, GOOD.replace("END", ".contiguous()"))
    assert (status, lines[-1].split(": ")[-1]) == (0, "channel, 7 of 7 tests passed")
    status, lines = _check(tmp_path, capsys, RECEIVER.replace("SIGN", "1"))
    assert (status, lines[-1].split(": ")[-1]) == (0, "receiver, 6 of 6 tests passed")


def test_a_good_impairment_and_a_good_beam_predictor_pass(tmp_path, capsys):
    status, lines = _check(tmp_path, capsys, IMPAIRMENT.replace("DRAW", "g.normal()").replace("WHAT", "waveform"))
    assert (status, lines[-1].split(": ")[-1]) == (0, "impairment, 5 of 5 tests passed")
    status, lines = _check(tmp_path, capsys, PREDICTOR.replace("MADE", GOOD_PREDICTION))
    assert (status, lines[-1].split(": ")[-1]) == (0, "beam predictor, 5 of 5 tests passed")


def test_an_export_target_whose_file_does_otherwise_fails(tmp_path, capsys):
    text = (
        "from ran.export.graphs import Graph\nfrom ran.export.targets import OaiDemapper\n"
        'class Mine(OaiDemapper):\n    """A demapper with a fault."""\n'
        "    def add_files(self, path, graph, module, link, esn0_db, found):\n"
        '        found.problems.append("made up")\n'
    )
    status, lines = _check(tmp_path, capsys, text)
    assert status == 1
    assert "passed  refuses a model that is not there" in lines
    assert any(line.startswith("failed  the file does as its origin: ") and "made up" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        (GOOD.replace("END", ".contiguous()").replace("SCALE = 0.5 ** 0.5", "SCALE = 1.0"), "unit mean power"),
        (
            GOOD.replace("END", ".contiguous()").replace("g.standard_normal(", "np.random.standard_normal("),
            "repeats with equal generators",
        ),
        (GOOD.replace("END", ""), "contiguous"),
        (
            IMPAIRMENT.replace("DRAW", "np.random.normal()").replace("WHAT", "waveform"),
            "repeats with equal generators",
        ),
        (
            IMPAIRMENT.replace("DRAW", "g.normal()").replace("WHAT", "waveform / waveform.abs()"),
            "finite, also of silence",
        ),
        (
            IMPAIRMENT.replace("DRAW", "1.0").replace("WHAT", "waveform.mul_(2)"),
            "the waveform is not changed",
        ),
        (PREDICTOR.replace("MADE", "BeamPrediction(rsrp, rsrp)"), "probabilities add up to 1"),
        (PREDICTOR.replace("MADE", "BeamPrediction.of_rsrp(rsrp.double())"), "shape and type"),
        (
            PREDICTOR.replace("MADE", "BeamPrediction.of_rsrp(rsrp - rsrp.mean())"),
            "a drop does not depend on its batch",
        ),
        (RECEIVER.replace("SIGN", "-1"), "positive LLRs mean bit 0"),
        (RECEIVER.replace("SIGN *", "observation.y.abs().mean() *"), "a slot does not depend on its batch"),
    ],
)
def test_a_faulty_class_fails_the_test_of_its_fault(tmp_path, capsys, text, failed):
    status, lines = _check(tmp_path, capsys, text)
    assert status == 1
    assert any(line.startswith(f"failed  {failed}: ") for line in lines), lines


def test_an_exception_is_one_line_with_its_place(tmp_path, capsys):
    text = RECEIVER.replace("SIGN", "missing")
    status, lines = _check(tmp_path, capsys, text)
    assert status == 1
    assert f"mine.py:{text[: text.index('missing')].count(chr(10)) + 1}: NameError: " in lines[0]


@pytest.mark.parametrize(
    ("text", "what"),
    [("class Mine:\n    pass\n", "allowed: FILE.py:Class or a registered name"), ("1 / 0\n", "ZeroDivisionError")],
)
def test_what_cannot_be_checked_is_refused(tmp_path, capsys, text, what):
    (tmp_path / "mine.py").write_text(text)
    assert main(["check", f"{tmp_path / 'mine.py'}:Mine"]) == 2
    assert what in capsys.readouterr().err
