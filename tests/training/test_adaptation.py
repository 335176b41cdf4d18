"""`ran train --from-recording`: pseudo-labels of the decoder, replay of general slots, and a gate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_set import write_small

from ran.cli.main import main
from ran.datasets.reader import DropDataset
from ran.errors import InputError
from ran.training.adaptation import adaptation_recipe
from ran.training.decoded_slots import DecodedSlots
from ran.training.loop import Trainer
from ran.training.slot_train import build_model
from ran.training.train import run_recipe
from ran.training.trained_range import trained_range
from receivers.neural.weights import load_weights

#: So small that a training takes seconds: one guard of two slots, and two steps.
SMALL = ["schedule.steps=2", "schedule.validate_every=1", "schedule.checkpoint_every=1", "schedule.batch_slots=4"]
GUARD = (
    "{esn0_db: 0, num_slots: 2, guard: true, slots: {carrier: {num_prb: 2}, pusch: {mcs_index: 5}, num_rx_ant: 2, "
    "channel: {name: awgn}}}"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "set.h5"
    # at 0 dB some blocks are lost
    write_small(path, with_channel=True)
    return path


def small(data: Path, *more: str):
    parts = f"validation=[{{data: '{data}', num_slots: 4}}, {GUARD}]"
    return adaptation_recipe(data, "pusch-hybrid", [*SMALL, parts, *more])


def test_only_slots_with_a_right_crc_are_labelled_and_rightly(data: Path) -> None:
    every, decoded = DropDataset(data, "train"), DecodedSlots(data, "train", "pusch-hybrid")
    assert 0 < len(decoded) < len(every) == decoded.num_sent
    # the decoder's bits are those that were sent, though the file's were not looked at
    truth = decoded(list(range(len(decoded))))[1]
    assert torch.equal(truth.coded_bits, decoded.dataset.batch(range(len(decoded)))["coded_bits"])
    assert set(decoded.dataset.drops) < set(every.drops)


def test_the_bits_of_the_file_are_not_looked_at(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = DecodedSlots(data, "train", "pusch-hybrid")
    plain = DropDataset.batch

    def without_bits(self, indices):
        batch = plain(self, indices)
        for name in ("coded_bits", "transport_blocks"):
            batch[name] = torch.zeros_like(batch[name])
        return batch

    monkeypatch.setattr(DropDataset, "batch", without_bits)
    found = DecodedSlots(data, "train", "pusch-hybrid")
    assert np.array_equal(found.dataset.drops, expected.dataset.drops)
    assert torch.equal(found([0, 1])[1].coded_bits, expected([0, 1])[1].coded_bits)


def test_the_recipe_keeps_what_the_weights_are(data: Path) -> None:
    recipe = adaptation_recipe(data, "pusch-realtime")
    card = load_weights("pusch-realtime").card
    assert recipe.model == card["architecture"]
    assert recipe.replay is not None
    assert recipe.replay.recipe == "pusch-realtime"
    assert recipe.schedule.channel_mse == 0
    assert [part.guard for part in recipe.validation] == [False] + [True] * (len(recipe.validation) - 1)
    assert len(recipe.validation) > 4


@pytest.mark.slow
def test_a_training_ends_in_weights_or_in_a_refusal_and_resumes(data: Path, tmp_path: Path) -> None:
    """A guard that nothing can keep refuses; with room the weights come out, with the range that was trained."""
    with pytest.raises(InputError, match="no look at the held-out slots was better without losing"):
        # weights that move nowhere are better nowhere
        run_recipe(small(data, "schedule.learning_rate=1e-30"), tmp_path / "same")
    recipe = small(data, "guard_tolerance=10")
    trainer = Trainer(recipe, build_model(recipe), tmp_path / "b")
    (tmp_path / "b").mkdir()
    trainer.run(lambda row: None)
    straight = {key: value.clone() for key, value in trainer.average.items()}
    (tmp_path / "c").mkdir()
    killed = Trainer(recipe, build_model(recipe), tmp_path / "c")
    killed._begin()
    killed.one_step()
    killed.validate()
    killed.save()
    again = Trainer(recipe, build_model(recipe), tmp_path / "c")
    again.resume()
    again.run(lambda row: None)
    for key, value in straight.items():
        assert torch.equal(again.average[key], value), key


def test_the_card_keeps_the_trained_range(data: Path, tmp_path: Path) -> None:
    recipe = small(data)
    assert trained_range(recipe)["trained_range"] == load_weights("pusch-hybrid").card["trained_range"]
    assert trained_range(recipe.model_copy(update={"init": None, "labels": "all"})) == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--from-recording", "gone.h5"], "--from-recording: got 'gone.h5', which is not there"),
        (["--from-recording", "set.txt"], "--from-recording: got 'set.txt'; allowed: a data set"),
        (["pusch-hybrid", "--from-recording", "gone.h5"], "RECIPE, --from-recording: got both; allowed: one of them"),
        ([], "RECIPE, --from-recording: got neither; allowed: one of them"),
        (["--from-recording", "DATA", "--init", "pusch-hybird"], "pusch-hybrid"),
        (["--from-recording", "DATA", "--init", "pusch-hybrid", "--set", "replay.recipe=gone"], "replay.recipe"),
        (["--from-recording", "DATA", "--init", "pusch-pilotless"], "does not know QPSK"),
    ],
)
def test_bad_input_is_one_line(options, expected, data: Path, tmp_path: Path, capsys) -> None:
    asked = [str(data) if option == "DATA" else option for option in options]
    assert main(["train", *asked, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
