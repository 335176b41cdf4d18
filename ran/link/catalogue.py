"""Channel models, impairments and receivers by name, built from the blocks of an experiment file."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from channels import CHANNEL_PATHS
from channels.impairments import IMPAIRMENT_PATHS
from ran.config.limits import check_limits
from ran.config.strict import strictly
from ran.errors import InputError, bad_value
from ran.link.user_source import named_files_digest, source_digest
from ran.registry.kinds import CHANNEL, IMPAIRMENT, RECEIVER, Kind
from ran.registry.lookup import described, descriptions, find_class, names, option_names
from ran.suggestions import did_you_mean
from receivers import RECEIVER_PATHS

if TYPE_CHECKING:
    from channels import Channel
    from channels.impairments import Impairment
    from receivers import Receiver

#: How models in files are named as receivers.
_MODEL_FILES = ("FILE.onnx", "FILE.tflite")
#: Packages whose options have limits; a user's own class knows its own.
_OURS = ("channels", "receivers")


def channel_catalogue() -> dict[str, str]:
    """Name and one-line description of every channel model."""
    return descriptions(CHANNEL)


def impairment_catalogue() -> dict[str, str]:
    """Name and one-line description of every impairment of a radio."""
    return descriptions(IMPAIRMENT)


def receiver_catalogue() -> dict[str, str]:
    """Name and one-line description of every receiver, and of a model file as one."""
    return descriptions(RECEIVER) | {
        file: described("receivers.onnx.receiver:OnnxReceiver") for file in ("FILE.onnx", "FILE.tflite")
    }


def options(cls: type) -> dict[str, inspect.Parameter]:
    """Constructor arguments of a channel, impairment or receiver: its options in an experiment file."""
    parameters = inspect.signature(cls).parameters
    return {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _defaults(cls: type) -> dict[str, Any]:
    """Options with a default, as plain values where JSON has them and as text where not."""
    found = {name: p.default for name, p in options(cls).items() if p.default is not p.empty}
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _shipped(name: str) -> type | None:
    """The shipped channel or receiver of that name."""
    if name in CHANNEL_PATHS:
        return find_class(CHANNEL, name)
    return find_class(RECEIVER, name) if name in RECEIVER_PATHS else None


def without_defaults(block: Mapping[str, Any]) -> dict[str, Any]:
    """A channel's block without the options that say what they would be anyway: one spelling of one channel."""
    cls = _shipped(str(block.get("name")))
    defaults = {} if cls is None else _defaults(cls)
    return {key: v for key, v in block.items() if not (key in defaults and _same(v, defaults[key]))}


def _same(a: Any, b: Any) -> bool:
    """Equal as options: 1 and 1.0 are, 1 and true are not."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(_plain(a) == b)


def with_defaults(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block of a shipped channel or receiver with every option; blocks of a user's class as they are."""
    cls = _shipped(str(block.get("name")))
    if cls is None:
        return dict(block)
    full = {**_defaults(cls), **block}
    if _has_members(cls) and isinstance(full["members"], list | tuple):
        full["members"] = [with_defaults(_as_block(member)) for member in full["members"]]
    return full


def _has_members(cls: type) -> bool:
    """Whether a receiver is made of others, blocks that its option `members` lists."""
    from receivers import Receiver

    return issubclass(cls, Receiver) and "members" in options(cls)


def _as_block(member: Any) -> dict[str, Any]:
    """A member's block; what is none is refused when it is built."""
    return dict(member) if isinstance(member, Mapping) else {"name": member}


def refuse_unknown_options(block: Mapping[str, Any], kind: Kind, path: str) -> None:
    """`InputError` for an option that the class which ships under the block's name does not have, without importing it:
    a misspelt one is told before torch is imported. `construct` finds all that this does not."""
    place = kind.shipped.get(str(block.get("name")))
    known = None if place is None else option_names(place)
    if known is not None:
        _refuse_unknown(block, known, path)


def _refuse_unknown(block: Mapping[str, Any], known: Collection[str], path: str) -> None:
    for key in block:
        if key != "name" and key not in known:
            allowed = (", ".join(known) or "no options") + did_you_mean(key, known)
            raise InputError(f"{path}.{key}: unknown option of {block['name']!r}; allowed: {allowed}")


def construct(cls: type, block: Mapping[str, Any], path: str, preset: Mapping[str, Any] | None = None) -> Any:
    """An object of a class from a block of options; `InputError` names the key, the value and what is allowed.

    Options are checked against the type hints of the constructor, which is called with them and with `preset`; numbers
    of the toolkit's own classes also against `ran.config.limits`.
    """
    preset = preset or {}
    known = {name: parameter for name, parameter in options(cls).items() if name not in preset}
    given = {k: v for k, v in block.items() if k != "name"}
    _refuse_unknown(block, known, path)
    if cls.__module__.partition(".")[0] in _OURS:
        check_limits(given, path)
    model = options_model(cls, preset)
    try:
        checked = _checked(model, given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise InputError(f"{path}.{key}: missing; {block['name']!r} needs it") from None
        allowed = first["msg"].removeprefix("Input should be ")
        literals = model.model_json_schema()["properties"].get(key, {}).get("enum", ())
        allowed += did_you_mean(first["input"], map(str, literals))
        raise bad_value(f"{path}.{key}", first["input"], allowed) from None
    values = {name: getattr(checked, name) for name in known}
    try:
        return cls(**values, **preset)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def options_model(cls: type, preset: Iterable[str] = ()) -> type[BaseModel]:
    """A model of the options of a class by the type hints of its constructor, without those in `preset`."""
    hints = inspect.get_annotations(inspect.getattr_static(cls, "__init__"), eval_str=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if p.default is p.empty else p.default)
        for name, p in options(cls).items()
        if name not in preset
    }
    return create_model("Options", __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)


def _checked(model: type[BaseModel], given: dict[str, Any]) -> BaseModel:
    """Options of a file without conversions; those that only a program can have, such as arrays, as pydantic has it."""
    try:
        return strictly(model, given)
    except TypeError:
        return model(**given)


def _name_of(block: Mapping[str, Any], path: str, choices: Iterable[str]) -> str:
    name = block.get("name")
    if not isinstance(name, str):
        raise bad_value(f"{path}.name", name, ", ".join(sorted(choices)))
    return name


def build_channel(block: Mapping[str, Any], path: str = "channel", base_dir: Path | None = None) -> Channel:
    """Channel model from a block {"name": ..., **options}; `InputError` names the key and what is allowed.

    A name is a shipped one, FILE.py:Class (relative to base_dir), or an entry point of the group `ran6g.channels`.
    """
    name = _name_of(block, path, names(CHANNEL))
    channel: Channel = construct(find_class(CHANNEL, name, base_dir, path), block, path)
    return channel


def channel_fingerprint(block: Mapping[str, Any]) -> str | None:
    """Hash of what a channel model is beyond its options: the data that it reads from a file, and of a user's class its
    source. None for a shipped model that is all in its options."""
    name = str(block.get("name"))
    try:
        cls = find_class(CHANNEL, name, path="channel")
    except InputError:
        return None
    own = str(construct(cls, block, "channel").fingerprint()) if hasattr(cls, "fingerprint") else ""
    if name in CHANNEL_PATHS:
        return own or None
    return user_fingerprint(cls, block, Path.cwd()) + own


def user_fingerprint(cls: type, block: Mapping[str, Any], folder: Path) -> str:
    """Hash of a user's class, the modules beside it that it imports, and the files that its options name."""
    source = inspect.getsourcefile(cls)
    given = {key: value for key, value in block.items() if key != "name"}
    return (source_digest(Path(source)) if source else "") + named_files_digest(given, folder)


def build_impairments(blocks: Sequence[Mapping[str, Any]], path: str) -> tuple[Impairment, ...]:
    """Impairments from a list of blocks {"name": ..., **options}, in its order; `InputError` as of `build_channel`."""
    built = []
    for index, block in enumerate(blocks):
        at = f"{path}[{index}]"
        name = _name_of(block, at, names(IMPAIRMENT))
        built.append(construct(find_class(IMPAIRMENT, name, path=at), block, at))
    return tuple(built)


def impairment_fingerprint(block: Mapping[str, Any]) -> str | None:
    """Hash of the source of a user's impairment, and of the files that its options name; None for a shipped one."""
    name = str(block.get("name"))
    if name in IMPAIRMENT_PATHS:
        return None
    try:
        cls = find_class(IMPAIRMENT, name, path="waveform")
    except InputError:
        return None
    return user_fingerprint(cls, block, Path.cwd())


def receiver_class(name: str, base_dir: Path | None = None, path: str = "receivers") -> type[Receiver]:
    """Receiver class by name, or from a file: "model.onnx", "model.tflite", "my_receiver.py:MyReceiver" (base_dir)."""
    if name.endswith((".onnx", ".tflite")):
        from receivers import OnnxReceiver

        return OnnxReceiver
    cls: type[Receiver] = find_class(RECEIVER, name, base_dir, path, _MODEL_FILES)
    return cls


def build_receiver(block: Mapping[str, Any], base_dir: Path | None = None, path: str = "receivers") -> Receiver:
    """Receiver from a block {"name": ..., **options}; `InputError` names the key, the value and what is allowed."""
    name = _name_of(block, path, names(RECEIVER))
    cls = receiver_class(name, base_dir, path)
    is_model = name.endswith((".onnx", ".tflite"))
    preset: dict[str, Any] = {"file": str((base_dir or Path.cwd()) / name)} if is_model else {}
    if not is_model and name in RECEIVER_PATHS and _has_members(cls):
        preset["members"] = _members(cls, block, base_dir, path)
        block = {key: value for key, value in block.items() if key != "members"}
    receiver: Receiver = construct(cls, block, path, preset)
    return receiver


def _members(cls: type, block: Mapping[str, Any], base_dir: Path | None, path: str) -> tuple[Receiver, ...]:
    """The receivers that a receiver is made of, of any kind that an experiment may name."""
    members = block.get("members", _defaults(cls).get("members"))
    if not isinstance(members, list | tuple):
        raise bad_value(f"{path}.members", members, "a list of receivers, names or blocks {name: ..., and options}")
    return tuple(build_receiver(_as_block(m), base_dir, f"{path}.members[{i}]") for i, m in enumerate(members))


def receiver_notes(receivers: Mapping[str, Receiver]) -> tuple[str, ...]:
    """What a reader of results should know of how receivers, by their titles, compute on this machine."""
    return tuple(f"receiver {title}: {note}" for title, receiver in receivers.items() for note in _notes(receiver))


def _notes(receiver: Receiver) -> list[str]:
    inner = [note for member in getattr(receiver, "receivers", ()) for note in _notes(member)]
    return list(dict.fromkeys([*receiver.notes, *inner]))


def receiver_fingerprint(block: Mapping[str, Any], receiver: Receiver, base_dir: Path | None = None) -> str:
    """What identifies a receiver beyond its options: its weights with their card, its source with the modules beside it
    when it comes from a user's file, and the content of files that options of such a receiver name."""
    name = str(block["name"])
    inner = getattr(receiver, "receivers", ())
    if name in RECEIVER_PATHS and inner:
        blocks = with_defaults(block)["members"]
        found = [receiver_fingerprint(_as_block(b), r, base_dir) for b, r in zip(blocks, inner, strict=True)]
        return hashlib.sha256("\n".join(found).encode()).hexdigest()
    if name in RECEIVER_PATHS or name.endswith((".onnx", ".tflite")):
        return receiver.fingerprint()
    return user_fingerprint(type(receiver), block, base_dir or Path.cwd()) + receiver.fingerprint()
