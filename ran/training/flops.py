"""What the networks of a receiver compute for a slot."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ran.link import Link, LinkConfig

#: PRBs of the slot that is counted, and of the one that is stated: convolutions grow in proportion.
_COUNTED, STATED = 2, 132
NUM_RX_ANT = 4


def convolution_flops(model: nn.Module, num_layers: tuple[int, ...]) -> dict[str, int]:
    """Multiplications and additions of a model's convolutions by the number of layers, of single-layer users, for a
    slot of 14 OFDM symbols, 132 PRB and 4 antennas. Channel estimation and detection around them are not counted."""
    device = next(model.parameters()).device
    found = {}
    for layers in num_layers:
        config = LinkConfig.model_validate(
            {
                "carrier": {"num_prb": _COUNTED},
                "pusch": {"mcs_index": 14},
                "users": {"num_users": layers},
                "num_rx_ant": NUM_RX_ANT,
                "channel": {"name": "tdl", "profile": "TDLA30", "max_doppler_hz": 0},
            }
        )
        observation = Link(config, device=str(device)).batch(range(1), 10.0, 1, "flops", with_channel=False).observation
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model(observation)
        found[str(layers)] = _of_networks(model, counter) * STATED // _COUNTED
    return found


def _of_networks(model: nn.Module, counter: FlopCounterMode) -> int:
    """Operations of convolutions, and of the matrix products that take the place of those of kernel size 1 on a
    processor. Outside of the networks, where a model tells which of its parts they are, products are not theirs."""
    counts = counter.get_flop_counts()
    of_convolutions = counts.get("Global", {}).get(torch.ops.aten.convolution, 0)
    if not hasattr(model, "networks"):
        return int(of_convolutions)
    networks = {id(network) for network in model.networks()}  # type: ignore[operator]
    names = [f"{type(model).__name__}.{name}" for name, part in model.named_modules() if id(part) in networks]
    products = (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm)
    return int(of_convolutions + sum(counts.get(name, {}).get(product, 0) for name in names for product in products))
