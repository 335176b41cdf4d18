"""A recording as a training set: what was decoded is written, read back, verified and trained on."""

import numpy as np
import pytest
import torch
import yaml
from recorded_slots import make

from ran.cli.main import main
from ran.datasets.reader import DropDataset
from ran.errors import InputError
from ran.recordings.config import DecodeConfig
from ran.recordings.decode import Decoding
from ran.recordings.slot import RecordedSlot, Recording
from ran.recordings.text import write_text_dump
from ran.recordings.training_set import write_training_set
from ran.training.train import run
from receivers import RECEIVERS
from receivers.classical.blind_estimate import BlindEstimator

CARRIER = {"num_prb": 12, "slot_number": 4, "n_cell_id": 41}


def decode(config, slots):
    return Decoding(config, {"lmmse": RECEIVERS["lmmse"]()}, keeps_slots=True).run(Recording("grid", slots))


def recorded(made, **more):
    pairs = enumerate(zip(made.slot_numbers, made.grids, strict=True))
    return [RecordedSlot(f"slot {i}", n, g, **more) for i, (n, g) in pairs]


def test_slots_come_back_with_the_bits_that_were_sent(tmp_path, capsys):
    """`ran data verify` and receivers take the set; other commands refuse it in one line."""
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 5})
    made = make(config, 10, 2, delay_s=300e-9, cfo_hz=100.0)
    path = tmp_path / "set.h5"
    assert write_training_set(path, decode(config, recorded(made)).kept, "slots.txt").slots == 10
    dataset = DropDataset(path)
    batch = dataset.batch(range(10))
    for drop, (payload, grid) in enumerate(zip(made.payloads, made.layouts, strict=True)):
        assert np.array_equal(batch["transport_blocks"][drop, 0], payload)
        assert np.array_equal(batch["coded_bits"][drop], grid.code(payload[None, None])[0])
    # slot numbers have DM-RS of their own; the set has those of the first slot, and receivers find them
    observation, truth = dataset.observation(range(10))
    assert torch.equal(observation.pilots, made.layouts[0].pilots)
    assert not torch.equal(observation.pilots, made.layouts[1].pilots)
    for name in ("lmmse", "perfect-csi"):
        llr = RECEIVERS[name]()(observation, truth if name == "perfect-csi" else None)
        assert ((llr < 0) == truth.coded_bits.bool()).float().mean() > 0.9999, name
    # a user has unit mean power, and noise and channel are at that level
    assert torch.allclose((truth.h.abs() ** 2).mean((1, 2, 3, 4)), torch.ones(10), atol=1e-3)
    split, site = (dataset.header.tables[name].array for name in ("split", "site"))
    assert split.tolist() == [0] * 8 + [1, 2]
    assert np.array_equal(split, site)
    assert main(["data", "verify", str(path)]) == 0
    assert "of recorded-slots hashes alone are checked" in capsys.readouterr().out
    assert main(["data", "info", str(path)]) == 0
    capsys.readouterr()
    for command, expected in (
        (["data", "evaluate", str(path)], "kind: got recorded-slots; allowed: slots"),
        (["data", "sigmf", str(path), "--out", "x"], "got a data set of recorded-slots without received grids of an"),
        (["data", "measure", str(path)], "got a data set of recorded-slots"),
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert expected in error
        assert error.count("\n") == 1


@pytest.mark.slow
def test_from_a_recording_to_weights(tmp_path, capsys, monkeypatch):
    """`ran decode --data`, then training with `data:`."""
    monkeypatch.chdir(tmp_path)
    options = {"carrier": CARRIER, "pusch": {"mcs_index": 5}, "num_rx_ant": 2, "receivers": ["lmmse"]}
    made = make(DecodeConfig(carrier=CARRIER, pusch=options["pusch"]), 10, 2, delay_s=300e-9, cfo_hz=100.0)
    write_text_dump(tmp_path / "slots.txt", made.grids, 14)
    (tmp_path / "slots.yaml").write_text(yaml.safe_dump({**options, "fronthaul": {"bit_width": 14}}))
    assert main(["decode", "slots.txt", "--config", "slots.yaml", "--data", "set.h5"]) == 0
    assert "data: set.h5, 10 of 10 decoded slots" in capsys.readouterr().out
    recipe = {
        "name": "tiny",
        "model": {"name": "hybrid", "num_channels": 8, "dilations": [1], "num_passes": 1},
        "bits_per_symbol": [2],
        "data": "set.h5",
        "schedule": {"steps": 30, "batch_slots": 4, "checkpoint_every": 30, "log_every": 2, "warmup_steps": 2},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    assert run("tiny.yaml", tmp_path / "trained").is_file()
    capsys.readouterr()
    for target, expected in (
        ("set.h5", "set.h5 exists; allowed: a new file"),
        ("set.npy", "got 'set.npy'; allowed: a "),
    ):
        assert main(["decode", "slots.txt", "--config", "slots.yaml", "--data", target]) == 2
        error = capsys.readouterr().err
        assert f"--data: {expected}" in error
        assert error.count("\n") == 1


def test_the_channel_is_closer_than_the_pilots_alone_tell(tmp_path):
    """The file's channel against the one that the slots were made with: the data symbols have a part in it."""
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 5}, align=False)
    made = make(config, 6, 2, snr_db=6.0, delay_s=0.0)
    quiet = make(config, 6, 2, snr_db=200.0, delay_s=0.0)
    assert np.array_equal(made.payloads, quiet.payloads)
    decoded = decode(config, recorded(made))
    write_training_set(tmp_path / "set.h5", decoded.kept, "slots")
    dataset = DropDataset(tmp_path / "set.h5")
    truth = dataset.observation(range(6))[1]
    # what arrives without noise, in the same units, is the channel times what was sent
    errors = []
    for drop, (kept, grid) in enumerate(zip(decoded.kept, quiet.layouts, strict=True)):
        x = grid.to_grid(torch.from_numpy(grid.code(quiet.payloads[drop][None, None])))[0, 0].numpy()
        used = np.abs(x) > 0
        true = quiet.grids[drop][:, used] / x[used]
        found = truth.h[drop, :, 0].numpy()[:, used]
        pilots = BlindEstimator()(kept.observation).h_hat[0, :, 0].numpy()[:, used]
        errors.append([_error(found, true), _error(pilots, true)])
    mean = np.mean(errors, 0)
    assert mean[0] < 0.7 * mean[1]


def _error(found, true):
    """Squared error relative to the channel, whatever the gains of the antennas."""
    scale = (found * true.conj()).sum(1) / (np.abs(true) ** 2).sum(1)
    return float((np.abs(found / scale.real[:, None] - true) ** 2).sum() / (np.abs(true) ** 2).sum())


def test_earlier_attempts_are_labelled_by_the_block_that_arrived(tmp_path):
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 20})
    rvs = (0, 2, 3)
    made = make(config, 3, 1, snr_db=8.0, rvs=list(rvs), slot_numbers=[4, 5, 6], seed=4)
    slots = [
        RecordedSlot(f"slot {i}", n, g, channel={"rv": rv}, process=7, new_data=i == 0)
        for i, (n, g, rv) in enumerate(zip(made.slot_numbers, made.grids, rvs, strict=True))
    ]
    decoded = decode(config, slots)
    assert not decoded.results[0].blocks[0].received
    written = write_training_set(tmp_path / "set.zarr", decoded.kept, "slots")
    assert written.slots == 3
    batch = DropDataset(tmp_path / "set.zarr").batch(range(3))
    for drop, grid in enumerate(made.layouts):
        assert np.array_equal(batch["coded_bits"][drop], grid.code(made.payloads[0][None, None])[0])
    # attempts of one block are in one part
    assert DropDataset(tmp_path / "set.zarr").header.tables["split"].array.tolist() == [0, 0, 0]


def test_the_same_payload_again_and_again_does_not_end_in_one_part(tmp_path):
    """Test signals repeat a payload, in slots of their own or as new blocks of a HARQ process."""
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 5})
    made = make(config, 1, 1)
    for more in ({}, {"process": 3, "new_data": True}):
        slots = [RecordedSlot(f"slot {i}", made.slot_numbers[0], made.grids[0], **more) for i in range(10)]
        path = tmp_path / f"set{len(more)}.h5"
        write_training_set(path, decode(config, slots).kept, "slots")
        assert DropDataset(path).header.tables["split"].array.tolist() == [0] * 8 + [1, 2]


def test_what_cannot_be_learned_from_is_left_out(tmp_path):
    config = DecodeConfig(
        carrier=CARRIER,
        pusch={"mcs_index": 5},
        slots=[
            {"slot_number": 6, "pusch": {"mcs_index": 11}},
            {"slot_number": 7, "pusch": {"allocation": {"prbs": [0, 1, 2, 6, 7]}}},
            {"slot_number": 8, "pusch": {"n_rnti": 99}},
        ],
    )
    numbers = list(range(4, 9))
    slots = []
    for number in numbers:
        options = next((o.pusch for o in config.slots if o.slot_number == number), {})
        sent = {**options, "n_rnti": 1} if number == 8 else options
        made = make(DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 5, **sent}), 1, 2, slot_numbers=[number])
        slots += recorded(made)
    decoded = decode(config, slots)
    written = write_training_set(tmp_path / "set.h5", decoded.kept, "slots")
    assert written.slots == 2
    assert [line.split("--data: ")[1] for line in written.problems] == [
        "1 slots left out, their bits are not known",
        "1 slots left out, their allocation has gaps or hops",
        "1 slots of another layout than slot 0 left out",
    ]
    with pytest.raises(InputError, match=r"--data: got no slot whose bits are known; allowed: one or more \(1 slots"):
        write_training_set(tmp_path / "none.h5", decoded.kept[-1:], "slots")
    assert not (tmp_path / "none.h5").exists()
