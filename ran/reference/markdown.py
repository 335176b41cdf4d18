"""Pages of keys in Markdown, for the documentation and for nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ran.reference.docstring import first_line
from ran.reference.key import Key
from ran.reference.kinds import KINDS, explained_by, registries, sub_blocks
from ran.reference.models import model_keys
from ran.reference.options import field_keys, option_keys

_HEAD = ["| key | default | allowed | unit | meaning | clause |", "|---|---|---|---|---|---|"]
_INTRO = {
    "channels": "Write `channel: NAME` or `channel: {name: NAME, option: value}` in an experiment; "
    "`ran list channels`.",
    "impairments": "Write them into `waveform.transmit_impairments` or `waveform.receive_impairments`, in the order in "
    "which the signal passes them; `ran list impairments`.",
    "receivers": "Write them into the list `receivers` of an experiment, each a name or `{name: NAME, option: value}`, "
    "with a `label` where one appears twice. `FILE.py:CLASS`, `FILE.onnx` and `FILE.tflite` are names, too; "
    "`ran list receivers`.",
    "beam-predictors": "Write them into the list `predictors` of a beam experiment; `ran list beam-predictors`.",
    "csi-feedback": "Write them into the list `feedback` of a CSI experiment, each a name or `{name: NAME, option: "
    "value}`, with a `label` where one appears twice; `ran list csi-feedback`.",
}
_TITLES = {
    "channels": "Channels",
    "impairments": "Impairments",
    "receivers": "Receivers",
    "beam-predictors": "Beam predictors",
    "csi-feedback": "CSI feedback",
}


def pages() -> dict[str, str]:
    """Every page of keys, text by file name."""
    found = {f"{name}.md": kind_page(name) for name in KINDS}
    found |= {f"{name}.md": registry_page(name) for name in registries()}
    return found | {"blocks-of-channels.md": blocks_page()}


def kind_page(name: str) -> str:
    """All keys of a kind of file, one table per block."""
    kind = KINDS[name]
    keys = list(model_keys(kind.model()))
    lines = [
        f"# {kind.title}",
        "",
        f"Every key of the file that `{kind.command}` reads. `ran schema {name}` prints the",
    ]
    lines += ["same as JSON schema. A key without a default has to be given.", ""]
    top = [key for key in keys if "." not in key.path]
    if kind.named_by_file:
        top = [replace(key, default="the file's name") if key.path == "name" else key for key in top]
    top += [Key(path, "null", "block" if path == "sweep" else "name", text, "") for path, text in kind.also.items()]
    lines += ["## Top level", "", *_table(top), ""]
    blocks: dict[tuple[str, str], list[Key]] = {}
    for key in keys:
        block = key.path.rpartition(".")[0]
        if block:
            blocks.setdefault((block, key.variant), []).append(key)
    for (block, variant), inside in blocks.items():
        lines += [f"## `{block}`" + (f" with name {variant}" if variant else ""), "", *_table(inside), ""]
    return "\n".join(lines)


def registry_page(registry: str) -> str:
    """Every class of a registry with its options."""
    lines = [f"# {_TITLES[registry]}", "", _INTRO[registry], ""]
    for name, cls in registries()[registry].items():
        keys = list(option_keys(cls, explained_by(cls)))
        lines += [f"## `{name}`", "", _escaped(first_line(cls)), ""]
        lines += [*_table(keys), ""] if keys else ["No options.", ""]
    return "\n".join(lines)


def blocks_page() -> str:
    """Blocks inside the options of channels."""
    lines = ["# Blocks inside the options of channels", ""]
    for name, cls in sub_blocks().items():
        lines += [f"## `{name}`", "", _escaped(first_line(cls)), "", *_table(field_keys(cls)), ""]
    return "\n".join(lines)


def _table(keys: Iterable[Key]) -> list[str]:
    return _HEAD + [_row(key) for key in keys]


def _row(key: Key) -> str:
    default = "required" if key.default is None else f"`{key.default}`" if key.default else "empty"
    text = key.text[:1].upper() + key.text[1:] if key.text[:1].isalpha() and " " in key.text else key.text
    cells = [f"`{key.name}`", default, _escaped(key.allowed), key.unit, _escaped(text), key.clause]
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """Text that a table takes, and whose angle brackets, stars and square brackets are not markup."""
    parts = text.split("`")
    for index in range(0, len(parts), 2):
        for sign in ("\\", "|", "*", "_", "<", ">", "[", "]"):
            parts[index] = parts[index].replace(sign, "\\" + sign)
    for index in range(1, len(parts), 2):
        parts[index] = parts[index].replace("|", "\\|")
    return "`".join(parts)
