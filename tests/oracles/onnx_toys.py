"""Small receivers written by hand for the contracts of other stacks, and saved as ONNX files."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


def sixteen_qam_llr(x: Tensor, y: Tensor) -> Tensor:
    """LLRs of a 16QAM symbol whose levels are +-0.5 and +-1.5 (TS 38.211 §5.1.4), stacked first."""
    return torch.stack([x, y, 1 - x.abs(), 1 - y.abs()])


class NeuralRxToy(nn.Module):
    """Mean of the LS estimates over time, one per pair of subcarriers; maximum-ratio combining; 16QAM; one layer.

    joined: the tensors of `oai-nrx`, otherwise of `aerial-nrx`. frequency_major: reads the pilots in that order.
    inverted: positive LLRs for bit 1. swapped: the axes' bits change places.
    """

    def __init__(self, joined: bool, frequency_major: bool = False, inverted: bool = False, swapped: bool = False):
        super().__init__()
        self.joined, self.frequency_major = joined, frequency_major
        self.sign, self.swapped = (-8.0 if inverted else 8.0), swapped

    def forward(self, *inputs: Tensor) -> Tensor:
        if self.joined:
            slot, h_hat, ports, pos, sub = inputs
            y_re, y_im, h_re, h_im = slot[..., 0], slot[..., 1], h_hat[..., 0], h_hat[..., 1]
        else:
            y_re, y_im, h_re, h_im, ports, pos, sub = inputs
        h_re, h_im = (self._per_subcarrier(h, pos.shape[1]) for h in (h_re, h_im))
        gain = (h_re**2 + h_im**2).sum(-1)
        # y [1, subcarrier, symbol, rx] against h [subcarrier, 1, rx]
        x_re = (h_re * y_re[0] + h_im * y_im[0]).sum(-1) / gain * (10**0.5 / 2)
        x_im = (h_re * y_im[0] - h_im * y_re[0]).sum(-1) / gain * (10**0.5 / 2)
        used = ports.sum() + 0.0 * (pos.sum() + sub.sum())
        llr = sixteen_qam_llr(x_im, x_re) if self.swapped else sixteen_qam_llr(x_re, x_im)
        return (self.sign * used * llr)[None, :, None]

    def _per_subcarrier(self, h: Tensor, num_symbols: int) -> Tensor:
        if self.frequency_major:
            mean = h[0, :, 0].reshape(-1, num_symbols, h.shape[-1]).mean(1)
        else:
            mean = h[0, :, 0].reshape(num_symbols, -1, h.shape[-1]).mean(0)
        return mean[:, None].expand(-1, 2, -1).reshape(-1, 1, h.shape[-1])


class DemapperToy(nn.Module):
    def forward(self, y: Tensor) -> Tensor:
        return 8.0 * sixteen_qam_llr(y[:, 0].float(), y[:, 1].float()).T


def write(model: nn.Module, inputs: dict[str, Tensor], open_axes: dict[str, dict[int, str]], file: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            tuple(inputs.values()),
            str(file),
            input_names=list(inputs),
            output_names=["output_1"],
            dynamic_axes=open_axes,
            dynamo=False,
            opset_version=17,
        )
    return str(file)


def write_aerial(file: Path, num_prb: int = 4, num_rx: int = 4, num_symbols: int = 14, **how: bool) -> str:
    """An `aerial-nrx` file for two DM-RS symbols with subcarriers and pilots left open."""
    k, n = 12 * num_prb, 12 * num_prb
    inputs = {name: torch.randn(1, k, num_symbols, num_rx) for name in ("rx_slot_real", "rx_slot_imag")}
    inputs |= {name: torch.randn(1, n, 1, num_rx) for name in ("h_hat_real", "h_hat_imag")}
    inputs |= {"active_dmrs_ports": torch.ones(1, 1), "dmrs_ofdm_pos": torch.tensor([[2, 11]], dtype=torch.int32)}
    inputs["dmrs_subcarrier_pos"] = torch.arange(0, 12, 2, dtype=torch.int32)[None]
    axes = {name: {1: "num_subcarriers"} for name in ("rx_slot_real", "rx_slot_imag")}
    axes |= {name: {1: "num_pilots"} for name in ("h_hat_real", "h_hat_imag")}
    return write(NeuralRxToy(False, **how), inputs, axes | {"output_1": {3: "num_subcarriers"}}, file)


def write_oai(file: Path, num_prb: int = 24, num_symbols: int = 14) -> str:
    """An `oai-nrx` file in which every size is fixed."""
    k = 12 * num_prb
    inputs = {"rx_slot": torch.randn(1, k, num_symbols, 1, 2), "h_hat": torch.randn(1, k, 1, 1, 2)}
    inputs |= {"active_dmrs_ports": torch.ones(1, 1), "dmrs_ofdm_pos": torch.tensor([[2, 11]], dtype=torch.int32)}
    inputs["dmrs_subcarrier_pos"] = torch.arange(0, 12, 2, dtype=torch.int32)[None]
    return write(NeuralRxToy(True), inputs, {}, file)


def write_demapper(file: Path) -> str:
    return write(DemapperToy(), {"y": torch.randn(8, 2).half()}, {"y": {0: "n"}, "output_1": {0: "n"}}, file)
