"""A slot that any receiver can read, to see whether a model and its contract mean the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor

from receivers.classical.qam import soft_symbols
from receivers.interface import SlotObservation
from receivers.onnx.contract import PilotOrder

#: Share of wrong bits up to which a model is taken to read the slot as it was meant.
MOST_WRONG = 0.1
#: How LLRs may be meant otherwise.
OTHER_SIGN = "LLRs are positive for bit 1"
OTHER_AXES = "bits of the two axes have changed places"
REVERSED_BITS = "bits of a symbol come in reverse order"
REVERSED_LAYERS = "layers come in reverse order"
_DELAYS_NS, _AMPLITUDES = (60.0, 400.0), (0.9, 0.4)

#: LLRs of an observation, with the pilots in an order.
Run = Callable[[SlotObservation, PilotOrder], Tensor]


def probe_slot(like: SlotObservation, esn0_db: float | None = None) -> tuple[SlotObservation, Tensor]:
    """A slot shaped as `like` over a two-path channel that stands still; and its bits.

    esn0_db: by default so high that the slot is read with ease. Antennas see the layers from different directions, such
    that they can be told apart. Bits are bool [1, num_layers, num_data_re, bits_per_symbol].
    """
    generator = torch.Generator().manual_seed(0)
    num_rx_ant, num_layers = like.y.shape[1], like.num_layers
    bits = torch.rand(1, num_layers, like.num_data_re, like.bits_per_symbol, generator=generator) < 0.5
    symbols, _ = soft_symbols(100.0 * (1 - 2.0 * bits))
    x = like.pilots.cpu().clone()
    x[:, like.data_mask.cpu()] = like.layer_amplitude * symbols[0]
    phase = 2 * math.pi * torch.arange(like.data_mask.shape[1]) * like.subcarrier_spacing_hz * 1e-9
    paths = [a * torch.exp(-1j * phase * delay) for a, delay in zip(_AMPLITUDES, _DELAYS_NS, strict=True)]
    # [rx, layer]: the columns of a Fourier matrix, turned from one path to the next
    turns = torch.arange(num_rx_ant)[:, None] * torch.arange(num_layers) * (2 * math.pi / max(num_rx_ant, num_layers))
    steering = torch.exp(1j * (turns + 0.7 * torch.arange(num_rx_ant)[:, None]))
    h = steering[:, :, None] * (paths[0] + 1j * paths[1])
    # QPSK needs 14 dB to be read with ease, every doubling of the constellation 3 dB more
    noise_var = 10 ** -((8 + 3 * like.bits_per_symbol if esn0_db is None else esn0_db) / 10)
    noise = torch.randn(num_rx_ant, *like.data_mask.shape, 2, generator=generator) * (noise_var / 2) ** 0.5
    y = torch.einsum("rlk,lsk->rsk", h.to(x.dtype), x) + torch.view_as_complex(noise)
    return replace(like, y=y[None].to(like.y.device), noise_var=torch.full_like(like.noise_var[:1], noise_var)), bits


@dataclass(frozen=True)
class Reading:
    """How a model read a plain slot.

    llr: as it came out, pilots in the order it was to be. wrong: share of wrong bits by order of the pilots. share,
    order, what: the reading of the LLRs with the fewest wrong bits, the order of pilots there, and how it differs from
    the contract's (nothing where it does not).
    """

    llr: Tensor
    bits: Tensor
    wrong: dict[PilotOrder, float]
    share: float
    order: PilotOrder
    what: tuple[str, ...]


def read_slot(run: Run, order: PilotOrder, like: SlotObservation, has_pilot_order: bool) -> Reading:
    """Run a model on `probe_slot`. `ValueError` for LLRs that are not finite."""
    observation, bits = probe_slot(like)
    orders = get_args(PilotOrder) if has_pilot_order else (order,)
    llrs = {tried: run(observation, tried).cpu() for tried in sorted(orders, key=lambda o: o != order)}
    if any(not torch.isfinite(llr).all() for llr in llrs.values()):
        raise ValueError("LLRs of a plain slot are not finite; allowed: finite LLRs")
    wrong = {tried: _share_wrong(llr, bits) for tried, llr in llrs.items()}
    found = [(_share_wrong(seen, bits), tried, what) for tried, llr in llrs.items() for what, seen in _readings(llr)]
    share, tried, what = min(found, key=lambda reading: reading[0])
    return Reading(llrs[order], bits, wrong, share, tried, what)


def check_meaning(run: Run, order: PilotOrder, like: SlotObservation, has_pilot_order: bool) -> None:
    """Run a model on `probe_slot`. `ValueError` says in what it differs from its contract, as far as that shows."""
    reading = read_slot(run, order, like, has_pilot_order)
    wrong = reading.wrong
    least = min(wrong.values())
    if wrong[order] <= MOST_WRONG and (wrong[order] <= 3 * least or wrong[order] < 0.01):
        return
    differences = [" and ".join(reading.what)] if reading.what else []
    if reading.order != order:
        differences.append(f"pilots are taken in {reading.order} order (set pilot_order: {reading.order})")
    told = "" if reading.share > MOST_WRONG or not differences else f"; {' and '.join(differences)}"
    in_order = f", pilots in {order} order" if has_pilot_order else ""
    raise ValueError(
        f"{wrong[order]:.0%} of the bits of a plain slot are read wrong{told or '; its layout is another'}; "
        f"allowed: at most {MOST_WRONG:.0%}, positive LLRs for bit 0{in_order}"
    )


def _share_wrong(llr: Tensor, bits: Tensor) -> float:
    return float(((llr < 0) != bits).float().mean())


def _readings(llr: Tensor) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """LLRs read otherwise than the contracts say, and what that would mean."""
    yield (), llr
    yield (OTHER_SIGN,), -llr
    axes = llr.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    yield (OTHER_AXES,), axes
    yield (OTHER_SIGN, OTHER_AXES), -axes
    yield (REVERSED_BITS,), llr.flip(-1)
    if llr.shape[1] > 1:
        yield (REVERSED_LAYERS,), llr.flip(1)
