"""The report folder: self-contained, complete, escaped, written whole."""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest
import synthetic_runs as synthetic

from ran.errors import InputError
from ran.link.snr import ebn0_db
from ran.phy.pusch import PuschGrid
from ran.registry import KINDS
from ran.registry.lookup import described
from ran.report import summary_table, write_report
from ran.report.curves import curves, esn0_range
from ran.report.facts import receiver_words
from ran.report.plot import bler_figure, throughput_figure
from ran.report.summary import ebn0_offset_db, findings
from ran.report.tables import LabelledRun, latex_table, tidy_csv
from ran.sim.experiment import load
from ran.stats import Estimate

GRID = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
CENTRES = {"perfect-csi": 4.0, "ls-linear": 6.0, "neural": 4.6}
FILES = ["bler.png", "bler.svg", "report.html", "throughput.png", "throughput.svg"]
NASTY = "</script><script>alert(1)</script> $x_1$ & \"q\" 'r'"


def make_run(seed=1, **changes):
    generator = np.random.default_rng(seed)
    return synthetic.run(changes.pop("centres", CENTRES), GRID, 500, generator, genies=["perfect-csi"], **changes)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report([make_run()], tmp_path_factory.mktemp("run"))


class Elements(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self._inside):
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))


def test_folder_holds_page_and_pictures(page):
    assert page.name == "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == FILES
    for name in ("bler", "throughput"):
        assert (page.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (page.parent / f"{name}.svg").read_bytes().startswith(b"<?xml")


def test_page_is_small_and_saves_what_it_shows(page):
    text = page.read_text()
    assert len(text) < 2e6
    saved = dict(re.findall(r'<a download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', text))
    assert list(saved) == ["bler.svg", "throughput.svg", "table.tex", "curves.csv", "curves.mat"]
    content = {name: base64.b64decode(coded) for name, coded in saved.items()}
    for name in ("bler.svg", "throughput.svg"):
        assert content[name] == (page.parent / name).read_bytes()
    assert content["table.tex"].decode() == latex_table(LabelledRun.of([make_run()]))
    assert content["curves.csv"].decode() == tidy_csv(LabelledRun.of([make_run()]))
    assert text.count("data-png=") == 2


def test_page_loads_nothing_from_elsewhere(page):
    elements = Elements(page.read_text())
    loading = [
        value
        for _, attributes in elements.tags
        for key in ("src", "href", "srcset", "data", "poster", "action")
        if (value := attributes.get(key)) is not None
    ]
    assert loading
    assert all(value.startswith(("data:", "#")) for value in loading)
    assert not {"link", "iframe", "object", "embed"} & {t for t, a in elements.tags if a.get("href") != "data:,"}
    styles = re.findall(r"<style>(.*?)</style>", page.read_text(), re.S)
    assert not any("url(" in style or "@import" in style for style in styles)
    assert "plotly.js (basic - minified) v" in page.read_text()


def test_page_tells_all_of_the_run(page):
    text = Elements(page.read_text()).text
    run = make_run()
    for row in summary_table(run):
        for estimate in (*row.crossings, *row.ebn0s, *row.gains, *row.losses):
            assert str(estimate) in text
    for point in run.points:
        assert f"{point.block_errors:,}" in text
        assert f"[{point.bler_low:.3g}, {point.bler_high:.3g}]" in text
    for value in run.meta.values():
        assert value in text
    assert "max_doppler_hz: 400.0" in text
    for term in ("Es/N0", "Drop", "Interval", "Genie", "Gain"):
        assert term in text
    assert "not finished" not in text


def test_receivers_are_described_in_words():
    run = make_run()
    blocks = [{"name": "lmmse", "label": "ls-linear"}, {"name": "neural", "weights": "pusch-realtime"}]
    blocks += [{"name": "mine.py:Own", "label": "perfect-csi"}, {"name": "blind"}]
    settings = run.experiment.resolved() | {"receivers": blocks}
    words = receiver_words(replace(run, experiment=type(run.experiment).model_validate(settings)))
    assert list(words) == ["ls-linear", "neural", "perfect-csi"]
    assert words["ls-linear"] == described(KINDS["receivers"].shipped["lmmse"])
    assert "MMSE" in words["ls-linear"]
    assert words["neural"].endswith("Weights: pusch-realtime.")
    assert words["perfect-csi"] == "mine.py:Own"


def test_ebn0_is_esn0_by_a_constant():
    run = make_run()
    grid = PuschGrid.build(run.experiment.carrier, run.experiment.pusch, run.experiment.users)
    for offset, wanted in ((None, -ebn0_db(0.0, grid)), (2.315, 2.315)):
        for row in summary_table(run, esn0_less_ebn0_db=offset):
            for esn0, ebn0 in zip(row.crossings, row.ebn0s, strict=True):
                assert ebn0.reason == esn0.reason
                if esn0.value is not None:
                    ends = [(esn0.value, ebn0.value), (esn0.low, ebn0.low), (esn0.high, ebn0.high)]
                    assert all(b == pytest.approx(a - wanted) for a, b in ends)


def test_the_targets_count_ebn0_as_the_published_curves():
    """Es/N0 = Eb/N0 + 2.315 dB with the nominal rate and the first symbol's prefix, 137 of 1584 samples for all."""
    published = 10 * math.log10(4 * 553 / 1024 * 12 / 14 / (1 + 137 / 1584))
    assert published == pytest.approx(2.315, abs=5e-4)
    for name in ("target-one-user", "target-two-users"):
        experiment = load(name)
        pusch, carrier = experiment.uplink, experiment.carrier
        assert (carrier.num_prb, carrier.subcarrier_spacing_khz, experiment.num_rx_ant) == (132, 30, 4)
        assert (pusch.mcs_table, pusch.mcs_index, pusch.num_layers) == (1, 14, 1)
        assert (pusch.dmrs.config_type, pusch.dmrs.additional_position) == (1, 1)
        assert pusch.dmrs.num_cdm_groups_without_data == 2
        assert experiment.decoder.num_iterations == 20
        assert experiment.stopping.min_block_errors == 500
        run = replace(make_run(), experiment=experiment)
        # exact prefixes and the bits of the transport block are a twentieth of a dB less pessimistic
        assert ebn0_offset_db(run) == pytest.approx(published, abs=0.06)


def test_unfinished_run_says_so(tmp_path):
    run = make_run()
    page = write_report([replace(run, meta={"complete": "no"})], tmp_path)
    assert "This run is not finished" in Elements(page.read_text()).text


#: The worst that a receiver may be called: its name is one of files too.
LABEL = "$x_1$ & 'r' &lt;b&gt; script"


def test_user_text_is_escaped(tmp_path):
    run = make_run(centres={"perfect-csi": 4.0, LABEL: 5.0, "_hidden": 5.5}, description=NASTY)
    text = write_report([replace(run, meta={NASTY: NASTY})], tmp_path).read_text()
    assert "<script>alert" not in text
    elements = Elements(text)
    assert sum(tag == "script" for tag, _ in elements.tags) == 4
    # the description, and both sides of the table about the run
    assert elements.text.count(NASTY) >= 3
    assert elements.text.count(LABEL) >= 1
    data = json.loads(re.search(r'<script id="report-data" type="application/json">(.*?)</script>', text, re.S)[1])
    assert html.escape(LABEL) in {trace["name"] for trace in data["figures"]["bler"]["data"]}


@pytest.mark.parametrize("figure", [bler_figure, throughput_figure])
def test_figures_are_valid_plotly(figure):
    for runs in ([make_run()], [make_run(1), make_run(2)]):
        spec = json.loads(json.dumps(figure(curves(runs)), allow_nan=False))
        go.Figure(spec)


def test_genie_is_dashed_and_labelled():
    traces = bler_figure(curves([make_run()]))["data"]
    legend = {t["name"]: t for t in traces if t["meta"]["role"] == "legend"}
    assert list(legend) == ["perfect-csi (genie)", "ls-linear", "neural"]
    assert [t["line"]["dash"] for t in legend.values()] == ["dash", "solid", "solid"]
    assert [t["meta"]["color"] for t in legend.values()] == [None, 0, 1]


def test_points_without_errors_are_upper_limits_and_not_zeros():
    run = make_run()
    clean = [p for p in run.points if p.block_errors == 0]
    assert clean
    traces = bler_figure(curves([run]))["data"]
    shown = [y for t in traces if t["meta"]["role"] in ("points", "line", "band") for y in t["y"]]
    assert min(shown) > 0
    limits = [t for t in traces if "arrow" in t.get("marker", {}).get("symbol", "")]
    assert sorted(y for t in limits for y in t["y"]) == sorted(p.bler_high for p in clean)


def test_several_runs_keep_the_colours_of_receivers():
    shown = curves([make_run(1), make_run(2, centres={"perfect-csi": 5.0, "neural": 5.0, "lmmse": 6.0})])
    assert [c.label for c in shown][:2] == ["synthetic #1: perfect-csi (genie)", "synthetic #1: ls-linear"]
    assert [c.color for c in shown] == [None, 0, 1, None, 1, 2]
    assert {c.marker for c in shown if c.run_index == 0} == {0}
    assert {c.marker for c in shown if c.run_index == 1} == {1}


def test_throughput_follows_from_counts():
    for curve in curves([make_run()]):
        np.testing.assert_allclose(curve.throughput_at(curve.bler), curve.throughput_mbps, rtol=1e-9, atol=1e-9)


def test_axis_leaves_out_far_probes():
    run = make_run()
    far = replace(run, points=(*run.points, synthetic.point("neural", 40.0, np.zeros(8))))
    assert esn0_range(curves([far]))[1] < 11
    lone = replace(run, points=(synthetic.point("neural", 40.0, np.zeros(8)),))
    assert esn0_range(curves([lone])) == (39.0, 41.0)


def test_one_point_and_only_genies_make_a_report(tmp_path):
    run = make_run()
    one = replace(run, points=(run.points[0],))
    text = Elements(write_report([one], tmp_path / "deep" / "one.html").read_text()).text
    assert "perfect-csi at 10 % BLER: still above 10 %" in text
    assert (tmp_path / "deep" / "bler.png").is_file()


def test_equal_runs_give_equal_files(tmp_path):
    for name in "ab":
        write_report([make_run()], tmp_path / name)
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_failed_write_leaves_the_old_report(tmp_path, monkeypatch):
    page = write_report([make_run()], tmp_path)
    before = page.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match="No space left on device"):
        write_report([make_run(7)], tmp_path)
    assert page.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


def test_bad_input_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    cases = [([], tmp_path), ([replace(make_run(), points=())], tmp_path), ([make_run()], tmp_path / "file" / "x")]
    for runs, out in cases:
        with pytest.raises(InputError) as caught:
            write_report(runs, out)
        assert "\n" not in str(caught.value)
        assert "allowed:" in str(caught.value)


def test_summary_rows():
    rows = summary_table(make_run())
    assert [row.receiver for row in rows] == list(CENTRES)
    assert [row.is_genie for row in rows] == [True, False, False]
    assert [row.is_reference for row in rows] == [False, True, False]
    genie, reference, neural = rows
    assert reference.gains[0].reason == "compared with itself"
    assert neural.gains[0].low <= 1.4 <= neural.gains[0].high
    assert neural.losses[0].low <= 0.6 <= neural.losses[0].high
    assert genie.gains[0] == reference.losses[0]
    (sentence,) = findings(rows)
    number, interval = r"\d\.\d\d", r"\[\d\.\d\d, \d\.\d\d\]"
    assert re.fullmatch(
        rf"neural needs {number} dB {interval} less Es/N0 than ls-linear at 10 % BLER: better; "
        rf"{number} dB {interval} from perfect-csi at 10 % BLER\.",
        sentence,
    )


def test_findings_do_not_claim_what_the_interval_does_not_hold():
    run = synthetic.run({"a": 5.0, "b": 5.0}, GRID, 300, np.random.default_rng(3), shared=False)
    rows = summary_table(run)
    (sentence,) = findings(rows)
    gain = rows[1].gains[0]
    assert gain.low < 0 < gain.high
    assert sentence.startswith(
        f"b cannot be told apart from a at 10 % BLER: gain {gain.value:+.2f} dB [".replace("-", "−")
    )
    assert ", undecided" in sentence
    assert "better" not in sentence
    worse = synthetic.run({"a": 5.0, "b": 6.0}, GRID, 300, np.random.default_rng(3))
    (sentence,) = findings(summary_table(worse))
    assert re.match(r"b needs 1\.0\d dB \[0\.\d\d, 1\.\d\d\] more Es/N0 than a at 10 % BLER: worse", sentence)


def test_each_target_has_its_own_verdict():
    reference, neural = summary_table(make_run())[1:]
    gains = (Estimate(0.4, 0.2, 0.6), Estimate(-0.3, -0.5, -0.1))
    (sentence,) = findings([reference, replace(neural, gains=gains)])
    assert sentence == (
        "neural needs 0.40 dB [0.20, 0.60] less Es/N0 than ls-linear at 10 % BLER: better; "
        "at 1 % BLER 0.30 dB [0.10, 0.50] more: worse."
    )
    (sentence,) = findings([reference, replace(neural, gains=(gains[1], Estimate(0.1, -0.1, 0.3)))])
    assert sentence.endswith("10 % BLER: worse; at 1 % BLER gain +0.10 dB [−0.10, +0.30]: undecided.")


def test_an_open_interval_decides_nothing():
    (row,) = [row for row in summary_table(make_run()) if row.receiver == "neural"]
    half_open = Estimate(1.1, -math.inf, 1.7, reason="the lower end is outside of the points")
    (sentence,) = findings([*summary_table(make_run())[:2], replace(row, gains=(half_open, Estimate.missing("no")))])
    assert "cannot be told apart from ls-linear at 10 % BLER: gain +1.10 dB [−∞, +1.70], undecided" in sentence


def test_the_line_ends_at_the_first_point_without_errors():
    """Beyond it nothing is known but limits; a line would claim an error floor."""
    run = make_run()
    quiet = [synthetic.point("neural", 30.0 + i, np.zeros(500, int)) for i in range(4)]
    [curve] = [c for c in curves([replace(run, points=(*run.points, *quiet))]) if c.label == "neural"]
    last_error = curve.esn0_db[np.flatnonzero(curve.bler > 0)[-1]]
    first_without = curve.esn0_db[curve.esn0_db > last_error][0]
    drawn = curve.line_esn0_db[~np.isnan(curve.falling_bler)]
    assert drawn[0] == curve.line_esn0_db[0]
    assert last_error < drawn[-1] <= first_without
    assert np.isnan(curve.falling_bler[curve.line_esn0_db > first_without]).all()
