"""The drops of a chunk, simulated: what `Link` makes of them, as a data set stores it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ran.datasets.field import scale_of
from ran.datasets.header import Header
from ran.link import Link, NonFiniteError


def simulate_chunk(link: Link, header: Header, chunk: int) -> dict[str, NDArray]:
    """Stored arrays [drops of the chunk, ...] by field. `NonFiniteError` when a NaN or an infinity appears.

    Drops at the same SNR are simulated together, in batches as large as the link likes them. A drop depends on its
    number alone, by the link's own keyed streams.
    """
    drops = header.chunk(chunk)
    esn0_db = None if header.points is None else header.points[drops.start : drops.stop]
    values = {
        field.name: np.empty((len(drops), *field.shape), field.dtype)
        for field in header.fields
        if not field.name.endswith("_scale")
    }
    points = np.zeros(len(drops)) if esn0_db is None else esn0_db
    for point in np.unique(points):
        places = np.flatnonzero(points == point)
        for first in range(0, len(places), link.batch_drops):
            part = places[first : first + link.batch_drops]
            _simulate(link, header, [drops.start + int(place) for place in part], float(point), part, values)
    return encoded(header, values)


def _simulate(
    link: Link, header: Header, drops: Sequence[int], esn0_db: float, places: NDArray, values: dict[str, NDArray]
) -> None:
    """Fill `values` at `places` with a batch of drops."""
    seed, scenario = int(header.attrs["seed"]), str(header.attrs["stream_id"])
    batch = link.batch(drops, esn0_db, seed, scenario, with_channel="h" in values)
    arrays = {
        "y": batch.observation.y,
        "h": batch.h,
        "coded_bits": batch.coded_bits,
        "transport_blocks": batch.transport_blocks,
    }
    for name, into in values.items():
        array = np.asarray(arrays[name])
        if array.dtype == np.complex64 and not np.isfinite(array.view(np.float32).sum(dtype=np.float64)):
            bad = ~np.isfinite(array.reshape(len(drops), -1)).all(axis=1)
            if bad.any():
                raise NonFiniteError(name, drops[int(np.flatnonzero(bad)[0])])
        into[places] = array


def encoded(header: Header, values: dict[str, NDArray]) -> dict[str, NDArray]:
    """Arrays by field as they are stored, with the scales that some of them need."""
    scales = {
        field.name: scale_of(values[field.name]) for field in header.fields if field.encoding == "complex-float16"
    }
    stored = {
        field.name: field.encode(values[field.name], scales.get(field.name))
        for field in header.fields
        if field.name in values
    }
    return stored | {f"{name}_scale": scale for name, scale in scales.items()}
