"""How the networks of a model are computed: in bfloat16, or compiled. Weights stay in float32."""

from __future__ import annotations

import functools
from typing import Any, Literal

import torch
from torch import nn

from ran.errors import InputError

_KINDS_OF_SLOTS = 256

Precision = Literal["float32", "bfloat16"]


def prepare(model: nn.Module, precision: Precision, compiled: bool) -> None:
    """Make the networks of a model compute in `precision`, and compile them where asked.

    Only what `model.networks()` names: channel estimation, detection and the loss stay in float32. `InputError` for
    models without it.
    """
    if precision == "float32" and not compiled:
        return
    networks = getattr(model, "networks", None)
    if networks is None:
        asked = "schedule.compile: got true" if compiled else f"schedule.precision: got {precision!r}"
        raise InputError(f"{asked} with a model whose networks are not apart; allowed: another model, or the default")
    if compiled:
        _let_recompile()
    for network in networks():
        if compiled:
            # one compilation for every kind of slot: with open sizes it met wrong strides on a CPU (torch 2.13)
            network.compile(dynamic=False)
        if precision == "bfloat16":
            network.forward = _in_bfloat16(network.forward)


def _let_recompile() -> None:
    """Lift the number of kinds of slots beyond which torch gives up compiling."""
    from torch._dynamo import config  # takes a while to import

    config.recompile_limit = max(config.recompile_limit, _KINDS_OF_SLOTS)


def _in_bfloat16(forward: Any) -> Any:
    @functools.wraps(forward)
    def run(z: torch.Tensor, *arguments: Any) -> Any:
        with torch.autocast(z.device.type, torch.bfloat16):
            return forward(z, *arguments)

    return run
