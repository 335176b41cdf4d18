"""Detection measured with labels, and the shipped references made again."""

import json
from dataclasses import replace

import pytest

from ran.studies.monitor import detection
from ran.studies.monitor.detection import Scenes, lines, measure_detection, write_detection
from ran.studies.monitor.reference import load_reference, make_reference, reference_path
from ran.studies.monitor.windows import NO_BOUND, WINDOW
from receivers.neural.weights import shipped_weights

WITH_REFERENCE = [name for name in sorted(shipped_weights("receiver")) if reference_path(name).is_file()]
SCENES = Scenes.model_validate(
    {
        "num_prb": 4,
        "scenes": [
            {"condition": "tdl-b", "esn0_db": [12]},
            {"condition": "tdl-b", "esn0_db": [12], "damage": 8},
        ],
    }
)


def test_damaged_weights_are_told_from_sound_ones(tmp_path, monkeypatch):
    drawn = []
    plain = detection.link_under

    def link_under(*options):
        link = plain(*options)
        batch = link.batch
        link.batch = lambda drops, *more, **also: drawn.append(drops) or batch(drops, *more, **also)
        return link

    monkeypatch.setattr(detection, "link_under", link_under)
    found = measure_detection("pusch-hybrid", WINDOW, 1, scenes=SCENES)
    sound, broken = found.scenes
    assert (sound.worse, broken.worse) == (False, True)
    assert broken.lost > 0.5 * WINDOW >= sound.lost
    assert len(sound.scores) == len(broken.scores) == 1
    assert found.auc("worse").known == 1.0
    assert broken.noticed == len(broken.delays) == 1
    assert sound.delays == (None,)
    # what decides and what is seen are different slots, of each scene
    assert drawn == [range(WINDOW), range(WINDOW, 2 * WINDOW)] * 2
    write_detection(found, tmp_path)
    assert json.loads((tmp_path / "detection.json").read_text())["left_out"] == []
    assert (tmp_path / "roc.png").is_file()


def test_scenes_without_a_label_are_named():
    found = measure_detection("pusch-hybrid", WINDOW, 1, scenes=SCENES.model_copy(update={"scenes": SCENES.scenes[:1]}))
    undecided = replace(found.scenes[0], worse=None)
    said = lines(replace(found, scenes=(undecided,)))
    assert any(line.startswith("left out of the areas") and undecided.title in line for line in said)


@pytest.mark.parametrize("weights", WITH_REFERENCE)
def test_shipped_references_hold_windows_that_they_were_made_of(weights):
    shipped, part = load_reference(weights), make_reference(weights, 2)
    for name, threshold in part.thresholds.items():
        assert threshold <= shipped.thresholds[name] + 1e-3, name
    for bits, ranges in part.bounds.ranges.items():
        for (low, high), (own_low, own_high) in zip(shipped.bounds.ranges[bits], ranges, strict=True):
            # two windows may not show a statistic at all; and a margin goes with the width of what was seen
            assert own_low == -NO_BOUND or low <= own_low + 0.3 * abs(own_low) + 1e-3
            assert own_high == NO_BOUND or own_high <= high + 0.3 * abs(high) + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("weights", WITH_REFERENCE)
def test_shipped_thresholds_come_out_again(weights):
    shipped = load_reference(weights)
    again = make_reference(weights, shipped.num_windows)
    assert again.thresholds == pytest.approx(shipped.thresholds, rel=1e-2, abs=1e-3)
    assert again.source == shipped.source
