"""Read and write YAML by the core schema of YAML 1.2.2 (§10.3), in which `010` is ten and `on` is text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ran.config.doors import MOST_DEPTH, read_text
from ran.errors import InputError

#: Largest file. The largest of ours has some kilobytes.
MOST_BYTES = 2**20
#: Most scalars, lists and mappings of a document. Every alias (`*name`, `<<: *name`) counts as what it stands for.
MOST_NODES = 100_000

#: Tag, pattern and first characters of every plain scalar that is not text (YAML 1.2.2 §10.3.2).
_CORE_SCHEMA: tuple[tuple[str, str, str], ...] = (
    ("null", r"null|Null|NULL|~|", "nN~"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    # No part of the core schema, but understood by readers of YAML 1.2 as well: `<<` takes over another block's keys.
    ("merge", r"<<", "<"),
)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2, that refuses duplicate keys and takes keys as they are written.

    What would unfold to more than `MOST_NODES` nodes or `MOST_DEPTH` levels is refused before anything is built of it.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nodes = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _too_many(mark)
        if self._depth > MOST_DEPTH:
            problem = f"got more than {MOST_DEPTH} levels; allowed: up to {MOST_DEPTH}"
            raise yaml.composer.ComposerError(None, None, problem, mark)
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode):
            _check_text(node)
        return node

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _unfolded(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be plain text", key_node.start_mark)
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        self.flatten_mapping(node)
        return {str(key.value): self.construct_object(value, deep=deep) for key, value in node.value}

    def whole_number(self, node: yaml.ScalarNode) -> int:
        """`010` is ten: octal numbers begin with 0o."""
        text = self.construct_scalar(node)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)

    def number(self, node: yaml.ScalarNode) -> float:
        text = self.construct_scalar(node).lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))

    def refuse(self, node: yaml.Node) -> None:
        raise yaml.constructor.ConstructorError(None, None, f"tag {node.tag!r} is not understood", node.start_mark)


def _unfolded(node: yaml.Node, sizes: dict[int, int | None]) -> int:
    """Nodes that `node` stands for, with every alias as often as it is used. sizes: of nodes by id; None: under way."""
    known = sizes.get(id(node), 0)
    if known is None:
        raise yaml.composer.ComposerError(None, None, "an alias that is a part of itself", node.start_mark)
    if known:
        return known
    total = 1
    if isinstance(node, yaml.CollectionNode):
        sizes[id(node)] = None
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                total += _unfolded(part, sizes)
                if total > MOST_NODES:
                    raise _too_many(node.start_mark)
    sizes[id(node)] = total
    return total


def _too_many(mark: yaml.Mark) -> yaml.MarkedYAMLError:
    problem = f"got more than {MOST_NODES} values with all aliases put in; allowed: up to {MOST_NODES}"
    return yaml.composer.ComposerError(None, None, problem, mark)


def _check_text(node: yaml.ScalarNode) -> None:
    """Refuse half characters and zero bytes, which no file, name or terminal takes."""
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in node.value):
        raise yaml.composer.ComposerError(
            None, None, "a character that is none (a zero byte, or half of a surrogate pair)", node.start_mark
        )


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes text which either version of YAML would read as something else, such as 1e4 and on."""


# tables of their own: the loader knows YAML 1.2 alone, the dumper heeds both versions
_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeDumper.yaml_implicit_resolvers.items()}

for _tag, _pattern, _first in _CORE_SCHEMA:
    # An empty scalar is null; it has no first character.
    _starts = [*_first, ""] if _tag == "null" else list(_first)
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _starts)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _starts)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)
for _tag in ("binary", "omap", "pairs", "set", "timestamp"):  # of YAML 1.1, and of no use in a configuration
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.refuse)


def parse(text: str, source: str) -> Any:
    """The value that `text` holds. `source` names the text in messages.

    Raises InputError, one line with line and column, for anything that is not one well-formed YAML document, and for
    more than `MOST_BYTES`, `MOST_NODES` or `MOST_DEPTH`.
    """
    if len(text) > MOST_BYTES:
        raise InputError(f"{source}: got {len(text)} characters; allowed: up to {MOST_BYTES}")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = " ".join((error.problem or error.context or "not understood").split())
        raise InputError(f"{source}: not valid YAML: {where}{problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None


def dump(value: Any, **layout: Any) -> str:
    """`value` as YAML text with keys in their order, from which `parse` makes an equal value.

    layout: `width` and `allow_unicode` of PyYAML.
    """
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, **layout))


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping of keys to values in the YAML file `path`."""
    text = read_text(path, MOST_BYTES, "a YAML file")
    data = parse(text, str(path))
    if not isinstance(data, dict):
        kind = "an empty file" if data is None else f"a {type(data).__name__}"
        raise InputError(f"{path}: got {kind}; allowed: a mapping of keys to values (key: value)")
    return data
