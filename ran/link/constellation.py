"""Constellations by the name or file of the weights that they were trained with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ran.errors import InputError


def with_points(data: Any, folder: Path | None = None) -> Any:
    """Values of an experiment or a link with the points themselves where `pusch.constellation` names weights.

    So what is simulated is in the values, wherever the weights are. folder: of relative files, by default the current
    one. `InputError` for weights that are missing, damaged or without a constellation.
    """
    pusch = data.get("pusch") if isinstance(data, Mapping) else None
    name = pusch.get("constellation") if isinstance(pusch, Mapping) else None
    if not isinstance(name, str):
        return data
    from receivers.neural.constellation import trained_points  # torch takes a while to import
    from receivers.neural.weights import load_weights

    if name.endswith(".safetensors") and folder is not None:
        name = str(folder / os.path.expanduser(name))
    try:
        points = trained_points(load_weights(name))
    except ValueError as error:
        raise InputError(f"pusch.constellation: {error}") from None
    return {**data, "pusch": {**(pusch or {}), "constellation": points}}
