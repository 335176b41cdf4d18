"""Evaluation assumptions of 3GPP as ready experiments: what each follows, from which document, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ran.config.validation import validate
from ran.config.yaml_file import read_mapping
from ran.phy.config import Config
from ran.sim.files import write_text
from ran.sim.loading import shipped

#: Beside the report of a preset.
MARKDOWN = "assumptions.md"


class Assumption(Config):
    """A value that an experiment takes from a document.

    key: of the experiment, a path as `--set` has it. source: document, clause or table. seen: how it was read, in a
    table of the standard that the package holds, or in a public description of the document.
    """

    key: str
    value: Any
    source: Annotated[str, Field(min_length=8)]
    seen: Literal["standard", "secondary"]


class Preset(Config):
    """An experiment that follows evaluation assumptions.

    command: that runs it. item: of 3GPP's work. departures: what it does otherwise.
    """

    command: Literal["ran sim", "ran beams", "ran csi"]
    item: str
    assumptions: Annotated[tuple[Assumption, ...], Field(min_length=1)]
    departures: tuple[str, ...] = ()


@cache
def presets() -> Mapping[str, Preset]:
    """Presets by the name of their experiment."""
    values = read_mapping(Path(str(resources.files("ran.studies.presets").joinpath("presets.yaml"))))
    return {name: validate(Preset, value, f"presets.yaml: {name}") for name, value in values.items()}


def preset_experiments() -> dict[str, Path]:
    """Experiments of `ran sim` that are here for their assumptions, by name."""
    return shipped("ran.studies.presets.experiments")


def write_assumptions(asked: str, changed: Sequence[str], folder: Path) -> Path | None:
    """The assumptions of a preset as a table in Markdown, in the folder of its run; None where it is none.

    asked: what was asked for on the command line: a file of the same name is no preset. changed: what was set there,
    KEY=VALUE, which the table then names.
    """
    preset = presets().get(asked)
    if preset is None:
        return None
    path = folder / MARKDOWN
    write_text(path, as_markdown(asked, preset, changed))
    return path


def as_markdown(name: str, preset: Preset, changed: Sequence[str] = ()) -> str:
    """What is followed, with sources, and what is not."""
    lines = [
        f"# {name}: evaluation assumptions",
        "",
        f"{preset.item}. Run by `{preset.command} {name}`.",
        "",
        "| key | value | source | read in |",
        "|---|---|---|---|",
    ]
    if changed:
        settings = ", ".join(f"`{setting}`" for setting in changed)
        lines[4:4] = [f"**This run does not follow them as they stand**: it was asked for with {settings}.", ""]
    lines += [f"| `{a.key}` | {_shown(a.value)} | {a.source} | {_READ[a.seen]} |" for a in preset.assumptions]
    if preset.departures:
        lines += ["", "Otherwise:", "", *(f"- {text}" for text in preset.departures)]
    return "\n".join([*lines, ""])


_READ = {"standard": "the document's tables", "secondary": "a public description; check it before citing"}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return " / ".join(_shown(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
