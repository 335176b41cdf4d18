"""Figures in one style and as stable files, the parts of pages, and what a page may weigh."""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ElementTree
from importlib.resources import files

import numpy as np
import pytest
from matplotlib.colors import to_hex

from ran.config.host import command_line, made_here
from ran.report import figures as kit
from ran.report.figures import Line, Picture, as_file, escape_math, lines_figure
from ran.report.inline import inline_svg
from ran.report.palette import COLORS_LIGHT, GENIE_LIGHT, VARIABLES, color_of, css_variables, swatch
from ran.report.template import plotly_script
from ran.report.verdict import tally, verdict
from ran.stats import Estimate, Notation

LINES = [
    Line("a & <b>", 0, [1, 2, 4], [0.2, 0.3, 0.6], [0.1, 0.2, 0.5], [0.3, 0.4, 0.7]),
    Line("genie", None, [1, 2, 4], [0.9, 0.9, 0.95]),
]


def figure():
    return lines_figure(LINES, "K", "Top-K accuracy", share=True)


def test_curves_are_drawn_with_their_values_and_intervals():
    (axes,) = figure().axes
    drawn = {container.get_label(): container for container in axes.containers}
    assert list(drawn) == [line.title for line in LINES]
    for line in LINES:
        data = drawn[line.title].lines[0]
        np.testing.assert_allclose(data.get_xydata(), np.column_stack([line.x, line.y]))
        assert to_hex(data.get_color()) == color_of(line.place)
        assert data.get_linestyle() == ("--" if line.place is None else "-")
    (bars,) = drawn["a & <b>"].lines[2]
    ends = list(zip(LINES[0].low, LINES[0].high, strict=True))
    np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], ends)
    assert not drawn["genie"].has_yerr
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("K", "Top-K accuracy")


def test_files_are_what_they_are_called_and_equal_for_equal_figures():
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    first, second = figure(), figure()
    for kind, begin in begins.items():
        content = as_file(first, kind)
        assert content.startswith(begin)
        assert content == as_file(second, kind)
        for stamp in (b"CreationDate", b"Matplotlib", b"matplotlib.org", b"dc:date"):
            assert stamp not in content
    assert b">Top-K accuracy</text>" in as_file(first, "svg")
    # TrueType, which publishers ask for, and no Type 3
    pdf = as_file(first, "pdf")
    assert b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf


def test_a_figure_in_a_page_has_the_colours_and_the_font_of_the_page():
    picture = Picture.of(figure(), "some", title="<Title>")
    text = str(picture.inline)
    root = ElementTree.fromstring(text)
    assert root.attrib == {"viewBox": root.get("viewBox"), "role": "img", "aria-label": "<Title>"}
    assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r'(href="|url\()#[\w-]+', "", text))
    assert {"var(--c0)", "var(--genie)", "var(--grid)", "var(--sans)"} <= set(re.findall(r"var\(--\w+\)", text))
    for tag in ("<style", "<metadata", "DejaVu"):
        assert tag not in text
    used = set(re.findall(r'href="#([\w-]+)"', text)) | set(re.findall(r"url\(#([\w-]+)\)", text))
    identifiers = re.findall(r'\bid="([\w-]+)"', text)
    assert used == set(identifiers)
    assert len(identifiers) == len(set(identifiers))
    assert all(name.startswith("some-") for name in identifiers)
    assert len(text) < len(picture.svg)
    other = inline_svg(picture.svg, "other", "")
    assert not set(re.findall(r'\bid="([\w-]+)"', str(other))) & set(identifiers)


def test_every_colour_is_one_variable():
    light = [pair[0] for pair in VARIABLES.values()]
    assert len(set(light)) == len(light)
    assert {*COLORS_LIGHT, GENIE_LIGHT} <= set(light)
    styled = css_variables()
    assert "--c7: #5f57c9" in styled
    assert "@media screen and (prefers-color-scheme: dark)" in styled
    assert [swatch(place) for place in (None, 0, 7, 8)] == ["genie", "s0", "s7", "s0 dashed"]


def test_a_column_of_a_paper_is_as_wide_as_the_journal_has_it():
    assert [form.width_in for form in kit.PAPER.values()] == [3.5, 7.16]
    assert kit.PAGE.size(7.2, 4.6) == (7.2, 4.6)
    width, height = kit.ONE_COLUMN.size(7.2, 5.4)
    assert (width, height) == (3.5, pytest.approx(3.5 * 5.4 / 7.2))


def test_dollar_signs_are_no_mathematics():
    (axes,) = lines_figure([Line("$x_1$", 0, [1], [1])], "$a$", "b").axes
    assert axes.get_xlabel() == escape_math("$a$") == r"\$a\$"


def test_the_plotly_bundle_is_the_one_that_is_named():
    content = files("ran.report").joinpath("plotly-basic.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
    assert len(content) < 1.3e6
    assert "plotly.js (basic - minified) v4.1.1" in str(plotly_script())[:200]
    told = files("ran.report").joinpath("plotly-basic.md").read_text()
    assert "plotly.js 4.1.1" in told
    assert "Permission is hereby granted" in told


def test_a_page_says_what_wrote_it(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/ran", "sim", "a b.yaml"])
    assert command_line() == "ran sim 'a b.yaml'"
    monkeypatch.setattr("sys.argv", ["/x/ran/cli/main.py", "list", "receivers"])
    assert command_line() == "ran list receivers"
    monkeypatch.setattr("sys.argv", ["/home/me/my_study.py", "--secret"])
    assert command_line() == "python my_study.py"
    monkeypatch.setattr("sys.argv", ["/x/site-packages/ipykernel_launcher.py", "-f", "kernel.json"])
    assert command_line() == "a notebook"
    assert {"command", "machine", "ran6g", "numpy", "torch"} <= set(made_here())
    assert "core" in made_here()["machine"]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0.05, 0.19), "better"),
        ((-0.19, -0.05), "worse"),
        ((-0.05, 0.17), "undecided"),
        ((0.0, 0.17), "undecided"),
        ((-np.inf, 0.17), "undecided"),
        ((0.1, np.inf), "better"),
    ],
)
def test_the_interval_decides(ends, expected):
    low, high = ends
    value = float(np.clip(0.06, low, high))
    assert verdict(Estimate(value, low, high, reason="open")) == expected
    assert verdict(Estimate.missing("not simulated")) == "undecided"


def test_a_tally_counts_and_names_the_extremes():
    gains = [
        ("0 dB", Estimate(1.0, 0.5, 1.5)),
        ("5 dB", Estimate(0.1, -0.2, 0.4)),
        ("9 dB", Estimate(-1.0, -1.5, -0.5)),
        ("12 dB", Estimate.missing("not simulated")),
    ]
    shown = Notation(1, signed=True, suffix=" %")
    assert tally("a", "b", "throughput", gains, "SNR points", shown) == (
        "a against b, throughput in 3 SNR points: 1 better, 1 worse, 1 undecided; "
        "largest +1.0 % [+0.5, +1.5] at 0 dB, smallest −1.0 % [−1.5, −0.5] at 9 dB"
    )
    equal = [("0 dB", Estimate(1.0, 0.5, 1.5)), ("5 dB", Estimate(1.0, 0.5, 1.5))]
    assert tally("a", "b", "x", equal, "SNR points", shown).endswith("2 better; +1.0 % [+0.5, +1.5] in each")
    assert tally("a", "b", "x", gains[1:2], "SNR points", shown).endswith("1 undecided (+0.1 % [−0.2, +0.4] at 5 dB)")
    assert tally("a", "b", "x", gains[3:], "SNR points", shown) == ""
