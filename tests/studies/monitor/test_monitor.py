"""`ran monitor` on data sets and recordings, with a reference made by hand; references; bad input."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from recorded_slots import make
from small_set import write_small

from ran.cli.main import main
from ran.errors import InputError
from ran.recordings.config import DecodeConfig
from ran.recordings.grids import write_grids
from ran.studies.monitor.detection import Detection, Measured, damaged, lines
from ran.studies.monitor.page import CSV, JSON, PAGE
from ran.studies.monitor.reference import Reference, load_reference, make_reference, reference_path, training_window
from ran.studies.monitor.windows import DETECTORS, WINDOW, Bounds
from receivers import NeuralReceiver
from receivers.neural.weights import card_path, load_weights

WIDE = tuple((-1e9, 1e9) for _ in range(5))
LIMITS = {"inputs": 0.5, "calibration": 0.2, "worse": 1.3}
BOUNDS = Bounds(
    {2: WIDE, 4: WIDE},
    {"bits per symbol": (2, 4), "layers": (1, 2), "antennas": (2, 4), "DM-RS symbols": (1, 2)},
)
GARBAGE = """\
import torch

from receivers import Receiver


class Garbage(Receiver):
    '''Sure of what is wrong.'''

    name = "garbage"

    def __call__(self, observation, truth=None):
        shape = len(observation.y), observation.num_layers, observation.num_data_re, observation.bits_per_symbol
        return 20 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
"""


@pytest.fixture
def weights(tmp_path):
    """Weights with a reference that was made by hand."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(card_path("pusch-realtime").with_suffix(suffix), tmp_path / f"mine{suffix}")
    path = tmp_path / "mine.safetensors"
    sha256 = load_weights(str(path)).sha256
    reference_path(str(path)).parent.mkdir()
    Reference("mine", sha256, BOUNDS, LIMITS, 1, "by hand").save(reference_path(str(path)))
    return path


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "small.h5"
    write_small(path)
    return path


def test_a_data_set_without_and_with_alarms(weights, data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["monitor", "small.h5", "--weights", "mine.safetensors", "--out", "good"]) == 0
    printed = capsys.readouterr().out
    assert "no alarm" in printed
    assert "mine: " in printed
    Path("own.py").write_text(GARBAGE)
    command = ["monitor", "small.h5", "--weights", "mine.safetensors", "--receiver", "own.py:Garbage", "--out", "bad"]
    assert main(command) == 1
    printed = capsys.readouterr().out
    assert "50 of 50 slots lost" in printed
    assert "alarm of worse in 31 of 31 windows" in printed
    assert "alarm of calibration in 31 of 31 windows" in printed
    rows = list(csv.DictReader((tmp_path / "bad" / CSV).open()))
    assert len(rows) == 50
    assert rows[0]["name"] == "drop 0"
    assert rows[0]["alarms"] == ""
    assert rows[-1]["alarms"] == "calibration worse"
    values = json.loads((tmp_path / "bad" / JSON).read_text())
    assert values["slots_lost"] == 50
    assert values["windows_with_alarm"]["worse"] == 31
    page = (tmp_path / "bad" / PAGE).read_text()
    assert "<svg viewBox=" in page  # the time line, in the page's own colours
    assert "calibration, worse" in page


def test_a_recording(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    carrier = {"num_prb": 6, "slot_number": 0, "n_cell_id": 41}
    config = DecodeConfig(carrier=carrier, pusch={"mcs_index": 5})
    made = make(config, WINDOW + 1, 2, slot_numbers=[i % 20 for i in range(WINDOW + 1)])
    write_grids(Path("slots.npy"), made.grids)
    text = "carrier: {num_prb: 6, slot_number: 0, n_cell_id: 41}\npusch: {mcs_index: 5}\n"
    Path("slots.yaml").write_text(text + "grid: {axes: slot antenna symbol subcarrier}\nnum_rx_ant: 2\n")
    command = ["monitor", "slots.npy", "--config", "slots.yaml", "--weights", "mine.safetensors"]
    assert main([*command, "--receiver", "{name: arbitrated}"]) == 0
    printed = capsys.readouterr().out
    assert f"arbitrated: 0 of {WINDOW + 1} slots lost" in printed
    assert "no alarm" in printed
    write_grids(Path("slots.npy"), made.grids[:3])
    assert main(command) == 2
    assert f"got 3 slots; allowed: at least {WINDOW}" in capsys.readouterr().err


def test_bad_input_is_said_in_one_line(weights, data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy("mine.safetensors", "bare.safetensors")
    shutil.copy("mine.json", "bare.json")
    Path("x.txt").write_text("")
    own = ["--weights", "mine.safetensors"]
    for arguments, says in (
        (["nowhere.h5", *own], "nowhere.h5', which is not there"),
        (["x.txt", *own], "allowed: a data set, .h5, .hdf5, .zarr, or a recording with --config"),
        (["small.h5", "--weights", "bare.safetensors"], "without its reference bare.json"),
        (["small.h5", "--weights", "pusch-realtme"], "pusch-realtme"),
        (["small.h5", *own, "--receiver", "blnd"], "did you mean 'blind'"),
        (["small.h5", *own, "--set", "a=1"], "--set: got some without --config"),
        (["small.h5", *own, "--receiver", "perfect-csi"], "which needs the truth"),
    ):
        assert main(["monitor", *arguments]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


def test_a_reference_belongs_to_its_weights(weights):
    path = reference_path(str(weights))
    assert load_reference(str(weights)).thresholds == LIMITS
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"sha256": "0" * 64}))
    with pytest.raises(InputError, match="of other weights than"):
        load_reference(str(weights))
    path.write_text(json.dumps(values | {"thresholds": {}}))
    with pytest.raises(InputError, match="damaged: KeyError"):
        load_reference(str(weights))


def test_a_reference_is_what_the_training_is_like():
    found = make_reference("pusch-hybrid", 2)
    known = found.bounds.configurations
    assert set(known["DM-RS symbols"]) <= {2, 3}
    assert set(known["antennas"]) <= {2, 4}
    assert set(found.thresholds) == set(DETECTORS)
    receiver = NeuralReceiver("pusch-hybrid")
    again = training_window(receiver, receiver.card["training"], "pusch-hybrid", 1, 1)
    assert len(again) == WINDOW
    assert not any(found.bounds.unlike(record) for record in again)
    with pytest.raises(InputError, match="trained on a data set"):
        training_window(receiver, {"data": {}}, "x", 0, 1)


@pytest.mark.parametrize("name", ["pusch-realtime", "pusch-hybrid"])
def test_shipped_references_fit_their_weights(name):
    found = load_reference(name)
    assert found.num_windows >= 300
    card = load_weights(name).card
    assert set(found.bounds.ranges) == set(card["bits_per_symbol"])
    assert set(found.bounds.configurations["layers"]) == set(card["num_layers"])


def test_area_under_the_curve_and_delay():
    reference = Reference("x", "", BOUNDS, LIMITS, 1, "")

    def scene(worse, values, delays=(None, None, None)):
        scores = tuple(dict.fromkeys(DETECTORS, value) for value in values)
        return Measured("s", 9, 1, 20, worse, scores, delays)

    scenes = (
        scene(True, (3, 1), (4, 20, 9)),
        scene(True, (2, 2), (21, None, 5)),
        scene(False, (0, 1)),
        scene(None, (9, 9)),
    )
    found = Detection("x", reference, scenes, dict.fromkeys(DETECTORS, 1), 100, ())
    # of 8 pairs one ties
    area = found.auc("worse")
    assert area.value == pytest.approx(7.5 / 8)
    assert area.low <= 7.5 / 8 <= area.high
    assert not Detection("x", reference, scenes[:2], found.false_alarms, 1, ()).auc("worse").is_known
    said = lines(found)
    assert said[-1] == (
        "scenes in which it is worse: 2; an alarm within 20 slots after 4 of 6 windows of training, after all of them "
        "in 1 scenes"
    )
    assert said[0].endswith("alarm within 20 slots after 3 of 3 windows of training, after 4 to 20 slots, the median 9")
    assert any(line.startswith("worse: AUC 0.938") for line in said)


def test_damage_is_of_the_size_that_is_asked_for():
    plain, broken = NeuralReceiver("pusch-realtime"), damaged("pusch-realtime", 0.5)
    pairs = [(a.detach(), b.detach()) for a, b in zip(plain.model.parameters(), broken.model.parameters(), strict=True)]
    shares = [float((b - a).std() / a.abs().mean()) for a, b in pairs if a.numel() > 1000]
    assert shares
    # a standard deviation of n numbers is known to 1 / sqrt(2 n)
    assert all(abs(share / 0.5 - 1) < 5 / np.sqrt(2000) for share in shares)
