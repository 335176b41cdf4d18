"""Random streams: every number of a simulation belongs to a key and depends on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import overload

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import DTypeLike, NDArray


class _Key(ISeedSequence):
    """Seeds a bit generator with a given key; numpy's own seeding asks the system for entropy first, which is slow."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def generate_state(self, n_words: int, dtype: DTypeLike = np.uint32) -> NDArray:
        return np.frombuffer(self._key, dtype, n_words)


def stream_digest(seed: int, scenario_id: str, drop_index: int, purpose: str) -> bytes:
    """Sixteen bytes that stand for one purpose ("bits", "channel", "noise", ...) in one drop of one scenario.

    A hash, so that neighbouring drops are as independent as any two, and nothing depends on the order in which drops
    are simulated, on batch sizes or on the number of workers.
    """
    text = f"{seed}/{scenario_id}/{drop_index}/{purpose}"
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def stream(seed: int, scenario_id: str, drop_index: int, purpose: str) -> np.random.Generator:
    """The generator of a purpose in a drop, keyed by `stream_digest`."""
    return _generator(stream_digest(seed, scenario_id, drop_index, purpose))


def _generator(key: bytes) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(_Key(key)))  # type: ignore[arg-type]  # stubs know no ISeedSequence


class DropGenerators(Sequence[np.random.Generator]):
    """The generators of a purpose in some drops, each made when it is asked for.

    The first numbers of all of them are drawn at once, without making any; they are those that the generators give, and
    a generator that is asked for afterwards goes on behind them.
    """

    def __init__(self, seed: int, scenario_id: str, drops: Sequence[int], purpose: str) -> None:
        digests = [stream_digest(seed, scenario_id, drop, purpose) for drop in drops]
        self._keys = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
        self._made: dict[int, np.random.Generator] = {}
        # kind and number of what was drawn at once
        self._drawn: tuple[type, int] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> np.random.Generator: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.random.Generator]: ...
    def __getitem__(self, index: int | slice) -> np.random.Generator | list[np.random.Generator]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place not in self._made:
            made = _generator(self._keys[place].tobytes())
            if self._drawn is not None:
                # what was drawn without it is behind it
                _draw(made, *self._drawn)
            self._made[place] = made
        return self._made[place]

    def __iter__(self) -> Iterator[np.random.Generator]:
        return (self[place] for place in range(len(self)))

    def normals(self, count: int) -> NDArray[np.float32]:
        """N(0, 1), float32 [len(self), count]: `Generator.standard_normal` of each."""
        return self._numbers(np.float32, count)

    def raw(self, count: int) -> NDArray[np.uint64]:
        """Words of the bit generators, uint64 [len(self), count]: `random_raw` of each."""
        return self._numbers(np.uint64, count)

    def _numbers(self, kind: type, count: int) -> NDArray:
        if self._made or self._drawn is not None or not len(self) or not compiled_numbers_are_numpys():
            return np.stack([_draw(generator, kind, count) for generator in self])
        from ran.link.philox import first_normals, raw_words  # numba takes a while to import

        numbers: NDArray
        if kind is np.float32:
            numbers = np.empty((len(self), count), np.float32)
            first_normals(self._keys, numbers)
        else:
            whole = np.empty((len(self), -(-count // 4) * 4), np.uint64)
            raw_words(self._keys, whole)
            numbers = whole[:, :count]
        self._drawn = kind, count
        return numbers


def _draw(generator: np.random.Generator, kind: DTypeLike, count: int) -> NDArray:
    if kind == np.float32:
        return generator.standard_normal(count, np.float32)
    return np.asarray(generator.bit_generator.random_raw(count))


@cache
def compiled_numbers_are_numpys() -> bool:
    """Whether `ran.link.philox` gives this version of numpy's numbers: numpy may change them, and numba its tables."""
    try:
        from ran.link.philox import first_normals, raw_words
    except ImportError:
        return False
    digest = stream_digest(0, "check", 0, "numbers")
    keys = np.frombuffer(digest, np.uint64).reshape(1, 2)
    normals, words = np.empty((1, 20_000), np.float32), np.empty((1, 16), np.uint64)
    first_normals(keys, normals)
    raw_words(keys, words)
    return all(
        np.array_equal(found[0], _draw(_generator(digest), found.dtype, found.shape[1])) for found in (normals, words)
    )
