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


def _check(tmp_path, capsys, text):
    (tmp_path / "mine.py").write_text(text)
    status = main(["check", f"{tmp_path / 'mine.py'}:Mine"])
    return status, capsys.readouterr().out.splitlines()


def test_a_good_channel_and_a_good_receiver_pass(tmp_path, capsys):
    status, lines = _check(tmp_path, capsys, GOOD.replace("END", ".contiguous()"))
    assert (status, lines[-1].split(": ")[-1]) == (0, "channel, 7 of 7 tests passed")
    status, lines = _check(tmp_path, capsys, RECEIVER.replace("SIGN", "1"))
    assert (status, lines[-1].split(": ")[-1]) == (0, "receiver, 5 of 5 tests passed")


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        (GOOD.replace("END", ".contiguous()").replace("SCALE = 0.5 ** 0.5", "SCALE = 1.0"), "unit mean power"),
        (
            GOOD.replace("END", ".contiguous()").replace("g.standard_normal(", "np.random.standard_normal("),
            "repeats with equal generators",
        ),
        (GOOD.replace("END", ""), "contiguous"),
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
