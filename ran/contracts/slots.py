"""Slots that receivers and architectures are tried on."""

from __future__ import annotations

from functools import lru_cache

import torch

from ran.link import Link, LinkConfig, SlotBatch


@lru_cache(maxsize=1)
def slots() -> SlotBatch:
    """Four slots of one layer, QPSK at 20 dB, on a channel with delay spread and little Doppler."""
    config = LinkConfig.model_validate(
        {
            "carrier": {"num_prb": 6},
            "pusch": {"mcs_index": 4},
            "num_rx_ant": 2,
            "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10},
        }
    )
    return Link(config).batch(range(4), 20.0, 1, "contract")


def shape_problem(llr: torch.Tensor, what: str) -> str:
    """Why LLRs of `slots` are not of the right shape, type and range; empty when they are."""
    expected = tuple(slots().coded_bits.shape)
    if not isinstance(llr, torch.Tensor) or tuple(llr.shape) != expected:
        given = tuple(llr.shape) if isinstance(llr, torch.Tensor) else type(llr).__name__
        return f"{what}: got {given}; allowed: {expected}, [batch, num_layers, num_data_re, bits_per_symbol]"
    if llr.dtype != torch.float32:
        return f"{what}: got {llr.dtype}; allowed: torch.float32"
    return "" if bool(torch.isfinite(llr).all()) else f"{what}: got NaN or infinity; allowed: finite numbers"
