"""What a recipe may ask for beyond the plain loop: offsets, held-out slots, finishing early, bfloat16, processes."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.training.arithmetic import prepare
from ran.training.catalogue import load_recipe
from ran.training.flops import convolution_flops
from ran.training.loop import Trainer
from ran.training.offsets import Offsets
from ran.training.processes import Processes
from ran.training.slot_train import build_model
from ran.training.tensorboard_log import TensorBoardLog
from ran.training.train import run
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.refined_blind import RefinedBlindReceiver

CHANNEL = {"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 300}
TINY = {
    "name": "tiny",
    "model": {"name": "refined-blind", "num_channels": 6, "dilations": [1], "num_passes": 1},
    "bits_per_symbol": [4],
    "num_layers": [1, 2],
    "slots": {
        "carrier": {"num_prb": {"choice": [2, 3]}},
        "pusch": {"mcs_index": 14},
        "users": {"num_users": {"choice": [1, 2]}},
        "num_rx_ant": 2,
        "channel": CHANNEL,
        "esn0_db": {"uniform": [6, 10]},
    },
    "offsets": {"timing_max_ns": 300, "cfo_max_hz": 100, "share": 0.5},
    "validation": [
        {
            "slots": {"carrier": {"num_prb": 3}, "pusch": {"mcs_index": 14}, "channel": CHANNEL},
            "esn0_db": 4,
            "num_slots": 4,
        }
    ],
    "schedule": {
        "steps": 14,
        "batch_slots": 2,
        "checkpoint_every": 4,
        "log_every": 2,
        "warmup_steps": 2,
        "validate_every": 3,
        "snr_bonus_db": 3,
        "snr_bonus_steps": 8,
        "draws_per_step": 2,
        "loss": "log",
    },
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
    return str(path)


def kill_at(step, recipe_file, out):
    """Train in another process that dies before this step."""
    code = f"""
import os, torch
torch.set_num_threads(1)
from pathlib import Path
from ran.training import loop, train
once = loop.Trainer.one_step
def one_step(self):
    if self.step == {step}:
        os.kill(os.getpid(), 9)
    return once(self)
loop.Trainer.one_step = one_step
train.run({recipe_file!r}, Path({str(out)!r}))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -9


def same(first, second):
    ours, theirs = load_file(first), load_file(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_kill_resumes_to_identical_weights_and_looks(recipe_file, tmp_path):
    whole = run(recipe_file, tmp_path / "whole")
    kill_at(10, recipe_file, tmp_path / "killed")
    # the last checkpoint is of step 8
    early = run(recipe_file, tmp_path / "killed", finish=True)
    card = json.loads(early.with_suffix(".json").read_text())
    assert card["training"]["steps_taken"] == 8
    assert card["training"]["steps"] in (0, 3, 6)
    assert card["training"]["slots_seen"] == 4 * card["training"]["steps"]
    assert card["training"]["offsets"] == TINY["offsets"]
    assert NeuralReceiver(str(early)).uses_decoder is False
    resumed = run(recipe_file, tmp_path / "killed")
    assert same(whole, resumed)
    logs = [(tmp_path / name / "validation.csv").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]
    rows = list(csv.DictReader(logs[0].splitlines()))
    assert [int(row["step"]) for row in rows] == [0, 3, 6, 9, 12, 14]
    # the weights are those of the best look
    best = min(rows, key=lambda row: float(row["bit_cross_entropy"]))
    card = json.loads(whole.with_suffix(".json").read_text())
    assert card["training"]["steps"] == int(best["step"])
    (part,) = card["training"]["held_out"]
    assert part["before"] == round(float(rows[0]["bit_cross_entropy"]), 5)
    assert part["after"] == round(float(best["bit_cross_entropy"]), 5)
    assert set(card["convolution_flops"]) == {"1", "2"}


def test_finishing_needs_a_checkpoint(recipe_file, tmp_path):
    with pytest.raises(InputError, match=r"--finish: .* holds no checkpoint yet"):
        run(recipe_file, tmp_path / "out", finish=True)


def test_offsets_are_a_ramp_over_frequency_and_a_rotation_over_time():
    slots = {"carrier": {"num_prb": 3}, "users": {"num_users": 2}, "channel": CHANNEL}
    link = Link(LinkConfig.model_validate(slots))
    batch = link.batch(range(6), 200.0, 1, "offsets")
    offsets = Offsets(timing_max_ns=400, cfo_max_hz=120)
    moved = offsets.applied(batch, range(6), 1, "offsets")
    # at so high an SNR the grid is the channel times what was sent
    expected = (moved.h * moved.x.unsqueeze(1)).sum(2)
    torch.testing.assert_close(moved.observation.y, expected, rtol=0, atol=1e-4)
    turn = moved.h / batch.h
    step = (turn[..., 1:] / turn[..., :-1]).angle() / (-2 * math.pi * 30e3)
    assert float(step.std(dim=(1, 3, 4)).max()) < 2e-9
    delays = step.mean((1, 3, 4))
    assert float(delays.abs().max()) <= 400e-9
    assert float(delays.min()) < 0 < float(delays.max())
    assert len(delays.unique()) == 12  # every user of every slot has its own
    times = batch.observation.symbol_times_s
    cfo = (turn[..., 1:, 0] / turn[..., :-1, 0]).angle() / (2 * math.pi * times.diff())
    assert float(cfo.abs().max()) < 121
    # slots do not depend on their batch
    alone = offsets.applied(link.batch(range(4, 6), 200.0, 1, "offsets"), range(4, 6), 1, "offsets")
    torch.testing.assert_close(alone.h, moved.h[4:], rtol=1e-4, atol=1e-5)


def test_offsets_meet_only_their_share_of_the_slots():
    found = Offsets(timing_max_ns=1, cfo_max_hz=1, share=0.25)._draws(range(800), 1, 1, "share")[0]
    # a quarter of 800 with five deviations of 12.2
    assert abs((found != 0).sum() - 200) < 62


def test_the_first_steps_are_stronger(recipe_file):
    recipe = load_recipe(recipe_file)
    plain = load_recipe(recipe_file, ["schedule.snr_bonus_db=0"])
    gains = [recipe.slot_config(draw)[1] - plain.slot_config(draw)[1] for draw in (0, 8, 16, 24)]
    assert gains == pytest.approx([3.0, 1.5, 0.0, 0.0])


@pytest.mark.parametrize("users", [1, 2])
def test_bfloat16_is_close_and_leaves_the_weights_in_float32(users):
    config = LinkConfig.model_validate(
        {"carrier": {"num_prb": 4}, "pusch": {"mcs_index": 14}, "users": {"num_users": users}, "channel": CHANNEL}
    )
    batch = Link(config).batch(range(4), 9.0, 1, "bf16")
    models = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(2)
        model = RefinedBlindReceiver(num_channels=8, dilations=[1], num_passes=1)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        prepare(model, precision, compiled=False)
        models.append(model)
    llrs = [model(batch.observation)[-1][0] for model in models]
    llrs[1].sum().backward()
    exact, rounded = (llr.detach() for llr in llrs)
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    # eight bits of mantissa, accumulated over a few layers
    assert float((exact - rounded).abs().mean()) < 0.03 * float(exact.abs().mean())
    assert all(
        p.dtype == torch.float32 and p.grad.dtype == torch.float32 for p in models[1].parameters() if p.grad is not None
    )


def test_bfloat16_needs_networks_apart():
    with pytest.raises(InputError, match=r"schedule.precision: got 'bfloat16' with a model"):
        prepare(nn.Conv2d(1, 1, 1), "bfloat16", False)


@pytest.mark.slow
def test_compiled_networks_train_alike(recipe_file, tmp_path):
    losses = []
    for compiled in ("false", "true"):
        recipe = load_recipe(recipe_file, [f"schedule.compile={compiled}"])
        trainer = Trainer(recipe, build_model(recipe), tmp_path)
        losses.append([trainer.one_step()["loss"] for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_processes_share_the_slots_of_a_step():
    parts = [Processes(rank, 4).share(range(20, 28)) for rank in range(4)]
    assert [list(part) for part in parts] == [[20, 21], [22, 23], [24, 25], [26, 27]]
    with pytest.raises(InputError, match="got 8 for 3 processes"):
        Processes(0, 3).share(range(8))


@pytest.mark.slow
def test_two_processes_take_the_same_steps_as_one(recipe_file, tmp_path):
    changes = ["schedule.steps=6", "schedule.validate_every=0", "validation=[]"]
    alone = run(recipe_file, tmp_path / "alone", changes)
    arguments = ["train", recipe_file, "--out", str(tmp_path / "two")]
    for change in changes:
        arguments += ["--set", change]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([*launch, "-m", "ran.cli.main", *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    ours, theirs = load_file(alone), load_file(tmp_path / "two" / "tiny.safetensors")
    for key in ours:
        # means over parts are summed in another order; the optimiser divides by the root of tiny squares
        torch.testing.assert_close(ours[key], theirs[key], rtol=0.05, atol=2e-3)


def test_a_missing_tensorboard_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="tensorboard is not installed"):
        TensorBoardLog(tmp_path)


def test_recipes_may_build_on_another(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: pusch-hybrid\nname: mine\nschedule: {steps: 7}\nmodel: {name: deeprx, num_channels: 8}\n")
    recipe, base = load_recipe(str(path)), load_recipe("pusch-hybrid")
    assert (recipe.name, recipe.schedule.steps, recipe.model) == ("mine", 7, {"name": "deeprx", "num_channels": 8})
    assert recipe.slots == base.slots
    assert recipe.schedule.batch_slots == base.schedule.batch_slots
    path.write_text("base: pusch-hybird\nname: mine\n")
    with pytest.raises(InputError, match=r"base: .*did you mean 'pusch-hybrid'"):
        load_recipe(str(path))


def test_a_training_may_begin_with_weights(recipe_file, tmp_path):
    quick = ["validation=[]", "schedule.validate_every=0", "schedule.steps=1"]
    first = run(recipe_file, tmp_path / "first", quick)
    recipe = load_recipe(recipe_file, [f"init={first}"])
    begun = build_model(recipe).state_dict()
    assert all(torch.equal(begun[key], value) for key, value in load_file(first).items())
    second = run(recipe_file, tmp_path / "second", [*quick, f"init={first}"])
    sha256 = json.loads(first.with_suffix(".json").read_text())["sha256"]
    assert json.loads(second.with_suffix(".json").read_text())["training"]["init"]["sha256"] == sha256
    with pytest.raises(InputError, match=r"init: 'pusch-hybrid' belongs to .*; allowed: "):
        build_model(load_recipe(recipe_file, ["init=pusch-hybrid"]))
    with pytest.raises(InputError, match=r"init: weights: got 'nothing'"):
        build_model(load_recipe(recipe_file, ["init=nothing"]))


def test_first_passes_may_be_trained_before_the_rest(recipe_file, tmp_path):
    quick = ["validation=[]", "schedule.validate_every=0", "schedule.steps=1"]
    model = "model={name: soft-pilots, num_channels: 6, dilations: [1], num_passes: %d, reestimate: %s}"
    first = run(recipe_file, tmp_path / "first", [*quick, model % (1, [])])
    begun = build_model(load_recipe(recipe_file, [model % (2, [1]), f"init={first}"])).state_dict()
    given = load_file(first)
    assert given.keys() < begun.keys()
    assert all(torch.equal(begun[key], value) for key, value in given.items())
    for other in (model % (2, [0]), model % (1, [0]), "model={name: soft-pilots, num_channels: 6, num_passes: 2}"):
        with pytest.raises(InputError, match=r"belongs to .*, or fewer passes"):
            build_model(load_recipe(recipe_file, [other, f"init={first}"]))


def test_operations_of_convolutions_are_counted():
    class OneConvolution(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(2, 3, 1)

        def forward(self, observation):
            return self.layer(torch.view_as_real(observation.y).flatten(0, 1).permute(0, 3, 1, 2))

    # a multiplication and an addition for each of 2 x 3 weights at every RE of 4 antennas
    assert convolution_flops(OneConvolution(), (1, 2)) == dict.fromkeys("12", 2 * 2 * 3 * 14 * 132 * 12 * 4)


def test_flops_count_convolutions_that_are_matrix_products():
    """Those of kernel size 1 are products on a processor; the card is from before they were, of the same model."""
    receiver = NeuralReceiver("pusch-realtime")
    assert convolution_flops(receiver.model, (1,))["1"] == receiver.card["convolution_flops"]["1"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("validation=[]", "schedule.validate_every: got 3 without validation"),
        ("offsets.share=2", "offsets.share"),
        ("schedule.precision=float16", "schedule.precision"),
        ("validation.0.slots.channel.profile=Z", "'Z'"),
    ],
)
def test_bad_options_are_refused_in_one_line(recipe_file, tmp_path, override, message):
    with pytest.raises(InputError) as caught:
        run(recipe_file, tmp_path / "out", [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_recipe_for_impaired_radios_trains(tmp_path):
    overrides = ["schedule.steps=6", "schedule.warmup_steps=1", "schedule.batch_slots=2", "schedule.draws_per_step=1"]
    overrides += ["schedule.validate_every=0", "model.num_channels=6", "model.dilations=[1]"]
    recipe = load_recipe("pusch-robust", overrides)
    with_radios = [recipe.slot_config(draw)[0].waveform.transmit_impairments for draw in range(30)]
    names = {block["name"] for blocks in with_radios for block in blocks}
    assert {"rapp", "saleh", "nr-power-amplifier", "phase-noise", "iq-imbalance"} <= names
    assert () in with_radios
    model = build_model(recipe)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trainer = Trainer(recipe, model, tmp_path)
    losses = [trainer.one_step()["loss"] for _ in range(6)]
    assert all(math.isfinite(loss) for loss in losses)
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert any(key.startswith("passes.0.leave") for key in changed)
    assert any(key.startswith("passes.1.leave") for key in changed)
