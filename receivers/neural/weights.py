"""Weights with their model cards: loaded from safetensors, checked against the card's SHA-256, never unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from receivers.neural.shown_range import trained_snr_db

if TYPE_CHECKING:
    from torch import Tensor, nn

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
        options = dict(self.card["architecture"])
        kind = options.pop("name")
        if kind in architectures:
            model = architectures[kind](**options)
        elif "architecture_files" in self.card:
            model = self._own_architecture(kind, asked)(**options)
        else:
            raise ValueError(f"weights: architecture {kind!r} of {asked!r}; allowed: {', '.join(architectures)}")
        try:
            model.load_state_dict(self.tensors)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise ValueError(f"weights: {asked!r} does not fit architecture {kind!r}: {first}") from None
        if hasattr(model, "highest_snr_db"):
            setattr(model, "highest_snr_db", trained_snr_db(self.card.get("training", {})))  # noqa: B010 - a plain number
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
        about["highest_snr_db"] = trained_snr_db(self.card.get("training", {}))
        text = json.dumps(about, sort_keys=True, separators=(",", ":"))
        return f"{self.sha256}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def shipped_weights(task: str | None = None) -> dict[str, dict[str, Any]]:
    """Model cards of the weights in the package, by name; of all tasks, or of one: "receiver" or "beams"."""
    cards = {path.stem: json.loads(path.read_text()) for path in sorted(_SHIPPED.glob("*.json"))}
    return {name: card for name, card in cards.items() if task in (None, task_of(card))}


def task_of(card: dict[str, Any]) -> str:
    """What a card's model does; cards of receivers do not say."""
    return str(card.get("task", "receiver"))


def card_path(name: str) -> Path:
    """Where the model card of weights is, the .json; `name` as of `load_weights`."""
    path = Path(name) if name.endswith(".safetensors") else _SHIPPED / f"{name}.safetensors"
    return path.with_suffix(".json")


def load_weights(name: str, task: str = "receiver") -> Weights:
    """Weights by name from the package, or from a path to a .safetensors file with its .json card beside it.

    task: what the model is to do, "receiver" or "beams". Raises `ValueError` in one line for a missing or damaged file,
    and for weights of the other task.
    """
    card_file = card_path(name)
    path = card_file.with_suffix(".safetensors")
    if not path.is_file():
        allowed = ", ".join(shipped_weights(task)) or "none shipped"
        raise ValueError(f"weights: got {name!r}, which is not there; allowed: {allowed}, or a .safetensors file")
    if not card_file.is_file():
        raise ValueError(f"weights: got {name!r} without its model card {card_file.name}; allowed: both files")
    try:
        card = json.loads(card_file.read_text())
        expected = card["sha256"]
        card["architecture"]["name"]
        found = task_of(card)
        if found == "receiver":
            card["bits_per_symbol"]
            card["num_layers"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"weights: the model card {card_file.name} of {name!r} is damaged: {error!r}") from None
    if found != task:
        raise ValueError(
            f"weights: got {name!r}, made for {found}; allowed: {', '.join(shipped_weights(task)) or 'none shipped'}"
        )
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise ValueError(
            f"weights: {path.name} has SHA-256 {digest[:16]}..., its model card says {str(expected)[:16]}...; "
            "allowed: the file that the card describes"
        )
    from safetensors.torch import load  # torch takes a while to import, and cards need none

    return Weights(path.stem, digest, load(data), card, path.parent)
