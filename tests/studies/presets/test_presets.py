"""Presets: every assumption is what the experiment has, and names its source."""

import re

import pytest

from ran.cli.main import main
from ran.config.yaml_file import read_mapping
from ran.studies.beams.experiment import load as load_beams
from ran.studies.conformance.requirements import requirements
from ran.studies.csi.experiment import load as load_csi
from ran.studies.presets import as_markdown, preset_experiments, presets, write_assumptions
from ran.studies.sweep.request import load_any

#: A document with what to look up in it, or a contribution, which is short.
SOURCE = re.compile(r"T[SR] \d\d\.\d{3} .*(table|§)|T[SR] \d\d\.\d{3}.*R[14]-\d{6}|R[14]-\d{6,7}")


def values_of(name, preset):
    """Plain values of the experiment with all defaults."""
    if preset.command == "ran beams":
        return load_beams(name).model_dump(mode="json")
    if preset.command == "ran csi":
        return load_csi(name).resolved()
    written = read_mapping(preset_experiments()[name])
    part = load_any(name).parts[0].experiment.model_dump(mode="json")
    return {**part, "sweep": written["sweep"]}, written


def at(values, path):
    for key in path.split("."):
        values = values[int(key)] if isinstance(values, list) else values[key]
    return values


@pytest.mark.parametrize("name", presets())
def test_every_assumption_is_what_the_experiment_has(name):
    preset = presets()[name]
    found = values_of(name, preset)
    # where a key is swept, the experiment as written has its own value
    resolved, written = found if isinstance(found, tuple) else (found, found)
    for assumption in preset.assumptions:
        try:
            value = at(written, assumption.key)
        except (KeyError, TypeError):
            value = at(resolved, assumption.key)
        assert value == assumption.value, assumption.key
        assert SOURCE.search(assumption.source), assumption.source


def test_every_experiment_here_has_its_assumptions():
    assert set(preset_experiments()) == {name for name, preset in presets().items() if preset.command == "ran sim"}


def test_rows_of_the_standard_are_those_of_its_table():
    """The link-level preset against the table of TS 38.104 that conformance is held against."""
    rows = {row.name: row for row in requirements()}
    parts = load_any("nr-pusch-link-level").parts
    for part, number in zip(parts, (4, 5, 6), strict=True):
        row = rows[f"8.2.1.2-4-row{number}"]
        link = part.experiment
        assert (link.pusch.mcs_index, link.carrier.num_prb, link.num_rx_ant) == (row.mcs_index, row.num_prb, row.num_rx)
        channel = link.channel.block() if not isinstance(link.channel, tuple) else link.channel[0].block()
        assert (channel["profile"], channel["max_doppler_hz"]) == (row.delay_profile, row.max_doppler_hz)
    assert len({part.experiment.channel for part in parts}) == 3


def test_they_are_listed_and_written_beside_a_run(tmp_path, capsys):
    assert main(["list", "presets"]) == 0
    out = capsys.readouterr().out
    assert all(f"{preset.command} {name}" in out for name, preset in presets().items())
    text = write_assumptions("6gr-sparse-dmrs", [], tmp_path).read_text()
    assert text == as_markdown("6gr-sparse-dmrs", presets()["6gr-sparse-dmrs"])
    assert "| `pusch.mcs_index` | 16 | TS 38.104 V15.19.0 table 8.2.1.2-4, row 5" in text
    assert "Otherwise:" in text
    assert write_assumptions("pusch-receivers", [], tmp_path) is None
    changed = write_assumptions("6gr-sparse-dmrs", ["num_rx_ant=2"], tmp_path).read_text()
    assert "does not follow them as they stand**: it was asked for with `num_rx_ant=2`" in changed
    # a file of that name is no preset
    assert write_assumptions("./6gr-sparse-dmrs.yaml", [], tmp_path) is None
