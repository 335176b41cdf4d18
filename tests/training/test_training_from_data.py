"""Training from a data set: its training part alone, in an order that depends on seed and step; bad files refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from small_set import write_small

from ran.datasets.reader import DropDataset
from ran.errors import InputError
from ran.training.card import card_text
from ran.training.catalogue import load_recipe
from ran.training.slots import RecordedSlots
from ran.training.train import run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "set.h5"
    write_small(path)
    return path


def recipe_file(folder: Path, source: Path, **changes: object) -> str:
    recipe = {
        "name": "tiny",
        "model": {"name": "hybrid", "num_channels": 8, "dilations": [1], "num_passes": 2},
        "bits_per_symbol": [2],
        "data": str(source),
        "schedule": {"steps": 12, "batch_slots": 8, "checkpoint_every": 5, "log_every": 2, "warmup_steps": 2},
        **changes,
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return str(file)


def test_weights_come_out_and_the_card_names_the_data(data: Path, tmp_path: Path) -> None:
    weights = run(recipe_file(tmp_path, data), tmp_path / "out")
    assert weights.is_file()
    card = weights.with_suffix(".json").read_text()
    assert '"file": "set.h5"' in card
    assert '"content"' in card
    curve = json.loads(card)["training"]["learning_curve"]
    assert [row["slots"] for row in curve] == [16, 32, 48, 64, 80, 96]
    text = card_text(json.loads(card))
    assert "these weights are of the last, 96 slots" in text
    assert f"| 96 | {curve[-1]['training']} |" in text


def test_steps_take_training_slots_in_a_new_order_per_epoch(data: Path, tmp_path: Path) -> None:
    source = RecordedSlots(load_recipe(recipe_file(tmp_path, data)), torch.device("cpu"))
    train = DropDataset(data, "train")
    every = train.batch(range(len(train)))["y"]
    first = [source(step)[0].y for step in range(source.batches_per_epoch)]
    for batch in first:
        for slot in batch:
            assert (every == slot).flatten(1).all(1).any()
    again = source(source.batches_per_epoch)[0].y
    assert not torch.equal(again, first[0])
    assert torch.equal(source(0)[0].y, first[0])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data": "gone.h5"}, "gone.h5: no such file"),
        ({"bits_per_symbol": [4]}, r"bits_per_symbol: got \[4\], but the slots hold 2"),
        ({"slots": {"num_rx_ant": 2}}, "slots, data: got both; allowed: one of them"),
        ({"data": None}, "slots, data: got neither; allowed: one of them"),
        ({"schedule": {"steps": 1, "batch_slots": 64}}, "batch_slots: got 64; allowed: at most the 35"),
    ],
)
def test_bad_recipes(changes: dict, expected: str, data: Path, tmp_path: Path) -> None:
    file = recipe_file(tmp_path, data, **changes)
    with pytest.raises(InputError, match=expected):
        run(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_without_channels(tmp_path: Path) -> None:
    write_small(tmp_path / "set.h5", with_channel=False)
    with pytest.raises(InputError, match="holds no h; allowed: slots written with their channel"):
        run(recipe_file(tmp_path, tmp_path / "set.h5"), tmp_path / "out")
