"""What is counted of drops: one type from the link to the report, which adds up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Columns of `Counts.received`.
NUM_RECEIVED = 5

Integers = NDArray[np.int64]

#: The counter that every link has.
BIT_ERRORS = "bit_errors"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def check_counter_names(names: Iterable[str]) -> None:
    """ValueError for a name that no counter of a receiver or a study may have, and for one that is there twice."""
    seen = set()
    for name in names:
        if name == BIT_ERRORS or name in seen or not _NAME.fullmatch(name):
            raise ValueError(
                f"counters: got {name!r}; allowed: names of up to 63 lower-case letters, digits and _, that begin with "
                f"a letter, each once, except {BIT_ERRORS}"
            )
        seen.add(name)


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of consecutive drops. Those of the drops that follow are added by `+`.

    errors int64 [drops, codewords, transmissions]: blocks in error after each transmission. A codeword stands for
        blocks of one size: those of all users of an uplink together, or either codeword of a PDSCH.
    counters: what else adds up, by name, int64 [drops] each: "bit_errors", and what receivers and studies count.
    received float32 [drops, users, 5]: with a link budget, of every user the received Es/N0 in dB, path gain in dB,
        horizontal distance in m (NaN: unknown), condition (0 LOS, 1 NLOS, 2 O2I, -1 unknown) and blocks in error;
        without, no users.

    ValueError where arrays are not of the same drops.
    """

    errors: Integers
    counters: Mapping[str, Integers] = field(default_factory=dict)
    received: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, NUM_RECEIVED), np.float32))

    def __post_init__(self) -> None:
        errors = np.asarray(self.errors, np.int64)
        if errors.ndim != 3 or errors.shape[2] < 1:
            raise ValueError(f"errors: got shape {errors.shape}; allowed: [drops, codewords, transmissions]")
        drops = len(errors)
        counters = {name: np.asarray(values, np.int64) for name, values in self.counters.items()}
        received = np.asarray(self.received, np.float32)
        if not received.size:
            received = np.zeros((drops, 0, NUM_RECEIVED), np.float32)
        lengths = {**{name: len(values) for name, values in counters.items()}, "received": len(received)}
        for name, length in lengths.items():
            if length != drops:
                raise ValueError(f"{name}: got {length} drops; allowed: {drops}, as errors has")
        object.__setattr__(self, "errors", errors)
        object.__setattr__(self, "counters", counters)
        object.__setattr__(self, "received", received)

    @classmethod
    def of(
        cls,
        block_errors: ArrayLike,
        bit_errors: ArrayLike,
        earlier_errors: ArrayLike | None = None,
        second_errors: ArrayLike | None = None,
        received: NDArray[np.float32] | None = None,
    ) -> Counts:
        """From sums over codewords, as stores hold them: block_errors and bit_errors [drops] in the end,
        earlier_errors [drops, transmissions - 1], and second_errors [drops, transmissions], the second codeword's part
        in all of them."""
        every = np.asarray(block_errors, np.int64)[:, None]
        if earlier_errors is not None and np.size(earlier_errors):
            every = np.concatenate([np.asarray(earlier_errors, np.int64), every], 1)
        codewords = [every]
        if second_errors is not None and np.size(second_errors):
            second = np.asarray(second_errors, np.int64)
            if second.shape != every.shape:
                raise ValueError(f"second_errors: got shape {second.shape}; allowed: {every.shape}")
            codewords = [every - second, second]
        counters = {BIT_ERRORS: np.asarray(bit_errors, np.int64)}
        errors = np.stack(codewords, 1)
        return cls(errors, counters) if received is None else cls(errors, counters, received)

    @classmethod
    def joined(cls, parts: Sequence[Counts]) -> Counts:
        """Those of consecutive drops. A counter that some of them were not counted for is not known of all."""
        first = parts[0]
        if len(parts) == 1:
            return first
        return cls(
            np.concatenate([part.errors for part in parts]),
            {
                name: np.concatenate([part.counters[name] for part in parts])
                for name in first.counters
                if all(name in part.counters for part in parts)
            },
            np.concatenate([part.received for part in parts]),
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts.joined([self, other])

    def first(self, count: int | None) -> Counts:
        """Those of the first `count` drops; None: of all."""
        counters = {name: values[:count] for name, values in self.counters.items()}
        return Counts(self.errors[:count], counters, self.received[:count])

    def counting(self, counters: Mapping[str, Integers]) -> Counts:
        """The same with more counters."""
        return Counts(self.errors, {**self.counters, **counters}, self.received) if counters else self

    @property
    def own_counters(self) -> dict[str, Integers]:
        """What receivers and studies count, by name, [drops] each."""
        return {name: values for name, values in sorted(self.counters.items()) if name != BIT_ERRORS}

    @property
    def drops(self) -> int:
        return len(self.errors)

    @cached_property
    def block_errors(self) -> Integers:
        """Blocks in error in the end, [drops]."""
        return np.asarray(self.errors[:, :, -1].sum(1))

    @cached_property
    def earlier_errors(self) -> Integers:
        """Blocks in error after every transmission but the last, [drops, transmissions - 1]."""
        return np.asarray(self.errors[:, :, :-1].sum(1))

    @property
    def second_errors(self) -> Integers:
        """The second codeword's blocks in error after every transmission, [drops, transmissions]; [drops, 0] where
        there is none."""
        return self.errors[:, 1] if self.errors.shape[1] > 1 else np.zeros((self.drops, 0), np.int64)

    @property
    def bit_errors(self) -> Integers:
        """Wrong bits in the end, [drops]."""
        return self.counters[BIT_ERRORS]
