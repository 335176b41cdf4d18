"""Scenes with materials that the tracer does not know: one line, not its traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from channels.raytraced.scene_materials import check_materials
from channels.raytraced.tracer import reason

KNOWN = ("concrete", "metal", "wet_ground")
NEW = '<bsdf type="itu-radio-material" id="walls"><string name="type" value="{}"/></bsdf>'
OLD = '<bsdf type="twosided" id="mat-itu_{}"><bsdf type="diffuse"/></bsdf>'


def scene(folder: Path, material: str) -> Path:
    path = folder / "scene.xml"
    path.write_text(f'<scene version="2.1.0">{material}</scene>')
    return path


@pytest.mark.parametrize("form", [NEW, OLD])
def test_an_unknown_material_is_named_with_the_nearest(form: str, tmp_path: Path) -> None:
    check_materials(scene(tmp_path, form.format("wet_ground")), KNOWN)
    path = scene(tmp_path, form.format("concrte"))
    with pytest.raises(ValueError, match=r"material .*: got 'concrte'; allowed: concrete, metal, .*'concrete'\?$") as e:
        check_materials(path, KNOWN)
    assert str(e.value).startswith(f"{path}: material ")
    assert "\n" not in str(e.value)


def test_other_materials_are_left_to_the_tracer(tmp_path: Path) -> None:
    check_materials(scene(tmp_path, '<bsdf type="radio-material" id="own"/>'), KNOWN)
    check_materials(scene(tmp_path, NEW.format("anything")), ())


def test_of_a_traceback_the_last_line_is_said() -> None:
    # as Mitsuba of sionna-rt 2.2 raises it
    text = (
        '[parser.cpp:1718] At string (line 2, col 6): failed to instantiate bsdf plugin of type "itu-radio-material": '
        'Traceback (most recent call last):\n  File "/x/sionna/rt/scene.py", line 1269, in load_scene\n'
        'ValueError: Invalid ITU material type "unobtainium"'
    )
    assert reason(RuntimeError(text)) == 'Invalid ITU material type "unobtainium"'
    assert reason(RuntimeError("a shape\n  is missing")) == "a shape is missing"
    assert reason(RuntimeError()) == "RuntimeError"
