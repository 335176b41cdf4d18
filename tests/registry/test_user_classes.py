"""Channels that a user brings in one file."""

import shutil

import pytest

import ran
from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.identity import scenario_id

CHANNEL = '''
import torch
from channels import Channel
from channels.request import checked_axis, normals
import fading_gain

class Flat(Channel):
    """Block fading of a user."""
    name = "flat"
    def __init__(self, mean_db: float = 0.0) -> None:
        self.mean_db = mean_db
    def response(self, generators, num_rx_ant, num_tx_ant, symbol_times_s, subcarrier_frequencies_hz, device="cpu"):
        self.check(num_rx_ant, num_tx_ant)
        n, k = checked_axis("t", symbol_times_s).size, checked_axis("f", subcarrier_frequencies_hz).size
        numbers = torch.from_numpy(normals(generators, num_rx_ant * num_tx_ant * 2)).double() * fading_gain.GAIN
        h = torch.view_as_complex(numbers.float().view(len(generators), num_rx_ant, num_tx_ant, 2))
        return h[..., None, None].expand(-1, -1, -1, n, k).contiguous()
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_channel.py").write_text(CHANNEL)
    (tmp_path / "fading_gain.py").write_text("GAIN = 0.5 ** 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    import sys

    sys.modules.pop("fading_gain", None)


def _values(folder, **channel):
    return {
        "channel": {"name": f"{folder / 'my_channel.py'}:Flat", **channel},
        "carrier": {"num_prb": 4},
        "num_rx_ant": 2,
        "receivers": ["perfect-csi"],
        "esn0_db": [8.0],
        "stopping": {"max_slots": 128},
    }


def test_a_users_channel_agrees_with_the_shipped_one_of_the_same_physics(folder):
    own = ran.simulate(_values(folder)).runs[0].points[0]
    shipped = ran.simulate({**_values(folder), "channel": "rayleigh-block"}).runs[0].points[0]
    # other streams, equal statistics: both intervals of 95 % hold one common value
    assert own.bler_low <= shipped.bler_high
    assert shipped.bler_low <= own.bler_high
    assert own.drops == 128
    assert 0 < own.block_errors < own.blocks


def test_identity_is_the_content_not_the_place(folder, tmp_path):
    def named(place, **channel):
        return scenario_id(Experiment(name="x", **_values(place, **channel)), 8.0)

    before = named(folder)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in ("my_channel.py", "fading_gain.py"):
        shutil.copy(folder / file, moved / file)
    assert named(moved) == before
    assert named(folder, mean_db=1.0) != before
    (folder / "fading_gain.py").write_text("GAIN = 1.0\n")  # a module beside it that it imports
    assert named(folder) != before


def test_options_are_checked_from_type_hints(folder):
    with pytest.raises(InputError, match=r"channel\.mean_db: got 'loud'; allowed: a valid number"):
        ran.simulate(_values(folder, mean_db="loud"))
    with pytest.raises(InputError, match="did you mean 'mean_db'"):
        ran.simulate(_values(folder, mean_dB=1.0))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_users_class_is_one_line_with_its_place(folder, workers):
    text = CHANNEL.replace("self.check(num_rx_ant, num_tx_ant)", "raise KeyError('gains')")
    (folder / "my_channel.py").write_text(text)
    line = 1 + text[: text.index("raise KeyError")].count("\n")
    with pytest.raises(InputError) as refusal:
        ran.simulate(_values(folder), workers=workers)
    assert str(refusal.value) == f"{folder / 'my_channel.py'}:{line}: KeyError: 'gains'"


def test_a_file_that_cannot_be_imported_names_its_line(folder):
    (folder / "my_channel.py").write_text("x = 1\nimport channels\nchannels.Nothing\n")
    with pytest.raises(InputError, match=r"cannot be imported: AttributeError: .*, line 3$"):
        ran.simulate(_values(folder))


def test_a_class_of_another_kind_is_refused(folder):
    (folder / "my_channel.py").write_text("class Flat:\n    pass\n")
    with pytest.raises(InputError, match=r"allowed: a subclass of channels\.Channel defined in"):
        ran.simulate(_values(folder))
