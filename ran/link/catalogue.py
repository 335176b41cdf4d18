"""Channel models, impairments and receivers by name, built from the blocks of an experiment file."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from channels import CHANNELS, Channel
from channels.impairments import IMPAIRMENTS, Impairment
from ran.config.limits import check_limits
from ran.config.strict import strictly
from ran.errors import InputError, bad_value, nearest, unknown_name
from ran.link.user_source import named_files_digest, source_digest
from receivers import RECEIVERS, OnnxReceiver, Receiver

#: How receivers from files are named.
_FROM_FILES = ("FILE.py:ClassName", "FILE.onnx", "FILE.tflite")
#: Packages whose options have limits; a user's own class knows its own.
_OURS = ("channels", "receivers")


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n")[0]


def channel_catalogue() -> dict[str, str]:
    """Name and one-line description of every channel model."""
    return {name: _first_line(cls) for name, cls in CHANNELS.items()}


def impairment_catalogue() -> dict[str, str]:
    """Name and one-line description of every impairment of a radio."""
    return {name: _first_line(cls) for name, cls in IMPAIRMENTS.items()}


def receiver_catalogue() -> dict[str, str]:
    """Name and one-line description of every receiver, and of a model file as one."""
    return {name: _first_line(cls) for name, cls in RECEIVERS.items()} | {
        file: _first_line(OnnxReceiver) for file in ("FILE.onnx", "FILE.tflite")
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


def without_defaults(block: Mapping[str, Any]) -> dict[str, Any]:
    """A channel's block without the options that say what they would be anyway: one spelling of one channel."""
    cls = CHANNELS.get(str(block.get("name")))
    defaults = {} if cls is None else _defaults(cls)
    return {key: v for key, v in block.items() if not (key in defaults and _same(v, defaults[key]))}


def _same(a: Any, b: Any) -> bool:
    """Equal as options: 1 and 1.0 are, 1 and true are not."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(_plain(a) == b)


def with_defaults(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block of a shipped channel or receiver with every option; blocks of a user's class as they are."""
    name = str(block.get("name"))
    cls: type | None = CHANNELS.get(name) or RECEIVERS.get(name)
    return {**({} if cls is None else _defaults(cls)), **block}


def construct(cls: type, block: Mapping[str, Any], path: str, preset: Mapping[str, Any] | None = None) -> Any:
    """An object of a class from a block of options; `InputError` names the key, the value and what is allowed.

    Options are checked against the type hints of the constructor, which is called with them and with `preset`; numbers
    of the toolkit's own classes also against `ran.config.limits`.
    """
    preset = preset or {}
    known = {name: parameter for name, parameter in options(cls).items() if name not in preset}
    given = {k: v for k, v in block.items() if k != "name"}
    for key in given:
        if key not in known:
            match = nearest(key, known)
            hint = f"; did you mean {match!r}?" if match else ""
            allowed = ", ".join(known) or "no options"
            raise InputError(f"{path}.{key}: unknown option of {block['name']!r}; allowed: {allowed}{hint}")
    if cls.__module__.partition(".")[0] in _OURS:
        check_limits(given, path)
    try:
        checked = _checked(options_model(cls, preset), given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise InputError(f"{path}.{key}: missing; {block['name']!r} needs it") from None
        allowed = first["msg"].removeprefix("Input should be ")
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


def build_channel(block: Mapping[str, Any], path: str = "channel") -> Channel:
    """Channel model from a block {"name": ..., **options}; `InputError` names the key and what is allowed."""
    name = _name_of(block, path, CHANNELS)
    if name not in CHANNELS:
        raise unknown_name(f"{path}.name", name, CHANNELS)
    channel: Channel = construct(CHANNELS[name], block, path)
    return channel


def channel_fingerprint(block: Mapping[str, Any]) -> str | None:
    """Hash of the data that a channel model reads from a file, None for a model that is all in its options."""
    cls = CHANNELS.get(str(block.get("name")))
    if cls is None or not hasattr(cls, "fingerprint"):
        return None
    channel: Any = build_channel(block)
    return str(channel.fingerprint())


def build_impairments(blocks: Sequence[Mapping[str, Any]], path: str) -> tuple[Impairment, ...]:
    """Impairments from a list of blocks {"name": ..., **options}, in its order; `InputError` as of `build_channel`."""
    built = []
    for index, block in enumerate(blocks):
        at = f"{path}[{index}]"
        name = _name_of(block, at, IMPAIRMENTS)
        if name not in IMPAIRMENTS:
            raise unknown_name(f"{at}.name", name, IMPAIRMENTS)
        built.append(construct(IMPAIRMENTS[name], block, at))
    return tuple(built)


def receiver_class(name: str, base_dir: Path | None = None, path: str = "receivers") -> type[Receiver]:
    """Receiver class by name, or from a file: "model.onnx", "model.tflite", "my_receiver.py:MyReceiver" (base_dir)."""
    if name in RECEIVERS:
        return RECEIVERS[name]
    if name.endswith((".onnx", ".tflite")):
        return OnnxReceiver
    file, separator, class_name = name.rpartition(":")
    if not (separator and file.endswith(".py")):
        raise unknown_name(f"{path}.name", name, [*RECEIVERS, *_FROM_FILES])
    location = (base_dir or Path.cwd()) / file
    if not location.is_file():
        raise bad_value(f"{path}.name", name, f"a file that exists; there is no {location}")
    cls = getattr(_load(location, path), class_name, None)
    if not (inspect.isclass(cls) and issubclass(cls, Receiver)):
        raise bad_value(f"{path}.name", name, f"a subclass of receivers.Receiver defined in {file}")
    return cls


def _load(location: Path, path: str) -> ModuleType:
    module_name = "ran_user_receiver_" + hashlib.sha256(location.read_bytes()).hexdigest()[:16]
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, location)
    if spec is None or spec.loader is None:
        raise bad_value(f"{path}.name", str(location), "a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise InputError(f"{path}.name: {location} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def build_receiver(block: Mapping[str, Any], base_dir: Path | None = None, path: str = "receivers") -> Receiver:
    """Receiver from a block {"name": ..., **options}; `InputError` names the key, the value and what is allowed."""
    name = _name_of(block, path, RECEIVERS)
    cls = receiver_class(name, base_dir, path)
    preset = {"file": str((base_dir or Path.cwd()) / name)} if cls is OnnxReceiver else {}
    receiver: Receiver = construct(cls, block, path, preset)
    return receiver


def receiver_fingerprint(block: Mapping[str, Any], receiver: Receiver, base_dir: Path | None = None) -> str:
    """What identifies a receiver beyond its options: its weights with their card, its source with the modules beside it
    when it comes from a user's file, and the content of files that options of such a receiver name."""
    name = str(block["name"])
    if name in RECEIVERS or isinstance(receiver, OnnxReceiver):
        return receiver.fingerprint()
    folder = base_dir or Path.cwd()
    source = folder / name.rpartition(":")[0]
    given = {key: value for key, value in block.items() if key != "name"}
    return source_digest(source) + named_files_digest(given, folder) + receiver.fingerprint()
