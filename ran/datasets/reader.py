"""Read a data set lazily: a torch `Dataset` of single drops or batches, and an order that reads whole chunks."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ran.datasets.budget_tables import BUDGET_TABLES
from ran.datasets.container import Container, open_container
from ran.datasets.header import observation_of
from ran.datasets.splits import SPLITS
from ran.errors import InputError, unknown_name
from receivers import SlotObservation, Truth


class DropDataset(Dataset[dict[str, Tensor]]):
    """The drops of a data set, or of one of its splits.

    dataset[i] is a drop: tensors by name, among them `drop`, its number in the file. y and h are complex64, bits uint8,
    `esn0_db`, `noise_var`, `site` scalars; with a link budget `tx_power_dbm` and, per user, `received_esn0_db`,
    `path_gain_db`, `distance_2d_m`, `condition` and `user_power_dbm`. `observation` gives receivers' input for several
    drops at once.

    Whole chunks are read, and the last `cached_chunks` are kept. It can be handed to the workers of a `DataLoader`,
    forked or spawned: every process opens the file for itself. With a `ChunkShuffle` as `batch_sampler` a chunk is read
    once per epoch.
    """

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        fields: Sequence[str] | None = None,
        cached_chunks: int = 4,
    ) -> None:
        """split: train, val or test; None: all drops. fields: of the file's; None: all."""
        self.path = Path(path)
        self.cached_chunks = cached_chunks
        self._container: Container | None = None
        self._process = -1
        self._cache: OrderedDict[int, dict[str, NDArray]] = OrderedDict()
        container = self._open()
        self.header = container.header
        written = container.written()
        if not written.all():
            raise InputError(
                f"{path}: unfinished: {int(written.sum())} of {len(written)} chunks; allowed: a finished data set, "
                "which the command that began it makes of it"
            )
        known = [field.name for field in self.header.fields if not field.name.endswith("_scale")]
        for name in fields or ():
            if name not in known:
                raise unknown_name("fields", name, known)
        self.fields = tuple(known if fields is None else fields)
        self.drops = np.arange(self.header.num_drops)
        if split is not None:
            if split not in SPLITS:
                raise unknown_name("split", split, SPLITS)
            self.drops = np.flatnonzero(self.header.tables["split"].array == SPLITS.index(split))

    def _open(self) -> Container:
        """This process's own handle."""
        if self._container is None or self._process != os.getpid():
            self._container, self._process = open_container(self.path), os.getpid()
        return self._container

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_container": None, "_process": -1, "_cache": OrderedDict()}

    def __len__(self) -> int:
        return len(self.drops)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """Several drops, as a `DataLoader` asks for them."""
        batch = self.batch(indices)
        return [{name: values[place] for name, values in batch.items()} for place in range(len(indices))]

    def batch(self, indices: Sequence[int] | NDArray) -> dict[str, Tensor]:
        """Several drops as arrays with the drops in front, in the order asked for."""
        drops = self.drops[np.asarray(indices)]
        size = self.header.chunk_drops
        values = {
            field.name: np.empty((len(drops), *field.shape), field.dtype)
            for field in self.header.fields
            if field.name in self.fields
        }
        for chunk in np.unique(drops // size):
            places = np.flatnonzero(drops // size == chunk)
            within = drops[places] - chunk * size
            stored = self._chunk(int(chunk))
            for field in self.header.fields:
                if field.name in values:
                    scale = stored.get(field.scale_name)
                    some = field.decode(stored[field.name][within], None if scale is None else scale[within])
                    values[field.name][places] = some
        result = {name: torch.from_numpy(array) for name, array in values.items()}
        for name in ("esn0_db", "noise_var", "site", "tx_power_dbm", *BUDGET_TABLES):
            if name in self.header.tables:
                result[name] = torch.from_numpy(self.header.tables[name].array[drops])
        result["drop"] = torch.from_numpy(drops)
        return result

    def _chunk(self, chunk: int) -> dict[str, NDArray]:
        """Stored arrays of a chunk, from the last ones read or from the file."""
        if self._process != os.getpid():
            self._cache.clear()
        if chunk in self._cache:
            self._cache.move_to_end(chunk)
            return self._cache[chunk]
        container, span = self._open(), self.header.chunk(chunk)
        wanted = [f for f in self.header.fields if f.name.removesuffix("_scale") in self.fields]
        stored = {field.name: container.read(field, span.start, span.stop) for field in wanted}
        self._cache[chunk] = stored
        while len(self._cache) > self.cached_chunks:
            self._cache.popitem(last=False)
        return stored

    def damaged_fields(self, chunk: int) -> list[str]:
        """Fields of a chunk that do not match their hashes."""
        container = self._open()
        return container.damaged_fields(chunk, container.digests()[chunk])

    def observation(self, indices: Sequence[int] | NDArray) -> tuple[SlotObservation, Truth | None]:
        """Slots as receivers take them, with the truth where the file holds the channel."""
        if "y" not in self.fields:
            raise InputError(f"{self.path}: got a data set without y; allowed: one of slots")
        batch = self.batch(indices)
        observation = observation_of(self.header, batch["y"].numpy(), batch["noise_var"].numpy())
        has_truth = "h" in batch and "coded_bits" in batch
        return observation, Truth(batch["h"], batch["coded_bits"]) if has_truth else None


class ChunkShuffle(Sampler[list[int]]):
    """Batches in random order that read every chunk once: drops are shuffled within groups of chunks.

    Groups of `group_chunks` random chunks follow one another; the drops of a group are shuffled, the rest that fills no
    batch goes on to the next group. With `num_workers` of the `DataLoader` given, every worker gets groups of its own.
    The order depends on `seed` and `epoch` alone; set `epoch` before every epoch.
    """

    def __init__(
        self,
        dataset: DropDataset,
        batch_size: int,
        seed: int = 0,
        group_chunks: int = 4,
        num_workers: int = 0,
        drop_last: bool = False,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size: got {batch_size}; allowed: 1 or more")
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.group_chunks = min(group_chunks, max(1, dataset.cached_chunks))
        self.num_streams = max(1, num_workers)
        self.drop_last = drop_last

    def _streams(self) -> list[list[list[int]]]:
        """Batches per worker."""
        generator = np.random.default_rng([self.seed, self.epoch])
        chunk_of = self.dataset.drops // self.dataset.header.chunk_drops
        chunks = generator.permutation(np.unique(chunk_of))
        first = np.searchsorted(chunk_of, chunks)
        last = np.searchsorted(chunk_of, chunks, side="right")
        streams = []
        for worker in range(self.num_streams):
            spans = list(zip(first[worker :: self.num_streams], last[worker :: self.num_streams], strict=True))
            batches: list[list[int]] = []
            rest = np.zeros(0, np.int64)
            for start in range(0, len(spans), self.group_chunks):
                group = np.concatenate([np.arange(a, b) for a, b in spans[start : start + self.group_chunks]])
                order = np.concatenate([rest, generator.permutation(group)])
                whole = len(order) // self.batch_size * self.batch_size
                batches += [part.tolist() for part in order[:whole].reshape(-1, self.batch_size)]
                rest = order[whole:]
            if len(rest) and not self.drop_last:
                batches.append(rest.tolist())
            streams.append(batches)
        return streams

    def __iter__(self) -> Iterator[list[int]]:
        streams = self._streams()
        # a DataLoader gives batches to its workers in turns; the longest streams come last, by themselves
        for turn in range(max(map(len, streams))):
            for batches in streams:
                if turn < len(batches):
                    yield batches[turn]

    def __len__(self) -> int:
        return sum(map(len, self._streams()))
