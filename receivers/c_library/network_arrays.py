"""Networks of the C library: trained weights of the architecture soft-pilots as arrays of a model file."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from receivers.classical.blind import Blind
from receivers.neural.convolutions import Separable
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.refined_blind import SharingBlock
from receivers.neural.soft_pilots import NODE_SYMBOLS, CoarseCorrection, SoftPilotReceiver

Precision = Literal["float32", "bfloat16"]
#: What the library takes at most.
MAX_CHANNELS, MAX_BLOCKS, MAX_DILATION, MAX_PASSES = 64, 8, 8, 4
#: Outputs of a convolution are computed in groups of so many.
CHANNELS_AT_ONCE = 4


def soft_pilots_of(receiver: NeuralReceiver) -> SoftPilotReceiver:
    """The model of a receiver. `ValueError` with one line where the library has none such."""
    model = receiver.model
    kind = receiver.card["architecture"]["name"]
    if not isinstance(model, SoftPilotReceiver):
        raise ValueError(f"weights: got {receiver.weights!r}, {kind}; allowed for the C library: soft-pilots")
    if model.num_reestimations or any(correction.reestimates for correction in _passes(model)):
        raise ValueError(f"weights: got {receiver.weights!r} with re-estimations; allowed for the C library: none")
    if receiver.num_turbo:
        raise ValueError(f"num_turbo: got {receiver.num_turbo} for the C library; allowed: 0")
    if model.rejects_bursts:
        raise ValueError("reject_bursts: got true for the C library; allowed: false")
    sizes = (
        ("num_channels", num_channels(model), MAX_CHANNELS),
        ("dilations", max(_dilations(model)), MAX_DILATION),
        ("number of dilations", len(_dilations(model)), MAX_BLOCKS),
        ("num_passes", len(model.passes), MAX_PASSES),
    )
    for what, value, most in sizes:
        if not 1 <= value <= most:
            raise ValueError(f"{what}: got {value} for the C library; allowed: 1 to {most}")
    if num_channels(model) % CHANNELS_AT_ONCE:
        raise ValueError(
            f"num_channels: got {num_channels(model)} for the C library; allowed: multiples of {CHANNELS_AT_ONCE}"
        )
    return model


def first_receiver(model: SoftPilotReceiver) -> Blind:
    """The receiver that the first estimate of a model is from."""
    estimator = model.first_estimate
    return Blind(estimator.max_cfo_hz, estimator.num_iterations, demapper=model.detection.demapper)


def network_arrays(
    model: SoftPilotReceiver, num_dmrs_positions: int, bits_per_symbol: int, precision: Precision
) -> dict[str, NDArray]:
    """Weights, sizes and the range of the training, for slots with so many DM-RS symbols (or pairs of them).

    precision: of what the residual blocks multiply.
    """
    shown = model.shown_range
    passes = _passes(model)
    config = [
        num_channels(model),
        len(_dilations(model)),
        len(passes),
        model.node_subcarriers,
        int(num_dmrs_positions >= shown.fewest_dmrs_positions),
        int(precision == "bfloat16"),
    ]
    arrays: dict[str, NDArray] = {
        "network": np.array(config, np.int32),
        "network_range": np.array([10 ** (-shown.snr_db(bits_per_symbol) / 10)]),
        "dilations": np.array(_dilations(model), np.int32),
    }
    for number, correction in enumerate(passes):
        layers: list[nn.Conv2d] = [*_separable(correction.enter)]
        for block in _blocks(correction):
            layers += [*_separable(block.spread), block.over_antennas, block.merge]
        layers.append(correction.leave)
        parts = [part.detach().flatten() for layer in layers for part in (layer.weight, _bias(layer))]
        arrays[f"pass_{number}"] = torch.cat(parts).cpu().numpy().astype(np.float32)
    return arrays


def network_flops(model: SoftPilotReceiver, num_rx_ant: int, num_symbols: int, num_subcarriers: int) -> float:
    """Operations of the networks in a slot of one layer, a multiply-add being two."""
    channels, nodes = num_channels(model), (num_symbols // NODE_SYMBOLS) * (num_subcarriers // model.node_subcarriers)
    taps, features = 15, _passes(model)[0].enter.depthwise.in_channels
    own = 6  # of the features; the others are those of the slot, the same at all antennas
    enter = nodes * (taps * (num_rx_ant * own + features - own) + num_rx_ant * features * channels)
    each = channels * taps + 4 * channels * channels
    block = nodes * (num_rx_ant * each + 2 * channels * channels)
    leave = nodes * num_rx_ant * channels * _passes(model)[0].leave.out_channels
    return 2.0 * len(model.passes) * (enter + len(_dilations(model)) * block + leave)


def num_channels(model: SoftPilotReceiver) -> int:
    """Width of the networks."""
    return _passes(model)[0].enter.pointwise.out_channels


def _passes(model: SoftPilotReceiver) -> list[CoarseCorrection]:
    return [correction for correction in model.passes if isinstance(correction, CoarseCorrection)]


def _blocks(correction: CoarseCorrection) -> list[SharingBlock]:
    return [block for block in correction.blocks if isinstance(block, SharingBlock)]


def _dilations(model: SoftPilotReceiver) -> list[int]:
    return [int(block.spread.depthwise.dilation[1]) for block in _blocks(_passes(model)[0])]


def _separable(layer: Separable) -> tuple[nn.Conv2d, nn.Conv2d]:
    return layer.depthwise, layer.pointwise


def _bias(layer: nn.Conv2d) -> torch.Tensor:
    if layer.bias is None:
        raise ValueError("weights: got a convolution without bias; allowed: those of soft-pilots")
    return layer.bias
