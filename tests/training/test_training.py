"""Training: the loss falls, a kill resumes to identical weights, recipes are checked before the first step."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from ran.errors import InputError
from ran.link import Link
from ran.training import distribution
from ran.training.catalogue import load_recipe, recipe_names
from ran.training.loop import Trainer
from ran.training.recipe import Recipe, Schedule
from ran.training.slot_train import build_model
from ran.training.train import run
from ran.training.trainer import learning_rate

TINY = {
    "name": "tiny",
    "model": {"name": "hybrid", "num_channels": 8, "dilations": [1], "num_passes": 2},
    "bits_per_symbol": [4],
    "slots": {
        "carrier": {"num_prb": {"choice": [2, 3]}},
        "pusch": {"mcs_index": 14},
        "num_rx_ant": 2,
        "channel": {
            "name": "tdl",
            "profile": "B",
            "delay_spread_ns": {"log_uniform": [20, 200]},
            "max_doppler_hz": 400,
        },
        "esn0_db": {"uniform": [4, 8]},
    },
    "schedule": {"steps": 24, "batch_slots": 8, "checkpoint_every": 5, "log_every": 2, "warmup_steps": 4},
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


def test_loss_falls_on_slots_never_seen(recipe_file, tmp_path):
    # a prior without Doppler leaves much to learn at 400 Hz
    overrides = ["schedule.steps=60", "slots.carrier.num_prb=4", "model.prior_max_doppler_hz=0"]
    recipe = load_recipe(str(recipe_file), overrides)
    trainer = Trainer(recipe, build_model(recipe), tmp_path)
    config, esn0_db = recipe.slot_config(0)
    held_out = Link(config).batch(range(64), esn0_db, recipe.seed, "held out")

    def slot_losses():
        with torch.no_grad():
            llr = trainer.model(held_out.observation)[-1][0]
        target = 1.0 - held_out.truth.coded_bits.float()
        losses = torch.nn.functional.binary_cross_entropy_with_logits(llr, target, reduction="none")
        return losses.mean((1, 2, 3)).numpy()

    before = slot_losses()
    while trainer.step < recipe.schedule.steps:
        trainer.one_step()
    fall = before - slot_losses()
    # paired over slots: the mean fall must exceed four of its own deviations
    assert fall.mean() > 4 * fall.std(ddof=1) / np.sqrt(len(fall))


def test_a_kill_resumes_to_identical_weights(recipe_file, tmp_path):
    whole = run(str(recipe_file), tmp_path / "whole")
    code = f"""
        import os, torch
        torch.set_num_threads(1)
        from pathlib import Path
        from ran.training import loop, train
        once = loop.Trainer.one_step
        def one_step(self):
            if self.step == 13:
                os.kill(os.getpid(), 9)
            return once(self)
        loop.Trainer.one_step = one_step
        train.run({str(recipe_file)!r}, Path({str(tmp_path / "killed")!r}))
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True)
    assert killed.returncode == -9
    assert not (tmp_path / "killed" / "tiny.safetensors").exists()
    resumed = run(str(recipe_file), tmp_path / "killed")
    ours, theirs = load_file(whole), load_file(resumed)
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert torch.equal(ours[key], theirs[key]), key
    log = (tmp_path / "killed" / "train.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in log[1:]] == list(range(2, 25, 2))


def test_foreign_folders_are_refused_and_left_alone(recipe_file, tmp_path):
    out = tmp_path / "out"
    run(str(recipe_file), out, ["schedule.steps=2"])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(InputError, match="another training"):
        run(str(recipe_file), out, ["schedule.steps=3"])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    shutil.copy(recipe_file, tmp_path / "notes.txt")
    with pytest.raises(InputError, match="holds other files"):
        run(str(recipe_file), tmp_path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.name=hybird", "did you mean 'hybrid'"),
        ("model.depth=3", "depth"),
        ("schedule.stps=3", "did you mean 'steps'"),
        ("schedule.steps=0", "schedule.steps: got 0"),
        ("slots.channel.profile=Z", "'Z'"),
        ("slots.carrier.num_prb=0", "num_prb"),
        ("slots.esn0_db={uniform: [3]}", "slots.esn0_db.uniform: got [3]"),
        ("slots.esn0_db={log_uniform: [0, 3]}", "low > 0"),
        ("slots.carrier.num_prb={choice: []}", "at least one entry"),
        ("bits_per_symbol=[2]", "the slots hold 4"),
        ("name=Bad Name", "name"),
    ],
)
def test_bad_recipes_are_refused_in_one_line(recipe_file, tmp_path, override, message):
    with pytest.raises(InputError) as caught:
        run(str(recipe_file), tmp_path / "out", [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_unknown_recipe_names_the_built_in_ones():
    with pytest.raises(InputError, match="did you mean 'pusch-hybrid'"):
        load_recipe("pusch-hybird")


@pytest.mark.parametrize("name", [name for name in recipe_names() if isinstance(load_recipe(name), Recipe)])
def test_built_in_recipes_draw_slots(name):
    recipe = load_recipe(name)
    configs = [recipe.slot_config(step) for step in range(20)]
    assert len({config.model_dump_json() for config, _ in configs}) > 10
    assert recipe.slot_config(7) == recipe.slot_config(7)


def test_distributions_stay_inside_and_are_used():
    generator = np.random.default_rng(0)
    tree = {"a": {"uniform": [2, 3]}, "b": [{"choice": ["x", {"log_uniform": [1, 100]}]}], "c": 5}
    drawn = [distribution.draw(tree, generator) for _ in range(400)]
    assert all(2 <= d["a"] <= 3 and d["c"] == 5 for d in drawn)
    numbers = [d["b"][0] for d in drawn if d["b"][0] != "x"]
    # fair coin over 400 draws: five deviations are 50
    assert abs(len(numbers) - 200) < 50
    assert all(1 <= v <= 100 for v in numbers)
    # the median of a log-uniform between 1 and 100 is 10: about half of the numbers lie on each side
    low = sum(v < 10 for v in numbers)
    assert abs(low - len(numbers) / 2) < 5 * np.sqrt(len(numbers)) / 2


def test_merge_replaces_blocks_with_names_and_distributions_whole():
    base = {"channel": {"name": "tdl", "profile": "A"}, "x": {"uniform": [0, 1]}, "y": {"p": 1, "q": 2}}
    change = {"channel": {"name": "awgn"}, "x": {"choice": [1]}, "y": {"q": 3}}
    assert distribution.merge(base, change) == {
        "channel": {"name": "awgn"},
        "x": {"choice": [1]},
        "y": {"p": 1, "q": 3},
    }


def test_learning_rate_warms_up_and_decays_to_zero():
    s = Schedule(steps=100, warmup_steps=10, learning_rate=1e-2)
    rates = [learning_rate(step, s) for step in range(100)]
    assert rates[0] < rates[5] < rates[9]
    assert max(rates) <= 1e-2
    assert rates[-1] < 1e-5
