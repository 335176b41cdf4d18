"""Weights in the layout of model hubs: config.json, model.safetensors and a card with a YAML head in README.md.

The files are those that hubs of models show and clone (Hugging Face Hub documentation, "Model Cards"); they are loaded
back offline: `weights: FOLDER/model.safetensors`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ran.errors import InputError, bad_value, unknown_name
from ran.export.interface import ExportTarget, Say
from ran.export.request import Request
from ran.sim.files import write_text
from receivers.neural.weights import HUB_CARD, HUB_WEIGHTS, Weights, card_path, load_weights, shipped_weights, task_of

LIBRARY = "ran6g"
#: What hubs and readers search by, per task of a card.
_TAGS = {
    "receiver": ["neural-receiver", "pusch"],
    "beams": ["beam-management"],
    "csi": ["csi-feedback"],
}


@dataclass(frozen=True)
class HubOutcome:
    """A folder that was loaded back."""

    folder: Path
    problems: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        return [f"written: {self.folder}; weights: {self.folder / HUB_WEIGHTS}"]


class HubTarget(ExportTarget):
    """folder of a model hub: config.json, model.safetensors, README.md with a YAML head; loaded back offline"""

    name = "hub"

    def export(self, request: Request, say: Say) -> HubOutcome:
        request.check()
        if request.changes or request.experiment != self.experiment:
            raise bad_value("--target", "hub with --experiment or --set", "without them: it writes weights alone")
        return HubOutcome(export_hub(request.weights, request.out))


def export_hub(name: str, out: Path) -> Path:
    """Write the folder of some weights, a shipped name or a .safetensors file, and load it back; returns the folder.

    `InputError` for weights that are not there or are damaged, and for a folder that is.
    """
    if out.exists():
        raise bad_value("--out", str(out), "a folder that is not there yet")
    weights = _loaded(name)
    if not out.resolve().parent.is_dir():
        raise bad_value("--out", str(out), "a folder inside one that exists")
    source = card_path(name)
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=f".{out.name}-") as folder:
        made = Path(folder) / "made"
        made.mkdir()
        of_hub = source.name == HUB_CARD
        file = source.with_name(HUB_WEIGHTS) if of_hub else source.with_suffix(".safetensors")
        shutil.copyfile(file, made / HUB_WEIGHTS)
        for code in weights.card.get("architecture_files", {}):
            shutil.copyfile(weights.folder / code, made / code)
        write_text(made / HUB_CARD, json.dumps(config_of(weights.card), indent=1) + "\n")
        write_text(made / "README.md", readme(weights.card, _text_of(source)))
        again = load_weights(str(made / HUB_WEIGHTS), task_of(weights.card))
        if again.fingerprint != weights.fingerprint:
            raise AssertionError(f"{name}: the folder does not load as what it was written from")
        os.replace(made, out)
    return out


def _loaded(name: str) -> Weights:
    """Weights of any task. `InputError` where they cannot be loaded."""
    if not name.endswith(".safetensors") and name not in shipped_weights():
        raise unknown_name("MODEL", name, [*shipped_weights(), "FILE.safetensors"])
    try:
        card = json.loads(card_path(name).read_text(encoding="utf-8"))
        task = task_of(card)
    except (OSError, ValueError, AttributeError):
        task = "receiver"  # loading says what is wrong
    try:
        return load_weights(name, task)
    except ValueError as error:
        raise InputError(str(error)) from None


def config_of(card: dict[str, Any]) -> dict[str, Any]:
    """The card, with what hubs look for in a config.json in front."""
    head = {"model_type": LIBRARY, "architectures": [card["architecture"]["name"]]}
    return {**head, **{key: value for key, value in card.items() if key not in head}}


def readme(card: dict[str, Any], text: str) -> str:
    """A card as hubs show it: a YAML head, how to load the model, and the model card as it is."""
    task = task_of(card)
    head = {
        "license": str(card["licence"]).lower(),
        "library_name": LIBRARY,
        "tags": [LIBRARY, "wireless", "3gpp", *_TAGS.get(task, [])],
        "model_name": card["name"],
    }
    of_csi = {
        "delay-angle": f"{{name: delay-angle, weights: ./{HUB_WEIGHTS}}}",
        "channel-prediction": f"{{name: ideal, predictor: learned, predictor_weights: ./{HUB_WEIGHTS}}}",
    }.get(card["architecture"]["name"], f"{{name: neural, weights: ./{HUB_WEIGHTS}}}")
    predicts = "predictor" in of_csi
    experiment, first = (
        ("csi-uma-prediction", "{name: ideal, label: hold}") if predicts else ("csi-uma-32ports", "ideal")
    )
    use = {
        "receiver": f"ran sim pusch-receivers --set 'receivers=[lmmse, {{name: neural, weights: ./{HUB_WEIGHTS}}}]'",
        "beams": f"ran beams beams-uma-30ghz --set 'predictors=[sweep, {{name: neural, weights: ./{HUB_WEIGHTS}}}]'",
        "csi": f"ran csi {experiment} --set 'feedback=[{first}, {of_csi}]'",
    }[task]
    lines = ["---", yaml.safe_dump(head, sort_keys=False).rstrip(), "---", ""]
    lines += [f"In this folder, with {LIBRARY} installed and without a network:", "", f"    {use}", ""]
    lines.append(text.rstrip())
    return "\n".join([*lines, ""])


def _text_of(card: Path) -> str:
    """The model card in Markdown beside the one in JSON; of a folder in this layout its own, without the head."""
    if card.name == HUB_CARD:
        text = card.with_name("README.md")
        return text.read_text(encoding="utf-8").split("---", 2)[-1].lstrip() if text.is_file() else ""
    text = card.with_suffix(".md")
    return text.read_text(encoding="utf-8") if text.is_file() else f"# {card.stem}"
