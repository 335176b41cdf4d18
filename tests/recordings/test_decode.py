"""From recorded slots to transport blocks: receivers side by side, HARQ, measurements, reports and the command."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from recorded_slots import make

from ran.cli.main import main
from ran.recordings.config import DecodeConfig
from ran.recordings.decode import Decoding
from ran.recordings.grid_of_slot import grid_of
from ran.recordings.grids import write_grids
from ran.recordings.receivers import build_receivers
from ran.recordings.results import as_csv, as_json
from ran.recordings.slot import RecordedSlot, Recording
from ran.recordings.text import write_text_dump
from receivers import RECEIVERS

CARRIER = {"num_prb": 24, "slot_number": 4, "n_cell_id": 41}


def recording(made, **more) -> Recording:
    pairs = enumerate(zip(made.slot_numbers, made.grids, strict=True))
    return Recording("grid", [RecordedSlot(f"slot {i}", n, g, **more) for i, (n, g) in pairs])


def lmmse() -> dict:
    return {"lmmse": RECEIVERS["lmmse"]()}


@pytest.mark.parametrize(
    "options",
    [
        {"pusch": {"mcs_index": 16, "allocation": {"first_prb": 3, "num_prb": 12}}},
        {"pusch": {"mcs_index": 8, "num_layers": 2}},
        {"pusch": {"mcs_index": 8, "dmrs": {"config_type": 2}}, "users": {"num_users": 2}},
        {"pusch": {"mcs_index": 5, "transform_precoding": True, "allocation": {"first_prb": 2, "num_prb": 20}}},
        {"pusch": {"mcs_index": 10, "allocation": {"prbs": [1, 2, 3, 4, 9, 10, 11, 12, 20, 21]}}},
        {"pusch": {"mcs_index": 10, "allocation": {"num_prb": 8, "hopping": "intra-slot", "second_hop_prb": 14}}},
        {"pdsch": {"mcs_index": 10, "allocation": {"vrb_bundle": 2}}},
    ],
)
@pytest.mark.parametrize("level", [0.01, 3000.0])
def test_payloads_at_any_level(options, level):
    config = DecodeConfig(carrier=CARRIER, **options)
    made = make(config, 2, 4, delay_s=-300e-9, cfo_hz=150.0)
    # whole numbers at one level are as good as any other
    scaled = replace(made, grids=(made.grids * (level / 1000)).astype(np.complex64))
    found = Decoding(config, lmmse()).run(recording(scaled))
    assert found.problems == []
    for result, payload in zip(found.results, made.payloads, strict=True):
        first = result.blocks[0]
        assert first.received
        assert np.array_equal(first.payload, payload[: len(first.payload)])
        assert result.label is not None


def test_measurements_against_truth():
    """Timing, frequency offset and noise over many slots; the spread of each is that of its estimate."""
    config = DecodeConfig(carrier={**CARRIER, "num_prb": 51}, pusch={"mcs_index": 10})
    made = make(config, 16, 4, snr_db=10.0, delay_s=400e-9, cfo_hz=250.0, slot_numbers=list(range(16)))
    found = [result.measurement for result in Decoding(config, lmmse()).run(recording(made)).results]
    noise = np.array([m.noise_var for m in found]) / 1000**2
    # 51 PRBs, 2 DM-RS symbols, 3 pairs each: 300 differences of fourth order, which overlap: 35/128 of them count
    assert abs(noise.mean() / 0.1 - 1) < 4 / np.sqrt(64 * 300 * 35 / 128)
    cfo = np.array([m.cfo_hz for m in found])
    assert abs(cfo.mean() - 250) < 4 * cfo.std() / np.sqrt(16) + 1
    assert cfo.std() < 20
    # the mean delay: 400 ns and up to 150 ns for the second path, which has a fifth of the power
    timing = np.array([m.timing_s for m in found])
    assert 395e-9 < timing.mean() < 475e-9
    snr = 10 ** (np.array([m.snr_db for m in found]) / 10)
    # two paths of power 0.8 + 0.2, four antennas at 10 dB: 40, of 8 exponentials per slot
    assert abs(snr.mean() / 40 - 1) < 4 * np.sqrt((0.8**2 + 0.2**2) / 4 / 16)
    assert all(m.has_signal for m in found)


def test_nothing_sent_is_no_signal():
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 3})
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((40, 2, 14, 288, 2)).astype(np.float32).view(np.complex64)[..., 0]
    slots = [RecordedSlot(f"slot {i}", 4, grid) for i, grid in enumerate(noise)]
    found = Decoding(config, lmmse()).run(Recording("grid", slots))
    # a false alarm in a thousand: more than two of forty have a probability below 1e-5
    assert sum(result.measurement.has_signal for result in found.results) <= 2
    assert not any(result.blocks[0].received for result in found.results)
    silent = Decoding(config, lmmse()).run(Recording("grid", [RecordedSlot("s", 4, np.zeros_like(noise[0]))]))
    assert silent.problems == ["s: grid: got nothing but zeros in the allocation; allowed: a received signal"]


def test_a_dead_antenna_and_unequal_noise():
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 10})
    made = make(config, 2, 4)
    made.grids[:, 2] = 0
    made.grids[:, 3] *= 20
    rng = np.random.default_rng(1)
    made.grids[:, 3] += 2e4 * (rng.standard_normal(made.grids[:, 3].shape) + 1j)
    found = Decoding(config, lmmse()).run(recording(made))
    assert all(result.blocks[0].received for result in found.results)


def test_transmissions_of_a_process_are_combined_and_label_one_another():
    options = {"mcs_index": 20}
    config = DecodeConfig(carrier=CARRIER, pusch=options)
    made = make(config, 3, 1, snr_db=8.0, rvs=[0, 2, 3], slot_numbers=[4, 5, 6], seed=4)
    slots = [
        RecordedSlot(f"slot {i}", n, g, channel={"rv": rv}, process=7, new_data=i == 0)
        for i, (n, g, rv) in enumerate(zip(made.slot_numbers, made.grids, (0, 2, 3), strict=True))
    ]
    alone = Decoding(config.model_copy(update={"harq": False}), lmmse()).run(Recording("grid", slots))
    assert not alone.results[0].blocks[0].received
    together = Decoding(config, lmmse()).run(Recording("grid", slots))
    assert [r.blocks[0].combined for r in together.results] == [1, 2, 3]
    assert together.results[-1].blocks[0].received
    assert np.array_equal(together.results[-1].blocks[0].payload, made.payloads[0])
    # the first attempt did not arrive, but what it was is known in the end
    assert np.array_equal(together.results[0].label, made.payloads[0])


def test_slots_that_do_not_fit_are_named_and_the_others_decoded():
    config = DecodeConfig(
        carrier=CARRIER,
        pusch={"mcs_index": 10},
        slots=[
            {"slot_number": 5, "pusch": {"allocation": {"first_prb": 20, "num_prb": 9}}},
            {"index": 2, "skip": True},
            {"index": 3, "pusch": {"mcs_index": 12}},
        ],
    )
    made = make(DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 10}), 4, 2)
    found = Decoding(config, lmmse()).run(recording(made))
    assert [(r.name, r.blocks[0].received) for r in found.results] == [("slot 0", True), ("slot 3", False)]
    assert found.skipped == 1
    assert found.problems == [
        "slot 1: pusch.allocation.first_prb: got 20 with 9 PRBs; allowed: inside the bandwidth part's 24 PRBs"
    ]
    listed = config.model_copy(update={"only_listed_slots": True})
    assert Decoding(listed, lmmse()).run(recording(made)).skipped == 2
    short = [RecordedSlot("short", 4, made.grids[0][..., :100])]
    assert Decoding(config, lmmse()).run(Recording("grid", short)).problems == [
        "short: grid: got [14, 100]; allowed: [14, 288], symbols and subcarriers"
    ]


def test_grids_that_still_have_their_phases():
    config = DecodeConfig(carrier={**CARRIER, "subcarrier_spacing_khz": 15, "slot_number": 2}, pusch={"mcs_index": 10})
    made = make(config, 1, 2)
    from ran.phy.ofdm import Ofdm

    turned = Ofdm.build(made.layouts[0].carrier, carrier_frequency_hz=1842.5e6).phases().numpy()
    rotated = replace(made, grids=made.grids * turned[:, None])
    assert not Decoding(config, lmmse()).run(recording(rotated)).results[0].blocks[0].received
    right = config.model_copy(update={"compensate_hz": 1842.5e6})
    assert Decoding(right, lmmse()).run(recording(rotated)).results[0].blocks[0].received


def test_a_stated_payload_is_compared():
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 10})
    made = make(config, 2, 2)
    stated = np.packbits(made.payloads[0]).tobytes().hex()
    given = config.model_copy(
        update={"slots": DecodeConfig(slots=[{"index": 0, "payload": stated}, {"index": 1, "payload": stated}]).slots}
    )
    found = Decoding(given, lmmse()).run(recording(made))
    assert [r.blocks[0].matches for r in found.results] == [True, False]


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"carrier": CARRIER, "pusch": {"mcs_index": 10, "n_rnti": 20000}, "num_rx_ant": 2}
    made = make(DecodeConfig(**options), 2, 2)
    write_text_dump(tmp_path / "slots.txt", made.grids, 9)
    (tmp_path / "slots.yaml").write_text(yaml.safe_dump({**options, "receivers": ["lmmse", "ls-linear"]}))
    assert main(["decode", "slots.txt", "--config", "slots.yaml"]) == 0
    text = capsys.readouterr().out
    assert "lmmse: 2 of 2 blocks received" in text
    folder = tmp_path / "runs" / "decode-slots"
    with (folder / "decode.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["receiver"] for row in rows] == ["lmmse", "ls-linear"] * 2
    assert {row["received"] for row in rows} == {"1"}
    found = json.loads((folder / "decode.json").read_text())
    assert found["slots"][0]["blocks"][0]["payload"] == np.packbits(made.payloads[0]).tobytes().hex()
    page = (folder / "decode.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    # a slot that nobody receives is a failure, and one line in error names what is wrong
    capsys.readouterr()
    wrong = ["--set", "pusch.n_rnti=1", "--receiver", "ls-linear", "--json"]
    assert main(["decode", "slots.txt", "--config", "slots.yaml", *wrong]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(row["receiver"], row["received"]) for row in told["rows"]] == [("ls-linear", 0)] * 2
    assert main(["decode", "slots.txt", "--config", "slots.yaml", "--set", "fronthaul.bitwidth=9"]) == 2
    assert "fronthaul.bitwidth: unknown key" in capsys.readouterr().err
    write_grids(tmp_path / "slots.npy", made.grids[..., :100])
    assert main(["decode", "slots.npy", "--config", "slots.yaml"]) == 2
    assert "an array with an axis of 288 subcarriers" in capsys.readouterr().err


def test_receivers_of_a_configuration(tmp_path):
    built = build_receivers(["lmmse", {"name": "blind", "label": "two", "detector": "lmmse"}], tmp_path)
    assert list(built) == ["lmmse", "two"]
    with pytest.raises(ValueError, match=r"receivers\[1\]: got 'lmmse twice'"):
        build_receivers(["lmmse", "lmmse"], tmp_path)
    with pytest.raises(ValueError, match=r"receivers\[0\].name: got 'lmse'.*did you mean 'lmmse'"):
        build_receivers(["lmse"], tmp_path)


def test_the_example_names_every_key(capsys):
    """What users read as the reference is valid, and leaves out nothing of the formats."""
    from importlib.resources import files

    from ran.sim.loading import load_as

    path = files("ran.recordings").joinpath("example.yaml")
    loaded, _ = load_as(DecodeConfig, str(path), [], {})
    given = yaml.safe_load(path.read_text())
    assert main(["decode", "--example"]) == 0
    assert capsys.readouterr().out == path.read_text()
    assert set(given) | {"pdsch"} == set(DecodeConfig.model_fields)
    for block in ("fronthaul", "samples", "grid", "data_lake"):
        assert set(given[block]) == set(getattr(loaded, block).model_dump())


@pytest.mark.parametrize(
    "uci",
    [
        {"num_ack_bits": 1},
        {"num_ack_bits": 2, "num_csi1_bits": 7},
        {"num_ack_bits": 5, "num_csi1_bits": 20, "num_csi2_bits": 12},
        {"num_csi1_bits": 16, "has_ulsch": False},
    ],
)
def test_uci_beside_and_without_a_transport_block(uci):
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 10, "uci": uci})
    grid = grid_of(config, 4)
    rng = np.random.default_rng(7)
    codeword = grid.codewords[0]
    payloads = {k: rng.integers(0, 2, (1, 1, c.num_bits), dtype=np.uint8) for k, c in codeword.uci.codes.items()}
    block = rng.integers(0, 2, (1, 1, grid.block_sizes[0]), dtype=np.uint8) if uci.get("has_ulsch", True) else None
    x = grid.to_grid(torch.from_numpy(codeword.encode(block, payloads)))[0].numpy()
    gains = np.array([1.0, 0.5j])
    noise = rng.standard_normal((2, *x.shape[1:], 2)).astype(np.float32).view(np.complex64)[..., 0] * 0.1
    slot = RecordedSlot("slot", 4, (gains[:, None, None] * x + noise).astype(np.complex64))
    result = Decoding(config, lmmse()).run(Recording("grid", [slot])).results[0]
    assert {part.kind for part in result.uci} == set(payloads)
    for part in result.uci:
        assert part.ok
        assert np.array_equal(part.bits, payloads[part.kind][0, 0])
    assert result.is_received
    if block is not None:
        assert result.blocks[0].received
        assert np.array_equal(result.blocks[0].payload, block[0, 0])
        assert result.known
    silent = RecordedSlot("noise", 4, noise)
    lost = Decoding(config, lmmse()).run(Recording("grid", [silent])).results[0]
    assert not any(part.ok for part in lost.uci)
    assert not lost.is_received


def test_users_are_reported_one_by_one():
    """Of two users, timing, CFO and RSRP in the units of the recording, whatever the gains of the antennas."""
    config = DecodeConfig(carrier={**CARRIER, "num_prb": 51}, pusch={"mcs_index": 8}, users={"num_users": 2})
    made = make(config, 8, 4, snr_db=15.0, delay_s=600e-9, cfo_hz=300.0, slot_numbers=list(range(8)))
    found = Decoding(config, lmmse()).run(recording(made))
    assert found.problems == []
    assert [[report.user for report in result.users] for result in found.results] == [[0, 1]] * 8
    cfo = np.array([[report.cfo_hz for report in result.users] for result in found.results])
    assert (np.abs(cfo.mean(0) - 300) < 4 * cfo.std(0) / np.sqrt(8)).all()
    # the second path is 150 ns later and a quarter as strong; 51 PRBs resolve 54 ns
    late = np.array([[report.timing_advance_s for report in result.users] for result in found.results])
    assert (np.abs(late.mean(0) - 600e-9) < 27e-9).all()
    # 16 * 64 T_c / 2 at 30 kHz
    steps = [report.timing_advance_steps for result in found.results for report in result.users]
    assert steps == np.rint(late.ravel() / (512 / 1.96608e9)).astype(int).tolist()
    rsrp = np.array([[10 ** (report.rsrp_db / 10) for report in result.users] for result in found.results])
    # unit power at level 1000, of four antennas with two paths of powers 0.8 and 0.2; the DM-RS are 3 dB stronger
    power = 1000**2 * float((made.layouts[0].pilots.abs() ** 2).max())
    assert (np.abs(rsrp.mean(0) / power - 1) < 4 * np.sqrt((0.8**2 + 0.2**2) / 4 / 8)).all()
    louder = made.grids * np.array([1, 20, 1, 0.1], np.float32)[:, None, None]
    again = Decoding(config, lmmse()).run(recording(replace(made, grids=louder)))
    gained = np.array([[10 ** (report.rsrp_db / 10) for report in result.users] for result in again.results])
    # the mean power of the antennas: nearly all of it is the second's
    assert (gained.mean(0) / rsrp.mean(0) > 50).all()
    rows = list(csv.DictReader(as_csv(found).splitlines()))
    assert [row["user"] for row in rows[:2]] == ["0", "1"]
    assert float(rows[1]["user_cfo_hz"]) == pytest.approx(cfo[0, 1], abs=0.06)
    users = json.loads(as_json(Recording("grid", []), found, "x"))["slots"][0]["users"]
    assert users[1]["timing_advance_steps"] == steps[1]
