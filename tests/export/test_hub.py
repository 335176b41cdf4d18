"""Weights in the layout of model hubs: written, read as a hub reads them, and loaded back to the same model."""

import json

import pytest
import torch
import yaml

from ran.cli.main import main
from ran.export.hub import export_hub
from ran.link.catalogue import build_receiver, receiver_fingerprint
from receivers.neural.weights import card_path, load_weights, shipped_weights, task_of

TASKS = {task_of(card): name for name, card in shipped_weights().items()}


@pytest.mark.parametrize("task", TASKS)
def test_a_folder_loads_as_the_weights_that_it_is_from(task, tmp_path):
    name = TASKS[task]
    folder = export_hub(name, tmp_path / "made")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    here, there = load_weights(name, task), load_weights(str(folder / "model.safetensors"), task)
    assert there.fingerprint == here.fingerprint
    assert there.tensors.keys() == here.tensors.keys()
    assert all(torch.equal(there.tensors[key], here.tensors[key]) for key in here.tensors)
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "ran6g"
    assert config["architectures"] == [here.card["architecture"]["name"]]
    assert {key: config[key] for key in here.card} == here.card
    # a second time from the folder gives the folder again
    again = export_hub(str(folder / "model.safetensors"), tmp_path / "again")
    assert (again / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_the_card_has_a_head_that_hubs_read(tmp_path):
    folder = export_hub("pusch-realtime", tmp_path / "made")
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(head)
    assert about["license"] == "apache-2.0"
    assert about["library_name"] == "ran6g"
    assert {"ran6g", "neural-receiver"} <= set(about["tags"])
    assert card_path("pusch-realtime").with_suffix(".md").read_text().strip() in text
    assert "--set 'receivers=[lmmse, {name: neural, weights: ./model.safetensors}]'" in text


def test_a_receiver_from_the_folder_is_the_same_receiver(tmp_path):
    folder = export_hub("pusch-hybrid", tmp_path / "made")
    blocks = [{"name": "neural", "weights": name} for name in ("pusch-hybrid", str(folder / "model.safetensors"))]
    prints = {receiver_fingerprint(block, build_receiver(block)) for block in blocks}
    assert len(prints) == 1


def test_a_damaged_folder_is_refused(tmp_path):
    folder = export_hub("pusch-hybrid", tmp_path / "made")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"abcd")
    with pytest.raises(ValueError, match=r"model\.safetensors has SHA-256 .*its model card says"):
        load_weights(str(file))
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"without its model card model\.json"):
        load_weights(str(file))


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "csi-refined", "--target", "hub", "--out", "made", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == "made"
    for arguments, said in (
        (["export", "csi-refined", "--target", "hub", "--out", "made"], "a folder that does not exist yet"),
        (["export", "csi-refind", "--target", "hub", "--out", "other"], "did you mean 'csi-refined'?"),
        (["export", "csi-refined", "--target", "hub", "--out", "x", "--dtype", "f16"], "without them"),
        (["export", "csi-refined", "--target", "hub", "--out", "no/where"], "inside one that exists"),
    ):
        assert main(arguments) == 2
        assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
