"""`ran.simulate` and `ran.load` against the driver that the command line uses."""

import subprocess
import sys

import pytest

import ran
from ran.sim.experiment import Experiment
from ran.sim.failures import ReceiversFailed
from ran.sim.run import run

VALUES = {
    "name": "small",
    "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10},
    "carrier": {"num_prb": 6},
    "num_rx_ant": 2,
    "receivers": ["perfect-csi", "lmmse", "ls-linear"],
    "esn0_db": [-2.0, 2.0, 6.0],
    "stopping": {"max_slots": 64},
}
CHANGES = {"pusch.mcs_index": 4}


@pytest.fixture(scope="module")
def results() -> ran.Results:
    return ran.simulate(VALUES, CHANGES)


def test_this_process_counts_what_worker_processes_count(results, tmp_path):
    experiment = Experiment(**VALUES, pusch={"mcs_index": 4})
    theirs = run(experiment, tmp_path / "run", workers=1)
    ours = results.runs[0]
    assert len(ours.points) == len(theirs.points) > 3
    for mine, other in zip(ours.points, theirs.points, strict=True):
        assert (mine.receiver, mine.esn0_db, mine.drops) == (other.receiver, other.esn0_db, other.drops)
        assert mine.block_errors_per_drop.tolist() == other.block_errors_per_drop.tolist()
        assert mine.bit_errors == other.bit_errors
    assert ours.meta["run_id"] == theirs.meta["run_id"]
    loaded = ran.load(tmp_path / "run")
    assert loaded.name == "small"
    assert loaded.snr_at() == results.snr_at()


def test_gains_are_those_of_the_report_table(results):
    from ran.report import summary_table

    rows = {row.receiver: row for row in summary_table(results.runs[0])}
    gain = results.gain()
    assert set(gain) == {"perfect-csi", "ls-linear"}
    assert gain["ls-linear"] == rows["ls-linear"].gains[0]
    assert results.snr_at(0.01)["lmmse"] == rows["lmmse"].crossings[1]
    other = results.gain(over="ls-linear")["lmmse"]
    assert other.value == pytest.approx(-gain["ls-linear"].known)
    with pytest.raises(ran.InputError, match="did you mean 'lmmse'"):
        results.gain(over="lmse")


def test_results_are_shown_and_written(results, tmp_path):
    assert "<td>lmmse</td>" in results._repr_html_()
    assert "lmmse: " in repr(results)
    labels = [text.get_text() for text in results.plot().legends[0].get_texts()]
    assert labels == ["perfect-csi (genie)", "lmmse", "ls-linear"]
    page = results.report(tmp_path / "report")
    assert page.is_file()
    assert (page.parent / "bler.png").is_file()


def test_a_frame_has_a_row_per_point(results):
    pytest.importorskip("pandas", reason="pandas comes with the extra notebook")
    frame = results.to_frame()
    assert len(frame) == len(results.runs[0].points)
    assert frame.block_errors.tolist() == [point.block_errors for point in results.runs[0].points]


def test_without_pandas_one_line_says_what_to_install(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ran.InputError, match=r"^pandas: not installed; allowed: .*ran6g\[notebook\]"):
        results.to_frame()


def test_a_sweep_has_its_keys_in_every_answer(tmp_path):
    sweep = {"grid": {"pusch.mcs_index": [2, 6]}}
    found = ran.simulate({**VALUES, "sweep": sweep}, {"receivers": ["lmmse"]}, out=tmp_path / "sweep")
    assert found.keys == ("mcs_index",)
    assert list(found.snr_at()) == [(2, "lmmse"), (6, "lmmse")]
    assert "<th>mcs_index</th>" in found._repr_html_()
    assert len(found.plot().axes) >= 2
    assert ran.load(tmp_path / "sweep").snr_at() == found.snr_at()
    assert found.report(tmp_path / "page").is_file()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({**VALUES, "num_rx_antt": 1}, "num_rx_antt: unknown key"),
        (7, "a mapping of keys to values, or a ran.Experiment"),
        ("pusch-reciever", "did you mean 'pusch-receivers'"),
        ({**VALUES, "seed": object()}, "allowed: numbers, text, lists and blocks"),
    ],
)
def test_bad_input_is_one_line(given, text):
    with pytest.raises(ran.InputError, match=text) as refusal:
        ran.simulate(given)
    assert "\n" not in str(refusal.value)


def test_an_experiment_object_is_changed_by_set():
    from ran.api.simulate import _requested

    changed = _requested(Experiment(**VALUES), {"pusch.mcs_index": 9, "esn0_db": (1.0, 2.0)})
    assert changed.pusch.mcs_index == 9
    assert changed.esn0_db == (1.0, 2.0)


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import ran\nran.simulate({VALUES!r}, workers=2, out={str(tmp_path / 'run')!r})\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "workers: got 2 in a script" in last
    assert '__name__ == "__main__"' in last
    assert done.stderr.count("Traceback") == 1


def test_a_receiver_that_fails_is_told_with_its_traceback(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from receivers import LsLinear\n\n\nclass Mine(LsLinear):\n    def __call__(self, observation, truth=None):\n"
        "        llr = super().__call__(observation, truth)\n"
        "        return {}['pilots'] if float(observation.noise_var.max()) < 0.5 else llr\n"
    )
    receivers = ["ls-linear", {"name": f"{tmp_path / 'mine.py'}:Mine"}]
    with pytest.raises(ReceiversFailed, match="receiver 'Mine' failed: KeyError: 'pilots'") as caught:
        ran.simulate({**VALUES, "receivers": receivers}, CHANGES)
    assert "in __call__" in "".join(caught.value.__notes__)
    assert {point.receiver for point in caught.value.results.points if point.esn0_db == 6} == {"ls-linear"}
