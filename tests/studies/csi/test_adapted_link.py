"""Rank and CQI in the report of `ran csi`: chosen from the effective SINR, counted, and what goes by them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ran.cli.main import main
from ran.phy.csi.cqi import cqi_table
from ran.phy.mcs import transport_block_size
from ran.studies.csi.adapted_link import adapted, adapted_names
from ran.studies.csi.experiment import CsiExperiment, load
from ran.studies.csi.feedback import Bases
from ran.studies.csi.feedback_jobs import identity_of
from ran.studies.csi.link_adaptation import mcs_of, thresholds_db
from ran.studies.csi.run import run_experiment
from ran.studies.csi.world import CsiWorld

SMALL = {
    "channel": {"name": "umi", "carrier_frequency_hz": 2e9},
    "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
    "band": {"num_prb": 24, "subband_size": 4},
    "num_layers": 2,
    "feedback": ["ideal", {"name": "enhanced-type-two", "combination": 1}],
    "throughput": {"num_users": [1], "snr_db": [-30, 5, 25]},
    "num_drops": 32,
    "num_fit_drops": 0,
}
NUM_PRB, SLOT_S = 24, 1e-3


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(yaml.safe_dump(SMALL))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def parallel(gains: list[tuple[float, float]]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Flat channels of two ports without crosstalk, two receive antennas, of power gains; and ideal precoders by
    rank."""
    h = np.zeros((len(gains), 2, 8, NUM_PRB), np.complex64)
    for row, pair in enumerate(gains):
        for port, gain in enumerate(pair):
            h[row, port, port] = np.sqrt(gain)
    units = np.zeros((len(gains), 2, 6, 8), np.complex64)
    units[:, 0, :, 0] = units[:, 1, :, 1] = 1
    return h, {rank: units[:, :rank] for rank in (1, 2)}


def cqi_by_hand(snr_db: float, table: int, layers: int) -> int:
    """Over white noise: the rows of the table whose threshold the SNR reaches."""
    return int((thresholds_db(table, NUM_PRB, layers) <= snr_db).sum())


@pytest.mark.parametrize("table", [1, 2, 3, 4])
def test_rank_cqi_bits_and_throughput_are_those_of_the_tables(table):
    """Over parallel flat channels everything follows by hand from TS 38.214 tables 5.2.2.1-2 to -5."""
    experiment = load("small.yaml", [f"report={{rank: adaptive, cqi_table: {table}}}", "throughput.snr_db=[0]"])
    gains = [(10 ** (a / 10), 10 ** (b / 10)) for a, b in ((-20, -20), (4, -20), (10, 10), (19, 19), (40, 40), (25, 3))]
    # equal SINRs on both layers where rank 2 is of interest, so that the effective SINR is theirs
    h, precoders = parallel(gains)
    pmi_bits = {1: np.full(len(h), 30), 2: np.full(len(h), 47)}
    found = adapted(experiment, lambda rank: (precoders[rank], pmi_bits[rank]), h, h)

    assert set(found) == set(adapted_names(experiment))
    for row, (a, b) in enumerate(gains):
        one = cqi_by_hand(10 * np.log10(a), table, 1)
        if a != b:
            continue
        two = cqi_by_hand(10 * np.log10(a / 2), table, 2)
        efficiency = [0.0, *(entry.efficiency for entry in cqi_table(table))]
        rank = 2 if 2 * efficiency[two] > efficiency[one] else 1
        cqi = (one, two)[rank - 1]
        assert found["rank_0"][row] == rank
        assert found["share_rank2_0"][row] == (rank == 2)
        assert found["cqi_0"][row] == cqi
        # RI of two ranks, wideband CQI
        assert found["report_bits_0"][row] == (30, 47)[rank - 1] + 1 + 4
        if cqi == 0:
            assert found["adapted_mbps_0"][row] == 0
            continue
        entry = mcs_of(cqi, table)
        size = transport_block_size(144 * NUM_PRB, entry.target_rate, entry.bits_per_symbol, rank)
        expected = size * (1 - found["adapted_bler_0"][row]) / SLOT_S / 1e6
        assert found["adapted_mbps_0"][row] == pytest.approx(expected)
        # the lowest MCS of the 256QAM and 1024QAM tables takes more than CQI 1 promises
        assert found["adapted_bler_0"][row] <= 0.1001 or (cqi == 1 and table in (1, 2, 4))
    assert found["rank_0"].tolist()[1] == 1  # the second channel is not there
    assert found["rank_0"].tolist()[4] == 2
    assert found["cqi_0"].tolist()[4] == 15
    assert found["adapted_mbps_0"].tolist()[0] == 0


def test_what_is_sent_goes_by_the_report_and_not_by_the_channel():
    """The channel falls by 6 dB after the report: the block of the reported CQI is lost; 6 dB more are not used."""
    experiment = load("small.yaml", ["report.rank=1", "num_layers=1", "throughput.snr_db=[0]"])
    then, precoders = parallel([(10.0, 0.0)] * 3)
    now = then * np.array([1, 0.5, 2], np.float32)[:, None, None, None]
    found = adapted(experiment, lambda rank: (precoders[rank], np.full(3, 20)), then, now)
    assert len(set(found["cqi_0"].tolist())) == 1
    assert found["report_bits_0"].tolist() == [24.0] * 3  # a rank that is fixed takes no bits
    kept, lost, more = found["adapted_mbps_0"]
    assert found["adapted_bler_0"][1] > 0.999
    assert lost < 0.001 * kept
    assert kept <= more <= kept / 0.9
    assert "share_rank1_0" not in found


def test_the_study_reports_rank_and_cqi(capsys):
    options = ["--set", "report={rank: adaptive, subband_cqi: true}", "--workers", "1"]
    assert main(["csi", "small.yaml", "--out", "run", *options]) == 0
    plain = json.loads(Path("run/csi.json").read_text())
    ideal, coded = (result["values"] for result in plain["results"])
    for values in (ideal, coded):
        shares = [values[f"share_rank{rank}_5"]["value"] for rank in (1, 2)]
        assert sum(shares) == pytest.approx(1)
        assert values["rank_5"]["value"] == pytest.approx(shares[0] + 2 * shares[1])
        # next to nobody hears at -30 dB, and everybody has two layers at 25 dB
        assert values["cqi_-30"]["value"] < 0.1
        assert values["adapted_mbps_-30"]["value"] < 0.05
        assert values["rank_25"]["value"] > 1.9
        # a user that chooses its rank, held against the best MCS for each of two layers
        assert 0.7 * values["mbps_1_25"]["value"] < values["adapted_mbps_25"]["value"] <= 51.3
    # RI 1, CQI 4 and 2 for each of 6 subbands
    assert ideal["report_bits_5"]["value"] == 1 + 4 + 12
    bits = next(result["bits"]["mean"] for result in plain["results"][1:])
    assert 17 < coded["report_bits_5"]["value"] <= bits + 17
    assert "report_bits_5" not in plain["results"][0]["gain_at_equal_payload"]
    figures = {row["figure"] for row in csv.DictReader(Path("run/csi.csv").read_text().splitlines())}
    assert {"rank_5", "cqi_5", "report_bits_5", "adapted_mbps_5", "net_adapted_mbps_5"} <= figures
    page = Path("run/csi.html").read_text()
    assert "<h2>Rank and CQI</h2>" in page
    assert "RI, 1 to 2; wideband and subband CQI of table 2" in page
    # results of another report are of another experiment
    assert main(["csi", "small.yaml", "--out", "run", "--workers", "1"]) == 2
    assert "holds a CSI study of a different experiment: report" in capsys.readouterr().err


def test_without_it_nothing_is_different():
    """An experiment of before keeps its identity, its figures and its page."""
    experiment = load("small.yaml", ["num_drops=4", "feedback=[ideal]"])
    assert "report" not in experiment.resolved()
    assert "report" not in identity_of(CsiWorld(experiment))
    assert CsiExperiment.model_validate(experiment.resolved()) == experiment
    assert adapted_names(experiment) == []
    (outcome,) = run_experiment(experiment, Path("out"), 1).outcomes
    assert not [name for name in outcome.figures if name.startswith(("rank", "cqi", "adapted", "report"))]


def test_first_layers_of_what_a_codebook_says():
    experiment = load("small.yaml")
    wanted = CsiWorld(experiment).drops("test", 0).v[:3, 0]
    bases = Bases(experiment, wanted)
    both, bits = bases(1)
    first, first_bits = bases.first(1)(1)
    anew, anew_bits = Bases(experiment, np.ascontiguousarray(wanted[:, :1]))(1)
    torch.testing.assert_close(first, anew, atol=0, rtol=0)
    torch.testing.assert_close(first, both[::2], atol=0, rtol=0)
    np.testing.assert_array_equal(first_bits, anew_bits)
    np.testing.assert_array_equal(first_bits, bits[::2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["report.rank=3"], "report.rank: got 3; allowed: adaptive, 1 to 2, num_layers"),
        (
            ["report.rank=adaptiv"],
            "report.rank: got 'adaptiv'; allowed: null, adaptive, 1 to 4; did you mean 'adaptive'?",
        ),
        (["report.rank=5"], "report.rank: got 5; allowed: null, adaptive, 1 to 4"),
        (["report.rank=true"], "report.rank: got True; allowed: null, adaptive, 1 to 4"),
        (["report={rank: 1, cqi_table: 5}"], "report.cqi_table"),
        (["report={rank: 1, cqi_tabel: 1}"], "cqi_table"),
        (["report.rank=1", "throughput.snr_db=[]"], "throughput.snr_db: got none; allowed: one or more"),
        (["report.rank=1", "timing={ahead_ms: 5, num_ahead: 2}"], "timing.num_ahead: got 2; allowed: 1 with"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(changes, message, capsys):
    sets = [part for change in changes for part in ("--set", change)]
    assert main(["csi", "small.yaml", "--out", "run", *sets]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not Path("run").exists()
