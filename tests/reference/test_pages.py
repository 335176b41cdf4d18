"""Every key that exists is documented, once, with what it means; nothing else is."""

import inspect
import re

import pytest

from ran.reference.kinds import KINDS, explained_by, registries, sub_blocks
from ran.reference.markdown import kind_page, pages, registry_page
from ran.reference.models import model_keys
from ran.reference.options import field_keys, option_keys
from ran.reference.text import model_classes, written_texts

#: Blocks {name: ..., options}, whose options are on the page of their registry.
NAMED_BLOCKS = ("Block", "ReceiverBlock", "PredictorBlock", "FeedbackBlock")


def schema_paths(node, definitions, prefix=""):
    """Paths of all keys of a JSON schema of pydantic, found without what makes the pages."""
    for name, inner in node.get("properties", {}).items():
        yield f"{prefix}{name}"
        for reference, in_list in references(inner):
            if reference not in NAMED_BLOCKS:
                yield from schema_paths(definitions[reference], definitions, f"{prefix}{name}{in_list}.")


def references(node, in_list=""):
    if "$ref" in node:
        yield node["$ref"].rpartition("/")[2], in_list
    for union in ("anyOf", "oneOf", "allOf"):
        for option in node.get(union, ()):
            yield from references(option, in_list)
    if isinstance(node.get("items"), dict):
        yield from references(node["items"], "[]")


def documented(page):
    """Paths of a page: the block of its heading and the first cell of each row."""
    block, found = "", []
    for line in page.splitlines():
        if line.startswith("## "):
            title = re.match(r"## `([^`]+)`", line)
            block = f"{title[1]}." if title else ""
        row = re.match(r"\| `([^`]+)` \|", line)
        if row:
            found.append(block + row[1])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_keys_are_documented_as_exist(kind):
    schema = KINDS[kind].model().model_json_schema()
    sweeps, recipes = (
        ("experiment", "adaptation", "beams", "csi"),
        ("recipe", "beam-recipe", "csi-recipe", "delay-angle-recipe", "prediction-recipe"),
    )
    also = ["sweep"] if kind in sweeps else ["base"] if kind in recipes else []
    exist = sorted([*schema_paths(schema, schema.get("$defs", {})), *also])
    assert sorted(documented(kind_page(kind))) == exist
    assert len(exist) > 1


@pytest.mark.parametrize("registry", ["channels", "impairments", "receivers", "beam-predictors", "csi-feedback"])
def test_as_many_options_are_documented_as_exist(registry):
    of_study = ["predictor", "predictor_weights", "reported"] if registry == "csi-feedback" else []
    exist = [
        f"{name}.{option}"
        for name, cls in registries()[registry].items()
        for option in [*inspect.signature(cls).parameters, *of_study]
        if (registry, option) != ("csi-feedback", "experiment")
    ]
    assert documented(registry_page(registry)) == exist


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_explained(kind):
    assert [key.path for key in model_keys(KINDS[kind].model()) if not key.text.strip()] == []


def test_every_option_is_explained():
    silent = [
        f"{name}.{key.path}"
        for registry in registries().values()
        for name, cls in registry.items()
        for key in option_keys(cls, explained_by(cls))
        if not key.text.strip()
    ]
    silent += [f"{name}.{key.path}" for name, cls in sub_blocks().items() for key in field_keys(cls) if not key.text]
    assert silent == []


def test_written_texts_are_of_keys_that_exist():
    classes = {}
    for kind in KINDS.values():
        classes |= {name: set(cls.model_fields) for name, cls in model_classes(kind.model()).items()}
    for registry in registries().values():
        for cls in registry.values():
            for base in cls.__mro__:
                classes.setdefault(base.__name__, set()).update(inspect.signature(cls).parameters)
    for name, texts in written_texts().items():
        assert name in classes, name
        assert set(texts) <= classes[name], name


def test_units_ranges_and_clauses_are_on_the_pages():
    page = pages()["experiment.md"]
    assert re.search(r"\| `subcarrier_spacing_khz` \| `30` \| 15, 30, 60, 120 \| kHz \|.*TS 38.211 §4", page)
    assert re.search(r"\| `num_prb` \| `24` \| integer, 1 to 275 \|", page)
    rapp = pages()["impairments.md"].split("## `rapp`")[1].split("## ")[0]
    assert re.search(r"\| `input_back_off_db` \| required \| number, -100 to 100 \| dB \|", rapp)
    # every row has six cells
    for name, text in pages().items():
        for line in text.splitlines():
            if line.startswith("|"):
                assert len(re.findall(r"(?<!\\)\|", line)) == 7, (name, line)
