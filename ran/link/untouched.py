"""Receivers share their input and their process: one that changes these would falsify every receiver after it, so it is
found out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

import torch
from torch import Tensor

from ran.errors import InputError
from ran.link.global_state import GlobalState
from receivers import Receiver
from receivers.interface import SlotObservation, Truth


def is_trusted(receiver: Receiver) -> bool:
    """Whether a receiver is one of this package, whose tests hold that it leaves its input alone."""
    return type(receiver).__module__.split(".")[0] == "receivers"


@contextmanager
def untouched(label: str, receiver: Receiver, observation: SlotObservation, truth: Truth | None) -> Iterator[None]:
    """Raise `InputError` with the receiver's label when it changes a tensor of its input, or a setting of the process
    that others compute with, which is put back; nothing for trusted ones."""
    if is_trusted(receiver):
        yield
        return
    before, state = _checksums(observation, truth), GlobalState.now()
    try:
        yield
    finally:
        changes = state.changes(GlobalState.now())
        if changes:
            state.restore()
    if changes:
        name, value = changes[0]
        raise InputError(
            f"receivers.{label}: changed the {name} of the process to {value}, which all receivers share; "
            "allowed: a change that it undoes before it returns"
        )
    after = _checksums(observation, truth)
    for name, checksum in before.items():
        if after[name] != checksum:
            raise InputError(
                f"receivers.{label}: changed {name} of its input in place, which all receivers share; "
                "allowed: a copy that is changed, x.clone()"
            )


def check_llr(label: str, llr: object, shape: tuple[int, ...]) -> None:
    """`InputError` with the receiver's label for anything but LLRs of a shape."""
    if isinstance(llr, Tensor) and tuple(llr.shape) == shape and llr.dtype == torch.float32:
        return
    given = f"{llr.dtype} {list(llr.shape)}" if isinstance(llr, Tensor) else type(llr).__name__
    raise InputError(
        f"receivers.{label}: returned {given}; allowed: LLRs torch.float32 {list(shape)}, [batch, num_layers, "
        "num_data_re, bits_per_symbol]"
    )


def _checksums(observation: SlotObservation, truth: Truth | None) -> dict[str, int]:
    """Of every tensor, whatever it was changed through."""
    found = {}
    for kind, owner in (("observation", observation), ("truth", truth)):
        if owner is None:
            continue
        for field in fields(owner):
            value = getattr(owner, field.name)
            if isinstance(value, Tensor):
                found[f"{kind}.{field.name}"] = zlib.crc32(value.detach().cpu().contiguous().numpy().tobytes())
    return found
