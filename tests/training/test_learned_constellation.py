"""A constellation in training: points, gradients, the link sent again, a tiny recipe from file to receiver."""

import copy
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.constellation import shifted_qam
from ran.phy.modulation import constellation
from ran.sim.experiment import load
from ran.sim.identity import scenario_id
from ran.training.catalogue import load_recipe
from ran.training.constellation import points_of, sent_with
from ran.training.loop import Trainer
from ran.training.slot_train import build_model
from ran.training.train import run
from receivers import Blind, NeuralReceiver
from receivers.neural.constellation import LearnedConstellation
from receivers.neural.refined_blind import RefinedBlindReceiver

MODEL = {"name": "refined-blind", "num_channels": 4, "dilations": [1], "num_passes": 1, "num_reestimations": 1}
LEARNED = {**MODEL, "demapper": "exact", "constellation_bits": 4, "mean_power": 0.1}
SLOTS = {
    "carrier": {"num_prb": 4},
    "pusch": {"mcs_index": 14, "pilotless": True, "constellation": {"mean_power": 0.1}},
    "num_rx_ant": 2,
    "channel": {"name": "tdl", "profile": "B", "delay_spread_ns": 50, "max_doppler_hz": 100},
}
TINY = {
    "name": "tiny",
    "model": LEARNED,
    "bits_per_symbol": [4],
    "slots": {**SLOTS, "esn0_db": {"uniform": [6, 10]}},
    "validation": [{"slots": SLOTS, "esn0_db": 8, "num_slots": 4}],
    "schedule": {
        "steps": 8,
        "batch_slots": 2,
        "checkpoint_every": 2,
        "log_every": 2,
        "warmup_steps": 2,
        "validate_every": 4,
        "loss_weights": [1.0],
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


def model_of(**options):
    return RefinedBlindReceiver(**{**{k: v for k, v in LEARNED.items() if k != "name"}, **options})


def slots(points=None, batch=4, esn0_db=8.0):
    values = copy.deepcopy(SLOTS)
    if points is not None:
        values["pusch"]["constellation"] = [[float(p.real), float(p.imag)] for p in points]
    return Link(LinkConfig.model_validate(values)).batch(range(batch), esn0_db, 3, "learned")


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_untrained_points_are_qam(bits):
    found = LearnedConstellation(bits).points().detach().numpy()
    np.testing.assert_allclose(found, constellation(bits), atol=1e-6)
    around = LearnedConstellation(bits, 0.1).points().detach().numpy()
    np.testing.assert_allclose(around, [complex(*p) for p in shifted_qam(bits, 0.1)], atol=1e-6)


def test_points_keep_unit_power_whatever_is_trained():
    learned = LearnedConstellation(4, 0.1)
    with torch.no_grad():
        learned.raw += torch.randn(16, 2, generator=torch.Generator().manual_seed(1))
    assert float(learned.points().detach().abs().square().mean()) == pytest.approx(1, abs=1e-6)


def test_sent_again_is_what_a_link_with_these_points_sends():
    generator = torch.Generator().manual_seed(2)
    points = LearnedConstellation(4, 0.1).points().detach()
    points = points + 0.1 * torch.randn(16, generator=generator, dtype=torch.complex64)
    points = points / points.abs().square().mean().sqrt()
    before, wanted = slots(), slots(points)
    found = sent_with(points, before.observation, before.truth)
    torch.testing.assert_close(found.y, wanted.observation.y, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.constellation, wanted.observation.constellation)


def test_an_untrained_model_is_the_classical_receiver():
    batch = slots()
    classical = Blind(num_reestimations=1, demapper="exact")(batch.observation)
    with torch.no_grad():
        torch.testing.assert_close(model_of()(batch.observation)[-1][0], classical, rtol=1e-3, atol=1e-3)


def test_gradients_reach_the_points_through_link_and_receiver():
    """Against differences; they miss what the statistics of the channel, which are held, would add."""
    model, batch = model_of(), slots()

    def loss(changed):
        llr = changed(sent_with(points_of(changed), batch.observation, batch.truth))[-1][0]
        return torch.nn.functional.binary_cross_entropy_with_logits(llr, 1 - batch.coded_bits.float())

    loss(model).backward()
    slope = model.constellation.raw.grad
    step = 3e-3 * slope / slope.norm()
    ends = []
    for sign in (1, -1):
        moved = copy.deepcopy(model)
        with torch.no_grad():
            moved.constellation.raw += sign * step
            ends.append(float(loss(moved)))
    assert ends[0] - ends[1] == pytest.approx(2 * 3e-3 * float(slope.norm()), rel=0.2)


def test_loss_falls_by_the_points_on_slots_never_seen(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file, ["schedule.steps=16", "schedule.learning_rate=0.01", "model.mean_power=0.02"])
    trainer = Trainer(recipe, build_model(recipe), tmp_path)
    held_out = slots(batch=64)

    def losses():
        with torch.no_grad():
            llr = trainer.model(sent_with(points_of(trainer.model), held_out.observation, held_out.truth))[-1][0]
        target = 1 - held_out.coded_bits.float()
        each = torch.nn.functional.binary_cross_entropy_with_logits(llr, target, reduction="none")
        return each.mean((1, 2, 3)).numpy()

    before, start = losses(), trainer.model.constellation.raw.detach().clone()
    while trainer.step < recipe.schedule.steps:
        trainer.one_step()
    fall = before - losses()
    # paired over slots: the mean fall must exceed four of its own deviations
    assert fall.mean() > 4 * fall.std(ddof=1) / np.sqrt(len(fall))
    assert float((trainer.model.constellation.raw.detach() - start).abs().max()) > 0.01


def test_from_a_killed_recipe_to_an_experiment(recipe_file, tmp_path):
    """Resumed weights are identical; an experiment sends the points that they hold, and nothing else will do."""
    whole = run(recipe_file, tmp_path / "whole")
    code = f"""
        import os, torch
        torch.set_num_threads(1)
        from pathlib import Path
        from ran.training import loop, train
        once = loop.Trainer.one_step
        def one_step(self):
            if self.step == 5:
                os.kill(os.getpid(), 9)
            return once(self)
        loop.Trainer.one_step = one_step
        train.run({recipe_file!r}, Path({str(tmp_path / "killed")!r}))
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True)
    assert killed.returncode == -9
    resumed = run(recipe_file, tmp_path / "killed")
    ours, theirs = load_file(whole), load_file(resumed)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)

    text = {
        **SLOTS,
        "pusch": {**SLOTS["pusch"], "constellation": "whole/tiny.safetensors"},
        "receivers": [{"name": "neural", "weights": "whole/tiny.safetensors"}],
        "esn0_db": [8],
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(text))
    experiment = load(path)
    raw = ours["constellation.raw"].numpy()
    wanted = raw / np.sqrt((raw**2).sum(1).mean())
    np.testing.assert_allclose(experiment.uplink.constellation, wanted, atol=1e-6)
    # the points are what names the scenario, not the file
    text["pusch"]["constellation"] = [list(p) for p in experiment.uplink.constellation]
    path.write_text(yaml.safe_dump(text))
    assert scenario_id(load(path), 8) == scenario_id(experiment, 8)
    # and the receiver knows them
    receiver = NeuralReceiver(str(whole))
    Link(_config(experiment)).check_receiver("r", receiver)
    for other in ({"mean_power": 0.2}, None):
        values = {**SLOTS, "pusch": {"mcs_index": 14, "pilotless": other is not None, "constellation": other}}
        with pytest.raises(InputError, match=r"pusch\.constellation names it"):
            Link(LinkConfig.model_validate(values)).check_receiver("r", receiver)


def _config(experiment):
    return LinkConfig(
        carrier=experiment.carrier,
        pusch=experiment.pusch,
        num_rx_ant=experiment.num_rx_ant,
        channel=experiment.channel.block(),
    )


def test_weights_without_a_constellation_are_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    values = {**SLOTS, "receivers": ["blind"], "esn0_db": [8]}
    for name, message in (("pusch-hybrid", "which has none"), ("nowhere", "not there")):
        path.write_text(yaml.safe_dump({**values, "pusch": {**SLOTS["pusch"], "constellation": name}}))
        with pytest.raises(InputError, match=f"pusch.constellation: .*{message}"):
            load(Path(path))
