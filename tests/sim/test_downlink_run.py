"""The downlink through driver, store, results and report; and experiments that make no downlink."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from ran.cli.main import main
from ran.sim.experiment import Experiment, built_in_experiments, load
from ran.sim.identity import physics, replay_key
from ran.sim.outcomes import TaskOutcomes
from ran.sim.replay import replay
from ran.sim.results import load_results
from ran.sim.results_csv import CSV_COLUMNS
from ran.sim.run import run
from ran.sim.simulation import build_simulation
from ran.sim.store import Segment, Store
from ran.sim.throughput import Stream, fraction_of_maximum
from ran.stats.counts import Counts

GOOD = """\
carrier: {num_prb: 4}
pdsch: {num_layers: 5, mcs_index: 12, mcs_index_2: 5, prg_size: 2, dmrs: {length: 2}}
precoding: {name: svd, num_tx_ant: 8, csi_delay_slots: 2}
channel: {name: tdl, profile: A, delay_spread_ns: 30, max_doppler_hz: 10}
receivers: [ls-linear]
num_rx_ant: 8
harq: {max_transmissions: 2}
esn0_db: [0]
stopping: {min_block_errors: null, max_slots: 128, min_bler: null}
"""


def downlink(folder: Path) -> Experiment:
    path = folder / "down.yaml"
    path.write_text(GOOD)
    return load(path)


def test_a_run_with_two_codewords(tmp_path: Path) -> None:
    experiment = downlink(tmp_path)
    results = run(experiment, tmp_path / "a", workers=1)
    [point] = results.points
    first, second = build_simulation(experiment).link.bits_per_block
    assert first != second
    assert point.bits == 128 * (first + second)
    assert point.blocks == 256
    store = tmp_path / "a" / "results.sqlite"
    opened = Store(store)
    [task] = opened.tasks()
    wrong = np.concatenate([s.counts.second_errors for s in opened.load(task.task_id)]).sum(0)
    opened.close()
    assert wrong.shape == (2,)
    # delivered bits per air time, codeword by codeword, from the counts alone
    earlier = round(point.bler_after[0] * 256)
    delivered = {1: 128 - (point.block_errors - wrong[1]), 2: 128 - wrong[1]}
    sent = {1: 128 + (earlier - wrong[0]), 2: 128 + wrong[0]}
    mbps = sum(delivered[c] * bits / (sent[c] * 0.5e-3) / 1e6 for c, bits in ((1, first), (2, second)))
    assert 0 < wrong[0] < 128
    assert point.throughput_mbps == pytest.approx(mbps)
    assert point.throughput_fraction == pytest.approx(mbps / ((first + second) / 0.5e-3 / 1e6))
    assert point.throughput_fraction_low < point.throughput_fraction < point.throughput_fraction_high
    assert point.bler_of_codewords == pytest.approx([1 - delivered[c] / 128 for c in (1, 2)])
    header = (tmp_path / "a" / "results.csv").read_text().splitlines()[0].split(",")
    assert tuple(header[: len(CSV_COLUMNS)]) == CSV_COLUMNS
    assert header[-2:] == ["bler_codeword_1", "bler_codeword_2"]
    # stored and read again; other workers and chunks
    assert load_results(tmp_path / "a").points[0].throughput_mbps == point.throughput_mbps
    run(experiment, tmp_path / "b", workers=2, chunk_slots=64)
    assert (tmp_path / "b" / "results.csv").read_bytes() == (tmp_path / "a" / "results.csv").read_bytes()
    with sqlite3.connect(store) as db:
        db.execute("UPDATE outcomes SET second_errors = zeroblob(length(second_errors))")
    damaged = load_results(tmp_path / "a")
    assert damaged.points == ()
    assert "damaged" in damaged.warnings[0]


def test_a_drop_again(tmp_path: Path) -> None:
    experiment = downlink(tmp_path)
    found = replay(experiment, replay_key(experiment, 0.0, 3))
    assert found.blocks == 2
    assert found.bits == sum(build_simulation(experiment).link.bits_per_block)


def test_the_fraction_of_two_codewords() -> None:
    # codeword 1 always arrives at once, codeword 2 of half the size with the second transmission: 1 and 1/2
    ones, n = np.ones(400, int), 400
    streams = [Stream(ones, ones, 1, 2000), Stream(ones, 2 * ones, 1, 1000)]
    fraction = fraction_of_maximum(streams, 4)
    assert fraction.value == pytest.approx((2000 + 500) / 3000)
    assert fraction.high - fraction.low < 0.1
    # equal codewords that fail together are one stream, and then the interval is nearly that of the ratio
    rng = np.random.default_rng(0)
    sent = rng.integers(1, 5, n)
    arrived = np.where(sent == 4, rng.integers(0, 2, n), 1)
    both = fraction_of_maximum([Stream(arrived, sent, 1, 1000)] * 2, 4)
    one = fraction_of_maximum([Stream(arrived, sent, 1, 1000)], 4)
    assert both.value == pytest.approx(one.value)
    assert both.low == pytest.approx(one.low, abs=0.01)
    assert both.high == pytest.approx(one.high, abs=0.01)


def test_outcomes_of_codewords_are_additive() -> None:
    parts = [
        Segment(0, Counts.of([2, 1], [9, 4], [[2], [2]], [[1, 1], [1, 0]])),
        Segment(2, Counts.of([0], [0], [[1]], [[0, 0]])),
    ]
    first, second = TaskOutcomes(parts).streams((500, 300))
    assert second.delivered.tolist() == [0, 1, 1]
    assert second.transmissions.tolist() == [2, 2, 1]
    assert first.delivered.tolist() == [0, 0, 1]
    assert first.transmissions.tolist() == [2, 2, 2]
    assert (first.bits, second.bits) == (500, 300)


def test_names_of_downlinks_and_uplinks() -> None:
    down = load("pdsch-svd")
    assert set(physics(down)) == {"carrier", "pdsch", "precoding", "num_rx_ant", "channel"}
    for name in built_in_experiments():
        resolved = load(name).resolved()
        assert ("pusch" in resolved) != ("pdsch" in resolved)
        assert ("users" in resolved) == ("pusch" in resolved)


UPLINK = GOOD.replace("pdsch: {num_layers: 5, mcs_index: 12, mcs_index_2: 5, prg_size: 2, dmrs: {length: 2}}\n", "")
MALFORMED = {
    "both": (f"{GOOD}pusch: {{}}\n", "pdsch: got both pusch and pdsch; allowed: exactly one of them"),
    "users": (f"{GOOD}users: {{num_users: 2}}\n", "users: got 2 users with pdsch; allowed: none"),
    "precoded uplink": (UPLINK, "precoding: got 'svd' with pusch; allowed: only with pdsch"),
    "no antennas": (
        GOOD.replace("num_tx_ant: 8, ", ""),
        "precoding.num_tx_ant: missing; allowed: a whole number, 1 to 32",
    ),
    "33 antennas": (GOOD.replace("num_tx_ant: 8", "num_tx_ant: 33"), "precoding.num_tx_ant: got 33; allowed"),
    "misspelt": (GOOD.replace("svd", "svdd"), "precoding: name: got 'svdd'; allowed: .*did you mean 'svd'"),
    "misspelt option": (
        GOOD.replace("csi_delay_slots", "csi_delay"),
        "precoding.csi_delay: unknown key.*csi_delay_slots",
    ),
    "few antennas": (GOOD.replace("num_tx_ant: 8", "num_tx_ant: 4"), r"pdsch.num_layers: got 5 .*TS 38.214 §5.2.2.2"),
    "few receive antennas": (
        GOOD.replace("num_rx_ant: 8", "num_rx_ant: 4"),
        "got 5 layers of svd with 4 receive antennas",
    ),
    "no such panel": (
        GOOD.replace("{name: svd, num_tx_ant: 8, ", "{name: type-one, n1: 3, n2: 3, "),
        "n1, n2: got .3, 3.",
    ),
    "no such mode": (
        GOOD.replace("{name: svd, num_tx_ant: 8, ", "{name: type-one, n1: 4, mode: 3, "),
        "mode: got 3; allowed: 1, 2",
    ),
    "too many ports": (GOOD.replace(", dmrs: {length: 2}", ""), r"TS 38.211"),
    "rv with harq": (GOOD.replace("mcs_index_2: 5", "rv_2: 2"), r"pdsch.rv_2: got 2 with harq; allowed: 0"),
    "a second MCS": (
        GOOD.replace("num_layers: 5", "num_layers: 4"),
        "mcs_index_2 5 needs a second codeword.*TS 38.211",
    ),
    "two modulations": (
        GOOD.replace("[ls-linear]", "[{name: neural, weights: pusch-hybrid}]"),
        "receivers.neural: .*",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_downlinks(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, expected = MALFORMED[name]
    path = tmp_path / "down.yaml"
    path.write_text(text)
    assert main(["sim", str(path), "--out", str(tmp_path / "out"), "--workers", "1"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert re.search(expected, err), err
