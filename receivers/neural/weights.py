"""Weights with their model cards: loaded from safetensors, checked against the card's SHA-256, never unpickled."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from receivers.errors import did_you_mean
from receivers.files import parse_json, read_bytes, read_json
from receivers.neural.shown_range import ShownRange

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Bytes of a model besides what its file holds: tables and what is computed once.
_UNTRAINED_BYTES = 64 * 2**20
_MOST_HEAD_BYTES = 2**20
#: Options of architectures: largest number, most numbers, deepest lists.
_MOST_NUMBER, _MOST_LENGTH, _MOST_LISTS = 10_000_000, 1000, 3
_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("BOOL", "U8", "I8"), 1),
}
#: Weights and their card in the layout of model hubs.
HUB_WEIGHTS, HUB_CARD = "model.safetensors", "config.json"
_SHIPPED = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True)
class Weights:
    """A trained model: its tensors, what they belong to and what they were trained for."""

    name: str
    sha256: str
    tensors: dict[str, Tensor]
    card: dict[str, Any]
    folder: Path = _SHIPPED

    def model(self, asked: str, architectures: Mapping[str, type[nn.Module]]) -> nn.Module:
        """The model that the card names, with these tensors, for inference. `ValueError` where they do not fit it.

        asked: what the weights were asked for by.
        """
        from receivers.allocation_limit import AllocationLimit  # torch takes a while to import, and cards need none

        options = dict(self.card["architecture"])
        kind = options.pop("name")
        if kind in architectures:
            build = architectures[kind]
        elif "architecture_files" in self.card:
            build = self._own_architecture(kind, asked)
        else:
            raise ValueError(f"weights: architecture {kind!r} of {asked!r}; allowed: {', '.join(architectures)}")
        check_options(options, f"weights: architecture {kind!r} of {asked!r}")
        held = sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())
        try:
            # what a card asks for is no larger than what the file holds, with room for what is not trained
            with AllocationLimit(4 * held + _UNTRAINED_BYTES):
                model = build(**options)
        except (ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, AttributeError) as error:
            raise ValueError(f"weights: architecture {kind!r} of {asked!r}: {' '.join(str(error).split())}") from None
        try:
            model.load_state_dict(self.tensors)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise ValueError(f"weights: {asked!r} does not fit architecture {kind!r}: {first}") from None
        if hasattr(model, "shown_range"):
            setattr(model, "shown_range", ShownRange.of(self.card))  # noqa: B010 - plain numbers, no module
        return model.eval()

    def _own_architecture(self, kind: str, asked: str) -> type[nn.Module]:
        """A user's class, FILE.py:Class beside the weights; `ValueError` where it is not the one that was trained."""
        from receivers.user_module import imported

        for file, expected in self.card["architecture_files"].items():
            path = self.folder / file
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
                raise ValueError(
                    f"weights: {asked!r} was trained with another {file} than is beside it; allowed: the file that "
                    "`ran train` put there"
                )
        file, _, name = kind.rpartition(":")
        found: type[nn.Module] = getattr(imported(self.folder / file), name)
        return found

    @property
    def fingerprint(self) -> str:
        """What the model's numbers depend on: the SHA-256 of the tensors, and one of what the card says of the model.

        The card decides the prior, the number of passes, the demapper, what is refused and the trained range of SNR;
        its curves and texts do not enter.
        """
        about = {key: self.card.get(key) for key in ("architecture", "bits_per_symbol", "num_layers")}
        if "architecture_files" in self.card:
            about["architecture_files"] = self.card["architecture_files"]
        shown = ShownRange.of(self.card)
        about["shown_range"] = [shown.highest_snr_db, shown.fewest_dmrs_positions]
        if self.card["architecture"]["name"] == "hybrid":
            # numbers of before were of slots that were taken as they came
            about["aligned"] = True
        text = json.dumps(about, sort_keys=True, separators=(",", ":"))
        return f"{self.sha256}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def shipped_weights(task: str | None = None) -> dict[str, dict[str, Any]]:
    """Model cards of the weights in the package, by name; of all tasks, or of one: "receiver", "beams" or "csi"."""
    cards = {path.stem: read_json(path) for path in sorted(_SHIPPED.glob("*.json"))}
    return {name: card for name, card in cards.items() if task in (None, task_of(card))}


def task_of(card: dict[str, Any]) -> str:
    """What a card's model does; cards of receivers do not say."""
    return str(card.get("task", "receiver"))


def card_path(name: str) -> Path:
    """Where the model card of weights is, the .json; `name` as of `load_weights`.

    In a folder in the layout of model hubs, model.safetensors has its card in config.json.
    """
    path = Path(name) if name.endswith(".safetensors") else _SHIPPED / f"{name}.safetensors"
    own = path.with_suffix(".json")
    of_hub = path.with_name(HUB_CARD)
    return of_hub if path.name == HUB_WEIGHTS and not _is_there(own) and _is_there(of_hub) else own


def load_weights(name: str, task: str = "receiver") -> Weights:
    """Weights by name from the package, or from a path to a .safetensors file with its .json card beside it.

    task: what the model is to do, "receiver", "beams" or "csi". Raises `ValueError` in one line for a missing or
    damaged file,
    and for weights of another task.
    """
    card_file = card_path(name)
    of_hub = card_file.name == HUB_CARD and name.endswith(HUB_WEIGHTS)
    path = card_file.with_name(HUB_WEIGHTS) if of_hub else card_file.with_suffix(".safetensors")
    if not _is_there(path):
        known = shipped_weights(task)
        allowed = f"{', '.join(known) or 'none shipped'}, or a .safetensors file{did_you_mean(name, known)}"
        raise ValueError(f"weights: got {_short(name)}, which is not there; allowed: {allowed}")
    if not _is_there(card_file):
        raise ValueError(f"weights: got {_short(name)} without its model card {card_file.name}; allowed: both files")
    try:
        card = read_json(card_file)
        expected = card["sha256"]
        found = task_of(card)
        _check_card(card, found)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"weights: the model card {card_file.name} of {_short(name)} is damaged: {type(error).__name__}: {why}"
        ) from None
    if found != task:
        raise ValueError(
            f"weights: got {name!r}, made for {found}; allowed: {', '.join(shipped_weights(task)) or 'none shipped'}"
        )
    try:
        data = read_bytes(path)
    except ValueError as error:
        raise ValueError(f"weights: {error}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise ValueError(
            f"weights: {path.name} has SHA-256 {digest[:16]}..., its model card says {str(expected)[:16]}...; "
            "allowed: the file that the card describes"
        )
    from safetensors.torch import load  # torch takes a while to import, and cards need none

    check_tensors(data, path.name)
    try:
        tensors = load(data)
    except Exception as error:  # safetensors and torch have classes of their own for what does not fit together
        raise ValueError(f"weights: {path.name} is damaged: {' '.join(str(error).split())}") from None
    return Weights(path.parent.name if of_hub else path.stem, digest, tensors, card, path.parent)


def check_options(options: Mapping[str, Any], source: str) -> None:
    """`ValueError` for options of an architecture that are no numbers, texts or lists of them, or that are too many or
    too large for any network. source: whose they are, for the message."""
    for name, value in options.items():
        level = [value]
        for _ in range(_MOST_LISTS):
            level = [item for outer in level if isinstance(outer, list) for item in outer[: _MOST_LENGTH + 1]] + [
                item for item in level if not isinstance(item, list)
            ]
        fits = all(isinstance(item, int | float | str) and _is_small(item) for item in level)
        if not isinstance(name, str) or not fits or len(level) > _MOST_LENGTH:
            raise ValueError(
                f"{source}: {name}: got {_short(value)}; allowed: numbers up to {_MOST_NUMBER}, texts, and lists of up "
                f"to {_MOST_LENGTH} of them"
            )


def check_tensors(data: bytes, name: str) -> None:
    """`ValueError` unless the head of a safetensors file fits the rest of it: sizes, kinds and places of all tensors.

    Source: the description of the format in the README of safetensors 0.4.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > min(len(data) - 8, _MOST_HEAD_BYTES):
            raise ValueError(f"a head of {length} bytes in {len(data)}, allowed are up to {_MOST_HEAD_BYTES}")
        head = parse_json(data[8 : 8 + length])
        for tensor, about in head.items():
            if tensor == "__metadata__":
                continue
            start, stop = about["data_offsets"]
            count = math.prod(about["shape"])
            size = _BYTES[about["dtype"]]
            if not 0 <= start <= stop <= len(data) - 8 - length or min(about["shape"], default=0) < 0:
                raise ValueError(f"{tensor} is outside the file")
            if count * size != stop - start:
                raise ValueError(f"{tensor} claims {about['shape']} in {stop - start} bytes")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"weights: {name} is damaged: {type(error).__name__}: {why[:300]}") from None


def _check_card(card: dict[str, Any], task: str) -> None:
    """What of a card is used is what it should be; errors of any kind otherwise."""
    if not isinstance(card["architecture"]["name"], str) or not isinstance(card["sha256"], str):
        raise TypeError("architecture.name and sha256 are texts")
    if not all(isinstance(card.get(key, {}), dict) for key in ("architecture", "training")):
        raise TypeError("architecture and training are mappings")
    ShownRange.of(card)
    if task != "receiver":
        return
    for key, most in (("bits_per_symbol", 10), ("num_layers", 64)):
        values = card[key]
        if not isinstance(values, list) or not all(type(v) is int and 1 <= v <= most for v in values):
            raise TypeError(f"{key} is a list of whole numbers from 1 to {most}")


def _is_small(value: float | str) -> bool:
    return len(value) < 100 if isinstance(value, str) else abs(value) <= _MOST_NUMBER


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name that a file can have
        return False


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
