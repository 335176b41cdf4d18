"""Slots of a data set as a link: receivers are run on what a file holds, and their errors are counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ran.datasets.budget_tables import received_of
from ran.datasets.reader import DropDataset
from ran.errors import InputError
from ran.link import Link
from ran.link.batch import check_finite
from ran.link.snr import noise_var
from ran.stats.counts import Counts
from receivers import Receiver


def points_of(dataset: DropDataset) -> NDArray[np.float64]:
    """What the drops of a data set of slots were simulated at, float64 [drops]."""
    points = dataset.header.points
    if points is None:
        raise InputError(f"{dataset.path}: got a data set without Es/N0; allowed: one of slots")
    return points[dataset.drops]


class RecordedLink:
    """What `ran.sim` needs of a link, over the slots of a file.

    Drop number d at an Es/N0 is the d-th of the file's drops at that Es/N0, of the split that is looked at.
    """

    def __init__(self, link: Link, dataset: DropDataset) -> None:
        """link: of the experiment that the file was written with; it knows the grid and decodes."""
        self._link, self._dataset = link, dataset
        esn0_db = points_of(dataset)
        self._tables = {name: table.array for name, table in dataset.header.tables.items()}
        self._places = {float(point): np.flatnonzero(esn0_db == point) for point in np.unique(esn0_db)}
        self._sound: set[int] = set()
        #: Of the last call of `simulate`: what each receiver took, decoding included.
        self.receiver_seconds: dict[str, float] = {}

    @property
    def num_drops(self) -> dict[float, int]:
        """Drops by Es/N0 in dB, ascending."""
        return {point: len(places) for point, places in self._places.items()}

    @property
    def blocks_per_drop(self) -> int:
        return self._link.blocks_per_drop

    @property
    def bits_per_block(self) -> tuple[int, ...]:
        return self._link.bits_per_block

    @property
    def slot_duration_s(self) -> float:
        return self._link.slot_duration_s

    @property
    def batch_drops(self) -> int:
        return self._link.batch_drops

    @property
    def batch_bytes(self) -> int:
        return self._link.batch_bytes

    def simulate(
        self, receivers: Mapping[str, Receiver], drops: range, esn0_db: float, seed: int, scenario_id: str
    ) -> dict[str, Counts]:
        """Outcomes of every receiver on these drops, in batches from multiples of `batch_drops`.

        They end where the file does: of drops beyond there are no outcomes. InputError for a damaged chunk.
        """
        self.receiver_seconds = dict.fromkeys(receivers, 0.0)
        places = self._places[esn0_db][drops.start : drops.stop]
        parts: dict[str, list[Counts]] = {label: [] for label in receivers}
        with torch.inference_mode():
            for start in range(0, len(places), self.batch_drops):
                of_batch = places[start : start + self.batch_drops]
                found = self._outcomes(receivers, of_batch, esn0_db, drops.start + start)
                for label, outcome in found.items():
                    parts[label].append(outcome)
        return {label: Counts.joined(part) for label, part in parts.items()}

    def _outcomes(
        self, receivers: Mapping[str, Receiver], places: NDArray, esn0_db: float, first: int
    ) -> dict[str, Counts]:
        """first: number of the first of these drops, as a run counts them."""
        drops = self._dataset.drops[places]
        self._check_chunks(drops)
        values, link = self._dataset.batch(places), self._link
        state = received_of(self._tables, drops)
        noise = noise_var(esn0_db) if state is None else values["noise_var"]
        batch = link.recorded(
            values["y"], noise, values["transport_blocks"].numpy(), values["coded_bits"], values.get("h")
        )
        found = {}
        for label, receiver in receivers.items():
            started = time.perf_counter()
            llr = link.receive(receiver, batch)
            check_finite(llr, f"the LLRs of {label}", range(first, first + len(places)))
            found[label] = link.count_errors(llr, replace(batch, received=state))
            self.receiver_seconds[label] += time.perf_counter() - started
        return found

    def _check_chunks(self, drops: NDArray) -> None:
        """`InputError` unless the chunks of these drops match their hashes."""
        for chunk in np.unique(drops // self._dataset.header.chunk_drops):
            if int(chunk) in self._sound:
                continue
            damaged = self._dataset.damaged_fields(int(chunk))
            if damaged:
                span = self._dataset.header.chunk(int(chunk))
                raise InputError(
                    f"{self._dataset.path}: damaged: {', '.join(damaged)} of drops {span.start} to {span.stop - 1} do "
                    "not match their SHA-256; allowed: a file that `ran data verify` finds whole"
                )
            self._sound.add(int(chunk))
