"""Calls of the detection kernels: one pass from the received grid to LLRs on a CPU, compiled when first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from receivers.classical.estimate import ChannelEstimate
from receivers.classical.processor import floats
from receivers.classical.unrolled import detection_source
from receivers.interface import SlotObservation

Kernel = Callable[..., None]


def lmmse_of_estimate(observation: SlotObservation, estimate: ChannelEstimate) -> Tensor:
    """LLRs [batch, num_layers, num_data_re, bits_per_symbol] of LMMSE detection; `runs_compiled` was asked before."""
    return _on_grid(lmmse_kernel(_bits_per_axis(observation)), observation, estimate)


def ep_of_estimate(
    observation: SlotObservation,
    estimate: ChannelEstimate,
    num_iterations: int,
    damping: float,
    prior_llr: Tensor | None = None,
) -> Tensor:
    """The same of expectation propagation, with max-log demapping; see `ExpectationPropagation`."""
    kernel = ep_kernel(_bits_per_axis(observation), prior_llr is not None)
    prior = () if prior_llr is None else (floats(prior_llr.flatten(2)),)
    return _on_grid(kernel, observation, estimate, num_iterations, np.float32(damping), *prior)


def list_of_estimate(observation: SlotObservation, estimate: ChannelEstimate) -> Tensor:
    """The same of `TwoLayerList`, with max-log demapping: two layers of one modulation."""
    return _on_grid(list_kernel(observation.bits_per_symbol // 2), observation, estimate)


def _on_grid(kernel: Kernel, observation: SlotObservation, estimate: ChannelEstimate, *more: Any) -> Tensor:
    num_symbols = observation.data_mask.shape[0]
    batch, num_layers = observation.y.shape[0], observation.num_layers
    every_symbol = torch.eye(num_symbols)
    error, error_over_time = estimate.error_modes, estimate.error_over_time
    if error is None:
        error = torch.empty(batch, num_layers, 0, observation.data_mask.shape[1])
        error_over_time = torch.empty(num_symbols, 0)
    # bits that a layer does not have are not written
    new = torch.zeros if len(observation.modulations) > 1 else torch.empty
    llr = new(batch, num_layers, observation.num_data_re, observation.bits_per_symbol)
    kernel(
        floats(observation.y),
        floats(estimate.modes),
        floats(every_symbol if estimate.over_time is None else estimate.over_time),
        floats(observation.noise_var),
        floats(error),
        floats(every_symbol if error_over_time is None else error_over_time),
        floats(torch.zeros(batch, num_layers) if estimate.error_offset is None else estimate.error_offset),
        observation.data_mask.numpy(),
        np.float32(observation.layer_amplitude),
        *more,
        floats(llr.flatten(2)),
    )
    return llr


def _bits_per_axis(observation: SlotObservation) -> tuple[int, ...]:
    """Half the bits per symbol of every layer."""
    bits_of = {layer: bits for bits, layers in observation.modulations for layer in layers}
    return tuple(bits_of[layer] // 2 for layer in range(observation.num_layers))


@cache
def lmmse_kernel(bits_per_axis: tuple[int, ...]) -> Kernel:
    """The kernel for layers with half as many bits per symbol each, compiled when first called."""
    return _kernel("detect", bits_per_axis, detection_source(bits_per_axis))


@cache
def ep_kernel(bits_per_axis: tuple[int, ...], with_prior: bool) -> Kernel:
    """The same of expectation propagation."""
    from receivers.classical.unrolled_ep import ep_source  # numba takes a while to import

    return _kernel("prior_ep" if with_prior else "ep", bits_per_axis, ep_source(bits_per_axis, with_prior))


@cache
def list_kernel(bits_per_axis: int) -> Kernel:
    """The same of exact detection of two layers."""
    from receivers.classical.unrolled_list import list_source

    return _kernel("list", (bits_per_axis,) * 2, list_source(bits_per_axis))


def _kernel(name: str, bits_per_axis: tuple[int, ...], source: str) -> Kernel:
    from receivers.jit import generated_module  # numba takes a while to import

    sizes = "_".join(str(bits) for bits in sorted(set(bits_per_axis)))
    kernel: Kernel = generated_module(f"{name}_{len(bits_per_axis)}_{sizes}", source).detect
    return kernel
