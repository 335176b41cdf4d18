"""`ran adapt` from experiment to report: envelope and ideal, resumption, purity, and one line for bad input."""

from __future__ import annotations

import csv
import dataclasses
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from killed import killed, rows
from paper_folder import check as check_paper
from scipy.special import j0

from ran.cli.main import main
from ran.config.validation import validate
from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Harq, Pusch
from ran.sim.store import Store
from ran.stats import wilson
from ran.studies.adaptation.effective import effective_sinr_db
from ran.studies.adaptation.experiment import AdaptationExperiment, built_in_experiments, load
from ran.studies.adaptation.information import information_rate
from ran.studies.adaptation.outcome import Outcome, outcomes
from ran.studies.adaptation.run import run_tables
from ran.studies.adaptation.series import SERIES_PER_TABLE, Job, Series
from ran.studies.adaptation.sinr import llr_sinr_db
from ran.studies.folder import load_jobs
from ran.studies.kind import results_in, study_kind

SMALL = """\
name: small
carrier: {num_prb: 2}
pusch: {mcs_table: 1}
num_rx_ant: 2
channel: {name: tdl, profile: A, delay_spread_ns: 100, max_doppler_hz: 20}
receivers: [ls-linear, perfect-csi]
esn0_db: [4, 12]
adaptation: {num_series: 8, num_slots: 10, warm_up_slots: 4, delay_slots: 2}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapt")
    file = folder / "small.yaml"
    file.write_text(SMALL)
    assert main(["adapt", str(file), "--workers", "1", "--out", str(folder / "out")]) == 0
    return file, folder / "out"


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((path / "results.csv").read_text().splitlines()))


def test_report_is_written(small):
    file, out = small
    page = (out / "report.html").read_text()
    assert "ls-linear" in page
    assert "perfect-csi (genie)" in page
    for name in ("receivers", "modes", "bler"):
        assert (out / f"{name}.png").stat().st_size > 10_000
    assert load(str(out / "experiment.yaml")) == load(str(file))


def test_envelope_is_above_every_fixed_mcs_and_below_the_ideal(small):
    rows = table(small[1])
    for receiver in ("ls-linear", "perfect-csi"):
        for esn0_db in ("4", "12"):
            of = {r["mode"]: r for r in rows if (r["receiver"], r["esn0_db"]) == (receiver, esn0_db)}
            throughput = {mode: float(row["throughput_mbps"]) for mode, row in of.items()}
            fixed = [value for mode, value in throughput.items() if mode.startswith("fixed")]
            assert len(fixed) > 3
            assert throughput["envelope"] == max(fixed)
            assert throughput["ideal"] == max(throughput.values())
            assert {"eesm", "miesm", "eesm + olla", "miesm + olla"} < set(throughput)
            assert all(int(row["blocks"]) == 8 * 6 for row in of.values())


def test_sweeps_compare_what_the_page_compares(small):
    """The envelope and the loop of every receiver with those of the first at the same SNR, over the series of both."""
    kind, out = study_kind("link adaptation study"), small[1]
    results = results_in(kind, load_jobs(out), out)
    rows = [row for row in kind.rows(results) if row.paired is not None]
    assert {row.of["mode"] for row in rows} == {"envelope", "miesm + olla"}
    assert {row.of["receiver"] for row in rows if row.is_genie} == {"perfect-csi"}
    groups = {row.paired.group for row in rows}
    assert len(groups) == 2 * 2  # ways to choose the MCS, and SNRs
    for group in groups:
        first, genie = (row for row in rows if row.paired.group == group)
        gain = kind.comparison.gain(genie.paired.of_drops, first.paired.of_drops)
        assert gain == genie.figures["gain_percent"]
        fewer = dataclasses.replace(
            genie.paired.of_drops,
            **{n: getattr(genie.paired.of_drops, n)[:5] for n in ("sent_bits", "delivered_bits", "block_errors")},
        )
        assert kind.comparison.gain(fewer, first.paired.of_drops).num_units == 5


def test_gain_over_the_first_classical_receiver(small):
    rows = table(small[1])
    assert all(row["gain_percent"] == "" for row in rows if row["receiver"] == "ls-linear")
    known = {(row["receiver"], row["mode"], row["esn0_db"]): row for row in rows}
    row, base = known["perfect-csi", "envelope", "12"], known["ls-linear", "envelope", "12"]
    gain = 100 * (int(row["delivered_bits"]) / int(base["delivered_bits"]) - 1)
    assert float(row["gain_percent"]) == pytest.approx(gain, rel=1e-4)
    assert float(row["gain_low"]) < gain < float(row["gain_high"])


def test_the_report_is_made_from_the_store_alone(small, tmp_path, monkeypatch):
    """No receiver is built and nothing is simulated."""
    monkeypatch.setattr("ran.studies.adaptation.series.build_receiver", None)
    assert main(["report", str(small[1]), "--out", str(tmp_path), "--paper"]) == 0
    check_paper(tmp_path / "paper", {"receivers", "modes", "bler"}, small[1] / "results.csv")
    for name in ("results.csv", "report.html", "modes.png", "experiment.yaml"):
        assert (tmp_path / name).read_bytes() == (small[1] / name).read_bytes()


def test_resumes_and_replays(small, monkeypatch, capsys):
    file, out = small
    before, stored = (out / "results.csv").read_bytes(), jobs_of(out)
    with sqlite3.connect(out / "results.sqlite") as db:
        lost = [key for (key,) in db.execute("SELECT key FROM jobs ORDER BY rowid LIMIT 2")]
        db.execute("DELETE FROM jobs WHERE key = ?", (lost[0],))
        db.execute("UPDATE jobs SET result = ? WHERE key = ?", (b"torn", lost[1]))
    capsys.readouterr()
    again = made_again(monkeypatch, ["adapt", str(file), "--workers", "1", "--out", str(out)])
    assert sum(len(titles) for titles in again) == 2
    assert f"damaged: row 2 of jobs ({lost[1]}"[:60] in capsys.readouterr().err
    assert (out / "results.csv").read_bytes() == before
    assert jobs_of(out) == stored
    # other settings of the loops need no new table
    changed = ["--set", "adaptation.delay_slots=0", "--set", "adaptation.olla.step_db=1", "--out", str(out)]
    assert made_again(monkeypatch, ["adapt", str(file), "--workers", "1", *changed]) == []
    assert (out / "results.csv").read_bytes() != before
    assert jobs_of(out) == stored
    # a receiver that joins is simulated alone
    joined = [*changed, "--set", "receivers=[ls-linear,perfect-csi,lmmse]", "--set", "esn0_db=[12]"]
    again = made_again(monkeypatch, ["adapt", str(file), "--workers", "1", *joined])
    assert ("lmmse",) in again
    assert all("lmmse" in titles for titles in again)
    assert stored.items() <= jobs_of(out).items()


@pytest.mark.slow
def test_killed_three_times_and_resumed(small, tmp_path, capsys):
    file, _ = small
    fresh = tmp_path / "whole"
    assert main(["adapt", str(file), "--workers", "1", "--out", str(fresh)]) == 0
    command = ["adapt", str(file), "--workers", "2", "--out", str(tmp_path / "killed")]
    killed(["-m", "ran.cli.main", *command], tmp_path / "killed", more=4)
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["rows"]
    assert len(told) == len((fresh / "results.csv").read_text().splitlines()) - 1
    assert (tmp_path / "killed" / "results.csv").read_bytes() == (fresh / "results.csv").read_bytes()
    assert rows(tmp_path / "killed") == rows(fresh)


def jobs_of(out: Path) -> dict[str, bytes]:
    store = Store(out / "results.sqlite")
    found = store.content().jobs
    store.close()
    return found


def made_again(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> list[tuple[str, ...]]:
    """Receivers of every table that a command makes."""
    made = []
    table = Series.table

    def counted(self, job, titles=None):
        made.append(tuple(titles))
        return table(self, job, titles)

    with monkeypatch.context() as patched:
        patched.setattr(Series, "table", counted)
        assert main(arguments) == 0
    return made


def test_other_physics_in_the_folder_is_refused(small, capsys):
    file, out = small
    assert main(["adapt", str(file), "--set", "seed=2", "--out", str(out)]) == 2
    assert (
        "holds a link adaptation study of a different experiment: seed is 1 there and 2 here" in capsys.readouterr().err
    )


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_tables_do_not_depend_on_the_number_of_series_or_processes(small, tmp_path, workers):
    file, out = small
    more = load(str(file), [f"adaptation.num_series={SERIES_PER_TABLE}", "esn0_db=[12]"])
    two = load(str(file), ["adaptation.num_series=2", "esn0_db=[12]"])
    _, (of_more,) = run_tables(more, out, workers=1)
    _, (of_two,) = run_tables(two, tmp_path / "two", workers=workers)
    for title in ("ls-linear", "perfect-csi"):
        for bits in of_two.sinr_db[title].keys() & of_more.sinr_db[title].keys():
            np.testing.assert_array_equal(of_two.sinr_db[title][bits], of_more.sinr_db[title][bits][:2])
        common = sorted(set(of_two.window) & set(of_more.window))
        places = [[window.index(m) for m in common] for window in (of_two.window, of_more.window)]
        np.testing.assert_array_equal(of_two.arrived[title][..., places[0]], of_more.arrived[title][:2][..., places[1]])


def test_sinr_is_that_which_the_receivers_deliver():
    experiment = validate(
        AdaptationExperiment,
        {
            "name": "flat",
            "carrier": {"num_prb": 6},
            "num_rx_ant": 2,
            "channel": "awgn",
            "receivers": ["ls-linear", "lmmse", "perfect-csi"],
            "esn0_db": [7.0],
            "adaptation": {"num_slots": 2, "warm_up_slots": 0, "delay_slots": 0},
        },
    )
    series = Series(experiment)
    assert series.measured_mcs == {2: 0, 4: 10, 6: 17}
    # where MCS of the modulation are sent; further up every LLR says the same, and further down max-log loses
    for (bits, mcs_index), esn0_db in zip(series.measured_mcs.items(), (3.0, 9.0, 14.0), strict=True):
        found = series.table(Job(esn0_db, mcs_index, 0, of_sinr=True))
        assert found["lmmse"].shape == (SERIES_PER_TABLE, 2, 36)
        own = {title: effective_sinr_db(sinr_db, "miesm", bits, 1.0).mean() for title, sinr_db in found.items()}
        # two antennas of gain 1: 3 dB more, where the channel is known
        assert abs(own["perfect-csi"] - (esn0_db + 10 * np.log10(2))) < 0.15
        # an estimate costs, a line more than a filter
        assert 0.05 < own["perfect-csi"] - own["lmmse"] < own["perfect-csi"] - own["ls-linear"] < 1.5


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_sinr_of_llrs(bits):
    generator = np.random.default_rng(bits)
    llr = generator.normal(3.0, 6.0**0.5, (4, 2, 24 * 12, bits)).astype(np.float32)
    sent = generator.integers(2, size=llr.shape, dtype=np.uint8)
    mask = torch.zeros(14, 24, dtype=torch.bool)
    mask[2:] = True
    told = torch.from_numpy(llr * (1 - 2.0 * sent)).float(), torch.from_numpy(sent)
    found = llr_sinr_db(*told, mask)
    assert found.shape == (4, 2 * 3 * 4)
    # the information of the LLRs themselves, whatever they are cut into
    rate = information_rate(effective_sinr_db(found, "miesm", bits, 1.0), bits)
    expected = 1 - np.log1p(np.exp(-llr)).mean((1, 2, 3)) / np.log(2)
    np.testing.assert_allclose(rate, expected, atol=2e-3)
    # a receiver that is too sure of itself tells less, one that misleads nothing; silence is finite
    assert llr_sinr_db(4 * told[0], told[1], mask).mean() < found.mean()
    for other in (-told[0], 0 * told[0], 1e6 * told[0].abs() * (1 - 2.0 * told[1])):
        assert np.isfinite(llr_sinr_db(other, told[1], mask)).all()


def test_samples_cover_slots_of_any_size():
    mask = torch.zeros(14, 12, dtype=torch.bool)
    mask[3, ::2] = True  # beside pilots, on one symbol
    llr = torch.ones(1, 1, 6, 2)
    assert llr_sinr_db(llr, torch.zeros(1, 1, 6, 2, dtype=torch.uint8), mask).shape == (1, 2)


def test_the_inner_loop_holds_the_target_for_every_receiver(small):
    # with the SINR of `blind` for all of them, ls-linear lost 0.35 of its blocks at 4 dB, at least 0.18
    for row in table(small[1]):
        if row["mode"] in ("eesm", "miesm"):
            assert float(row["bler_low"]) <= 0.1, row


def test_slots_of_a_drop_fade_on():
    doppler_hz, lag = 100.0, 10
    config = LinkConfig(
        carrier=Carrier(num_prb=1),
        pusch=Pusch(mcs_index=0),
        num_rx_ant=8,
        channel={"name": "tdl", "profile": "A", "delay_spread_ns": 0, "max_doppler_hz": doppler_hz},
        num_slots=lag + 1,
    )
    link = Link(config)
    with torch.inference_mode():
        first, last = (link.batch(range(64), 0.0, 1, "series", attempt=n) for n in (0, lag))
    a, b = (batch.truth.h[:, :, 0, 0, 0].numpy() for batch in (first, last))
    expected = j0(2 * np.pi * doppler_hz * lag * 0.5e-3)
    assert abs(np.mean(a.conj() * b) - expected) < 5 / np.sqrt(a.size)
    # every slot has a block, pilots and noise of its own
    assert (first.transport_blocks != last.transport_blocks).any()
    assert not torch.equal(first.observation.pilots, last.observation.pilots)


def test_one_slot_is_the_link_of_before():
    config = LinkConfig(carrier=Carrier(num_prb=1), pusch=Pusch(mcs_index=2), channel={"name": "awgn"}, num_rx_ant=1)
    assert "num_slots" not in config.model_dump(mode="json")
    several = config.model_copy(update={"num_slots": 3})
    with torch.inference_mode():
        one, first = (Link(c).batch([5], 3.0, 1, "x") for c in (config, several))
    assert torch.equal(one.observation.y, first.observation.y)
    with pytest.raises(ValueError, match="num_slots: got 3 with harq; allowed: 1"):
        Link(several.model_copy(update={"harq": Harq()}))


def outcome(errors, bits=100):
    errors = np.asarray(errors)
    sent = np.full(errors.shape, 10 * bits)
    return Outcome("x", "fixed MCS 1", 0.0, sent, sent - bits * errors, errors, 10, 1e-3, 1.0)


def test_equal_series_are_no_certainty():
    none, every, one = outcome([0] * 16), outcome([10] * 16), outcome([0] * 15 + [1])
    share = wilson(0.0, 16).high
    # as the error rate of a run of 16 drops
    assert (none.bler.low, none.bler.high) == pytest.approx((0, share), abs=1e-9)
    assert (every.bler.low, every.bler.high) == pytest.approx((1 - share, 1), abs=1e-9)
    assert one.bler.low < 1 / 160 < one.bler.high < none.bler.high + 0.05
    assert (none.throughput_mbps.low, none.throughput_mbps.high) == pytest.approx((0.1 * (1 - share), 0.1))
    assert (every.throughput_mbps.low, every.throughput_mbps.high) == pytest.approx((0, 0.1 * share))
    for above, below in ((none, none), (none, outcome([5] * 16)), (every, none)):
        gain = above.gain_percent(below)
        assert gain.low <= gain.value < gain.high
        assert gain.high - gain.low > 10
    assert not none.gain_percent(every).is_known


def test_coverage_of_the_error_rate_s_interval():
    # blocks that fail rarely: Student's t of 16 series gives [0, 0] in a sixth of the experiments
    generator = np.random.default_rng(1)
    errors = generator.binomial(10, 0.01, (2000, 16))
    covered = [(i := outcome(row).bler).low <= 0.01 <= i.high for row in errors]
    assert np.mean(covered) > 0.95 - 5 * np.sqrt(0.95 * 0.05 / 2000)


def test_built_in_experiments_load():
    assert "tdlc300-4x2" in built_in_experiments()
    for name in built_in_experiments():
        assert load(name).num_mcs >= 28


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("pusch.mcs_index=5", "pusch.mcs_index: got 5; allowed: none, it is chosen slot by slot"),
        ("users.num_users=2", "users.num_users: got 2; allowed: 1"),
        ("pusch.transform_precoding=true", "pusch.transform_precoding: got True; allowed: false"),
        ("harq={}", "harq: got a block; allowed: none"),
        ("waveform={}", "waveform: got a block; allowed: none"),
        ("esn0_db=auto", "esn0_db: got a search; allowed: a list of numbers"),
        ("stopping.max_slots=5", "stopping: got a block; allowed: none"),
        (
            "adaptation.delay_slots=5",
            "delay_slots 5 and num_slots 10; allowed: delay_slots <= warm_up_slots < num_slots",
        ),
        ("adaptation.target_bler=1", "adaptation.target_bler: got 1; allowed: a number, 0.0001 to 0.9"),
        ("adaptation.mappings=[esm]", "adaptation.mappings.0: got 'esm'; allowed: eesm, miesm; did you mean"),
        ("adaptation.mappings=[eesm, eesm]", "names one twice"),
        ("adaptation.olla.start_db=11", "start_db 11.0 is not within min_db -10.0 and max_db 10.0"),
        ("adaptation.stepp=1", "adaptation.stepp: unknown key"),
        ("receivers=[ls-liner]", "did you mean 'ls-linear'"),
        ("pusch.transform_precoding=true", "transform"),
    ],
)
def test_bad_input_is_one_line(change, message, tmp_path, capsys):
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    assert main(["adapt", str(file), "--set", change, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ran: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_unknown_names_and_foreign_folders(tmp_path, capsys):
    assert main(["adapt", "tdlc300-4x3"]) == 2
    assert "did you mean 'tdlc300-4x2'" in capsys.readouterr().err
    (tmp_path / "thesis.txt").write_text("keep me")
    assert main(["adapt", "tdlc300-4x2", "--out", str(tmp_path)]) == 2
    assert "is no folder of a study" in capsys.readouterr().err
    assert main(["list", "adaptations"]) == 0
    assert "tdlc300-4x2" in capsys.readouterr().out


def test_prediction_follows_the_tables(small):
    # on the tables of the run: the inner loop without delay errs less than one that is told 3 dB too much
    experiment = load(str(small[0]), ["adaptation.delay_slots=0"])
    series, points = run_tables(experiment, small[1], workers=1)
    honest = outcomes(experiment, series, points)
    for point in points:
        for sinr_db in point.sinr_db["perfect-csi"].values():
            sinr_db += 3
    told_more = outcomes(experiment, series, points)

    def errors(found):
        return sum(int(o.block_errors.sum()) for o in found if (o.receiver, o.mode) == ("perfect-csi", "miesm"))

    assert errors(honest) < 0.25 * 2 * 8 * 6 < errors(told_more)
