"""Receivers of a configuration of `ran decode`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ran.config.validation import validate
from ran.errors import bad_value
from ran.link.catalogue import build_receiver
from ran.sim.experiment import ReceiverBlock
from receivers import Receiver


def build_receivers(blocks: Sequence[str | Mapping[str, Any]], folder: Path) -> dict[str, Receiver]:
    """Receivers by their labels. `InputError` for one that does not exist, and for two of one label.

    blocks: names, or blocks with options. folder: what relative names of files belong to.
    """
    found: dict[str, Receiver] = {}
    for index, given in enumerate(blocks):
        block = {"name": given} if isinstance(given, str) else dict(given)
        path = f"receivers[{index}]"
        title = validate(ReceiverBlock, block, path).title
        if title in found:
            raise bad_value(path, f"{title} twice", "different receivers, or a label for each")
        plain = {key: value for key, value in block.items() if key != "label"}
        found[title] = build_receiver(plain, folder, path)
    if not found:
        raise bad_value("receivers", [], "one or more")
    return found
