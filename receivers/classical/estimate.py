"""A channel estimate in the form in which it is computed: few functions over frequency, weighted per OFDM symbol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from receivers.interface import SlotObservation


@dataclass(frozen=True)
class ChannelEstimate:
    """h(symbol, k) = sum over modes m of over_time(symbol, m) modes(m, k), and its error variance likewise.

    Interpolators are products of an operation over frequency and one over time, so the full grid need not be written.

    modes [batch, num_rx_ant, num_layers, num_modes, num_subcarriers] complex64.
    over_time [num_ofdm_symbols, num_modes] float32; None means that the modes are the OFDM symbols.
    error_modes [batch, num_layers, num_error_modes, num_subcarriers] float32; None for an estimate without error.
    error_over_time [num_ofdm_symbols, num_error_modes] float32; None as for `over_time`.
    error_offset [batch, num_layers] float32: constant part of the error variance; None for 0. A negative sum counts
        as 0.
    """

    modes: Tensor
    over_time: Tensor | None = None
    error_modes: Tensor | None = None
    error_over_time: Tensor | None = None
    error_offset: Tensor | None = None

    def channel(self, symbols: slice = slice(None)) -> Tensor:
        """Complex64 [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers], or some of the symbols."""
        if self.over_time is None:
            return self.modes[..., symbols, :]
        return torch.einsum("sm,brlmk->brlsk", self.over_time[symbols].to(self.modes.dtype), self.modes)

    def error(self, symbols: slice = slice(None)) -> Tensor | None:
        """Float32 [batch, num_layers, num_ofdm_symbols, num_subcarriers], or some of the symbols."""
        if self.error_modes is None:
            return None
        if self.error_over_time is None:
            error = self.error_modes[..., symbols, :]
        else:
            error = torch.einsum("sm,blmk->blsk", self.error_over_time[symbols], self.error_modes)
        offset = 0.0 if self.error_offset is None else self.error_offset[..., None, None]
        return (offset + error).clamp_min(0)

    def select(self, slots: Tensor) -> ChannelEstimate:
        """Of the slots at these places of the batch, int64 [n]."""
        return replace(
            self,
            modes=self.modes[slots],
            error_modes=None if self.error_modes is None else self.error_modes[slots],
            error_offset=None if self.error_offset is None else self.error_offset[slots],
        )

    def on_grid(self) -> tuple[Tensor, Tensor]:
        """`channel` and `error` of all symbols; an estimate without error has error 0."""
        h, error = self.channel(), self.error()
        return h, torch.zeros_like(h[:, 0].real) if error is None else error


def estimate_bundles(
    estimate: Callable[[SlotObservation], ChannelEstimate], observation: SlotObservation
) -> ChannelEstimate:
    """An estimator on every bundle of subcarriers by itself, the results side by side.

    What the estimator does over time must not depend on the bundle, nor the constant part of its error.
    """
    parts = [estimate(bundle) for bundle in observation.bundles()]
    if len(parts) == 1:
        return parts[0]
    errors = [part.error_modes for part in parts if part.error_modes is not None]
    return replace(
        parts[0],
        modes=torch.cat([part.modes for part in parts], dim=-1),
        error_modes=torch.cat(errors, dim=-1) if errors else None,
    )
