"""Receivers on slots that are taken apart: allocations with gaps or hops, and users with resource blocks of their own.

Each rectangle without gaps, in which the same users send throughout, is a slot of its own to a receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ran.link.transmitter import pilot_layout
from ran.link.turbo import TurboDecoder
from ran.phy.allocation import Part
from ran.phy.shared_grid import SharedGrid
from ran.phy.user_grids import UserPart
from receivers import Receiver, SlotObservation, Truth


def cut(observation: SlotObservation, part: Part) -> SlotObservation:
    """What is known of a rectangle: a channel estimator finds neighbours in it, and nothing of beyond."""
    columns = torch.from_numpy(part.columns).to(observation.y.device)
    first, stop = part.symbols.start, part.symbols.stop
    pilots, layout = observation.pilots[:, part.symbols][..., columns], observation.layout
    of_users: dict[str, Any] = {"decoder": None}
    if isinstance(part, UserPart):
        pilots, layout = pilots[list(part.layers)], pilot_layout(part.channel, part.ports)
        of_users = _of_users(observation, part)
    return replace(
        observation,
        y=observation.y[..., part.symbols, :][..., columns],
        pilots=pilots,
        data_mask=observation.data_mask[part.symbols][:, columns],
        symbol_times_s=observation.symbol_times_s[part.symbols],
        layout=replace(layout, symbols=tuple(s - first for s in layout.symbols if first <= s < stop)),
        **of_users,
    )


def _of_users(observation: SlotObservation, part: UserPart) -> dict[str, Any]:
    """What an observation says of layers, of those of a rectangle alone."""
    users = [observation.layer_to_user[layer] for layer in part.layers]
    of_all = observation.bits_per_layer or (observation.bits_per_symbol,) * observation.num_layers
    bits = [of_all[layer] for layer in part.layers]
    decoder = observation.decoder
    own = replace(decoder, codewords=part.codewords) if part.codewords and isinstance(decoder, TurboDecoder) else None
    return {
        "layer_to_user": tuple(sorted(set(users)).index(user) for user in users),
        "bits_per_symbol": max(bits),
        "bits_per_layer": tuple(bits) if len(set(bits)) > 1 else (),
        "decoder": own,
    }


def cuts(observation: SlotObservation, grid: SharedGrid) -> Iterator[tuple[Part, SlotObservation, Tensor, Tensor]]:
    """Rectangles that carry data, what is known of them, their layers int64 [layers, 1], and places of their data REs
    among those of a layer, int64 [layers, n]."""
    mask = observation.data_mask
    rank = (mask.flatten().cumsum(0) - 1).view(mask.shape)
    for part in grid.parts:
        own = cut(observation, part)
        if not own.data_mask.any():
            continue
        if isinstance(part, UserPart):
            layers, places = torch.tensor(part.layers), torch.from_numpy(part.places).to(mask.device)
        else:
            columns = torch.from_numpy(part.columns).to(mask.device)
            layers, places = torch.arange(own.num_layers), rank[part.symbols][:, columns][own.data_mask][None]
        yield part, own, layers[:, None].to(mask.device), places


def receive_in_parts(
    receiver: Receiver,
    observation: SlotObservation,
    truth: Truth | None,
    grid: SharedGrid,
    after: Callable[[], None] = lambda: None,
) -> Tensor:
    """LLRs of a receiver that is run on every rectangle by itself, put together in the order of the grid.

    after: called after every call of the receiver.
    """
    shape = (len(observation.y), observation.num_layers, grid.num_data_re, observation.bits_per_symbol)
    llr = torch.zeros(shape, dtype=torch.float32, device=observation.y.device)
    for part, own, layers, places in cuts(observation, grid):
        of_part = None
        if truth is not None:
            columns = torch.from_numpy(part.columns).to(truth.h.device)
            h = truth.h[:, :, layers[:, 0], part.symbols][..., columns]
            of_part = Truth(h, truth.coded_bits[:, layers, places, : own.bits_per_symbol])
        llr[:, layers, places, : own.bits_per_symbol] = receiver(own, of_part)
        after()
    return llr


def takes_decoder(grid: SharedGrid) -> bool:
    """Whether receivers that detect and decode in turns are handed whole codewords."""
    return grid.is_contiguous or all(isinstance(part, UserPart) and bool(part.codewords) for part in grid.parts)
