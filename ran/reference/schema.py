"""JSON schema of the files that commands read, with the options of every channel, impairment and receiver.

Classes are those that ship, those of installed packages, and those of one's own that are asked for.

Editors complete and check experiment files by it; what pydantic alone cannot say, such as the short forms of blocks, is
added here. The schema is never stricter than the loader, which also checks how keys fit together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ran.errors import InputError, bad_value, unknown_name
from ran.reference.docstring import first_line
from ran.reference.kinds import KINDS, explained_by, registries
from ran.reference.options import option_keys, option_schema
from ran.reference.text import key_texts, model_classes
from ran.registry import KINDS as REGISTRY_KINDS
from ran.registry import find_class, installed

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Files in place of a name, whose options are their own matter.
_CLASS = r"\.py:\w+$"
_FILES = {
    "receivers": r"\.(onnx|tflite)$|" + _CLASS,
    **dict.fromkeys(("channels", "impairments", "beam-predictors", "architectures"), _CLASS),
}
#: Which registry a field that holds blocks {name: ..., options} takes them from.
_BLOCKS = {
    "channel": "channels",
    "receivers": "receivers",
    "predictors": "beam-predictors",
    "feedback": "csi-feedback",
    "transmit_impairments": "impairments",
    "receive_impairments": "impairments",
}
#: The same for keys whose models do not tell a block from another mapping, by kind of file and key.
_BLOCKS_OF_KIND = {("recipe", "model"): "architectures"}
_LABELLED = ("receivers", "beam-predictors", "csi-feedback")
_MEAN_POWER = {
    "type": "object",
    "properties": {"mean_power": {"type": "number"}},
    "required": ["mean_power"],
    "additionalProperties": False,
}
#: Short forms that the loader takes besides what the models say, by field.
_SHORT: dict[str, list[dict[str, Any]]] = {
    "esn0_db": [{"const": "auto"}],
    "auto": [{"type": "null"}],
    "constellation": [{"type": "string"}, _MEAN_POWER],
    "tx_power_dbm": [{"type": "number"}],
    "timing_offset_s": [{"type": "number"}],
    "cfo_hz": [{"type": "number"}],
    "precoding": [{"type": "string"}],
}


def schema(kind: str = "experiment", own: Sequence[str] = (), base_dir: Path | None = None) -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a kind of file, a name of `KINDS`.

    own: classes of one's own, FILE.py:Class relative to `base_dir`, whose options are to be known as those of shipped
    ones are. `InputError` for another kind, and for a class that cannot be found or that such files have no place for.
    """
    if kind not in KINDS:
        raise unknown_name("KIND", kind, KINDS)
    model = KINDS[kind].model()
    found = model.model_json_schema()
    definitions: dict[str, Any] = found.setdefault("$defs", {})
    used: set[str] = set()
    for part in [found, *definitions.values()]:
        _complete(part, used)
    for key, node in found["properties"].items():
        registry = _BLOCKS_OF_KIND.get((kind, key))
        if registry is not None:
            used.add(registry)
            kept = {name: node[name] for name in ("default", "description") if name in node}
            # what the base of a file names needs no name again
            nameless = {"type": "object", "not": {"required": ["name"]}} if "base" in KINDS[kind].also else False
            found["properties"][key] = {**kept, "anyOf": [{"$ref": f"#/$defs/{registry}"}, nameless]}
    theirs = _own_classes(own, used, base_dir)
    for registry in sorted(used):
        definitions.update(_registry(registry, theirs.get(registry, {})))
    if "sweep" in KINDS[kind].also:
        _add_sweep(found)
    if "base" in KINDS[kind].also:
        # what the base has needs not be given again
        found["properties"]["base"] = {"type": "string", "description": KINDS[kind].also["base"]}
        found.pop("required", None)
    if KINDS[kind].named_by_file:
        found["required"] = [name for name in found.get("required", ()) if name != "name"]
    _explain(found, model)
    return {"$schema": DIALECT, "title": f"ran6g: {KINDS[kind].title.lower()}", **_without_title(found)}


def _complete(part: dict[str, Any], used: set[str]) -> None:
    """Blocks by name, and short forms, of the fields of one model."""
    properties = part.get("properties", {})
    for name, node in properties.items():
        if name in _BLOCKS and _holds_blocks(node):
            registry = _BLOCKS[name]
            used.add(registry)
            one = {"$ref": f"#/$defs/{registry}"}
            several = {"type": "array", "items": one}
            forms: list[dict[str, Any]] = [one, several] if name == "channel" else [several]
            kept = {key: node[key] for key in ("default", "description", "allowed") if key in node}
            properties[name] = {**kept, "anyOf": forms} if len(forms) > 1 else {**kept, **forms[0]}
        elif name in _SHORT:
            kept = {key: node[key] for key in ("default", "description", "allowed") if key in node}
            rest: dict[str, Any] = {key: value for key, value in node.items() if key not in kept and key != "title"}
            properties[name] = {**kept, "anyOf": [rest, *_SHORT[name]]}


def _holds_blocks(node: Mapping[str, Any]) -> bool:
    return "Block" in str(node) or node.get("type") == "array"


def _own_classes(own: Sequence[str], used: set[str], base_dir: Path | None) -> dict[str, dict[str, type]]:
    """Classes of one's own by name, per registry that such files take blocks from."""
    found: dict[str, dict[str, type]] = {}
    kinds = [REGISTRY_KINDS[name] for name in sorted(used) if name in REGISTRY_KINDS]
    for name in own:
        refusals = []
        for kind in kinds:
            try:
                found.setdefault(kind.name, {})[name] = find_class(kind, name, base_dir, "--with")
                break
            except InputError as error:
                refusals.append(error)
        else:
            if refusals and all(error.__cause__ is not None for error in refusals):
                raise refusals[0]  # it cannot be imported, whatever it is
            bases = ", ".join(f"{kind.noun} ({kind.base})" for kind in kinds)
            raise bad_value("--with", name, f"FILE.py:Class of one of {bases}" if bases else "none, for such files")
    return found


def _classes(registry: str) -> dict[str, type]:
    """Classes of a registry by name: shipped ones, and those of installed packages."""
    kind = REGISTRY_KINDS.get(registry)
    if kind is None:
        return dict(registries()[registry])
    shipped = registries().get(registry) or {name: find_class(kind, name) for name in kind.shipped}
    return {**{name: find_class(kind, name, path=registry) for name in installed(kind)}, **shipped}


def _registry(registry: str, own: Mapping[str, type]) -> dict[str, Any]:
    """A definition per class of a registry, and one of all: a name, or a block with the options of its class. own:
    classes of one's own by name."""
    classes = {**_classes(registry), **own}
    definitions: dict[str, Any] = {}
    blocks: list[dict[str, Any]] = []
    for name, cls in classes.items():
        options = option_schema(cls)
        texts = {key.path: key.text for key in option_keys(cls, explained_by(cls))}
        for key, node in options.get("properties", {}).items():
            if texts.get(key):
                node["description"] = texts[key]
        inner = options.pop("$defs", {})
        definitions.update(inner)
        label = {"label": {"type": ["string", "null"], "description": "Names it in results."}}
        definition: dict[str, Any] = {
            "type": "object",
            "description": first_line(cls),
            "properties": {
                "name": {"const": name},
                **options.get("properties", {}),
                **(label if registry in _LABELLED else {}),
            },
            "required": ["name", *options.get("required", [])],
            "additionalProperties": False,
        }
        definitions[f"{registry}/{name}"] = definition
        # RFC 6901: the name of a file may hold the signs of a path
        blocks.append({"$ref": f"#/$defs/{registry}~1{name.replace('~', '~0').replace('/', '~1')}"})
    pattern = _FILES.get(registry)
    names: list[dict[str, Any]] = [{"enum": [name for name, cls in classes.items() if not _needs(cls)]}]
    if pattern:
        names.append({"type": "string", "pattern": pattern})
        file: dict[str, Any] = {"type": "object", "required": ["name"]}
        # of those whose class is not known here the options are their own matter
        others = {"type": "string", "pattern": pattern, **({"not": {"enum": list(own)}} if own else {})}
        blocks.append({**file, "properties": {"name": others}})
    definitions[registry] = {"anyOf": [*names, *blocks]}
    return definitions


def _needs(cls: type) -> bool:
    """Whether a class has options without defaults, so that its name alone is not enough."""
    return any(key.default is None for key in option_keys(cls))


def _add_sweep(found: dict[str, Any]) -> None:
    sweep = KINDS["sweep"].model()
    found["properties"]["sweep"] = {"$ref": "#/$defs/Sweep"}
    block = sweep.model_json_schema()
    found["$defs"].update(block.pop("$defs", {}))
    found["$defs"]["Sweep"] = block


def _explain(found: dict[str, Any], model: type[BaseModel]) -> None:
    """What pages say of every key, as its description."""
    classes = model_classes(model) | model_classes(KINDS["sweep"].model())
    for name, part in [(model.__name__, found), *found["$defs"].items()]:
        properties = part.get("properties", {})
        said = key_texts(classes[name], properties) if name in classes else {}
        for key, node in properties.items():
            if said.get(key):
                node.setdefault("description", said[key])


def _without_title(node: Any) -> Any:
    """Without the titles that pydantic makes of names; they say nothing."""
    if isinstance(node, dict):
        return {
            key: _without_title(value) for key, value in node.items() if key != "title" or not isinstance(value, str)
        }
    return [_without_title(item) for item in node] if isinstance(node, list) else node
