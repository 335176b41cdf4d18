"""Receivers on allocations with gaps or hops: each rectangle without gaps is a slot of its own to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ran.phy.allocation import Part
from receivers import Receiver, SlotObservation, Truth


def cut(observation: SlotObservation, part: Part) -> SlotObservation:
    """What is known of a rectangle: a channel estimator finds neighbours in it, and nothing of beyond."""
    columns = torch.from_numpy(part.columns).to(observation.y.device)
    first, stop = part.symbols.start, part.symbols.stop
    layout = replace(
        observation.layout, symbols=tuple(s - first for s in observation.layout.symbols if first <= s < stop)
    )
    return replace(
        observation,
        y=observation.y[..., part.symbols, :][..., columns],
        pilots=observation.pilots[:, part.symbols][..., columns],
        data_mask=observation.data_mask[part.symbols][:, columns],
        symbol_times_s=observation.symbol_times_s[part.symbols],
        layout=layout,
        decoder=None,
    )


def cuts(observation: SlotObservation, parts: Sequence[Part]) -> Iterator[tuple[Part, SlotObservation, Tensor]]:
    """Rectangles that carry data, what is known of them, and places of their data REs among all, int64 [n]."""
    mask = observation.data_mask
    rank = (mask.flatten().cumsum(0) - 1).view(mask.shape)
    for part in parts:
        own = cut(observation, part)
        if own.data_mask.any():
            columns = torch.from_numpy(part.columns).to(mask.device)
            yield part, own, rank[part.symbols][:, columns][own.data_mask]


def receive_in_parts(
    receiver: Receiver,
    observation: SlotObservation,
    truth: Truth | None,
    parts: Sequence[Part],
    after: Callable[[], None] = lambda: None,
) -> Tensor:
    """LLRs of a receiver that is run on every rectangle by itself, put together in the order of the grid.

    after: called after every call of the receiver.
    """
    shape = (len(observation.y), observation.num_layers, observation.num_data_re, observation.bits_per_symbol)
    llr = torch.zeros(shape, dtype=torch.float32, device=observation.y.device)
    for part, own, places in cuts(observation, parts):
        of_part = None
        if truth is not None:
            columns = torch.from_numpy(part.columns).to(truth.h.device)
            of_part = Truth(truth.h[..., part.symbols, :][..., columns], truth.coded_bits[:, :, places])
        llr[:, :, places] = receiver(own, of_part)
        after()
    return llr
