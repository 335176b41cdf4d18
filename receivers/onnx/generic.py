"""Models of the `generic` contract: whole grids in, LLRs on the whole grid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.linear import interpolate_linear
from receivers.classical.lmmse import WienerInterpolator
from receivers.files import parse_json
from receivers.interface import SlotObservation
from receivers.neural.hybrid import PRIOR_MARGIN
from receivers.onnx.model import RunsModel

#: Key of the file's metadata that names the first estimate, and its values.
FIRST_ESTIMATE = "first_estimate"
#: Metadata of files that fall back where a slot has few DM-RS positions; PT-RS would count among them.
COUNTS_POSITIONS = "counts_dmrs_positions"
#: Channel coefficients that are handed to a model at once, at most (but always one slot).
_COEFFICIENTS_AT_ONCE = 2**19


class GenericModel:
    """Feeds a model of the `generic` contract."""

    def __init__(self, model: RunsModel, sizes: dict[str, int]) -> None:
        self._model = model
        self._sizes = sizes
        self._counts_positions = COUNTS_POSITIONS in model.metadata
        self._estimate = FirstEstimate(model.metadata.get(FIRST_ESTIMATE, '{"name": "ls-linear"}'))

    def check(self, observation: SlotObservation) -> None:
        """`ValueError` for slots of a kind that the file does not take."""
        if observation.transform_precoding:
            raise ValueError("got transform precoding; allowed: CP-OFDM")
        symbols = list(observation.layout.symbols)
        elsewhere = observation.pilots.abs().sum((0, 2)) > 0
        elsewhere[symbols] = False
        if self._estimate.is_blind and bool(elsewhere.any()):
            raise ValueError("got PT-RS; allowed: slots without, for files whose first estimate is blind")
        if self._counts_positions and bool(elsewhere.any()):
            raise ValueError("got PT-RS; allowed: slots without, for files that count the DM-RS positions of a slot")
        num_symbols, num_subcarriers = observation.data_mask.shape
        check_sizes(
            self._sizes,
            {
                "num_rx_ant": observation.y.shape[1],
                "num_layers": observation.num_layers,
                "num_symbols": num_symbols,
                "num_subcarriers": num_subcarriers,
                "bits_per_symbol": observation.bits_per_symbol,
            },
        )

    def __call__(self, observation: SlotObservation) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] float32."""
        batch, num_rx_ant, *grid = observation.y.shape
        per_slot = num_rx_ant * observation.num_layers * grid[0] * grid[1]
        step = self._sizes.get("batch", max(1, _COEFFICIENTS_AT_ONCE // per_slot))
        if batch % step and "batch" in self._sizes:
            raise ValueError(f"got a batch of {batch} slots; allowed: a multiple of {step}, which the file fixes")
        parts = [self._llr(observation.part(i, min(i + step, batch))) for i in range(0, batch, step)]
        return torch.cat(parts)

    def _llr(self, observation: SlotObservation) -> Tensor:
        names = {tensor.name for tensor in self._model.inputs}
        feeds: dict[str, NDArray] = {
            "y": pairs(observation.y),
            "pilots": pairs(observation.pilots),
            "data_mask": observation.data_mask.cpu().numpy().astype(np.float32),
            "noise_var": observation.noise_var.cpu().numpy(),
            "symbol_times_ms": (observation.symbol_times_s.cpu().numpy() * 1e3).astype(np.float32),
            "layer_amplitude": np.array(observation.layer_amplitude, np.float32),
        }
        if names & {"h_hat", "err_var"}:
            h_hat, err_var, noise_var = self._estimate(observation)
            estimated = {"h_hat": pairs(h_hat), "err_var": err_var.cpu().numpy(), "noise_var": noise_var.cpu().numpy()}
            feeds |= estimated
        (on_grid,) = self._model.run(feeds, ["llr"])
        expected = (
            len(observation.y),
            observation.num_layers,
            *observation.data_mask.shape,
            observation.bits_per_symbol,
        )
        if on_grid.shape != expected:
            raise ValueError(f"output 'llr' is {list(on_grid.shape)}; allowed: {list(expected)}")
        llr = torch.from_numpy(on_grid).to(observation.y.device)
        return llr.flatten(2, 3)[:, :, observation.data_mask.flatten()]


class FirstEstimate:
    """The channel estimator that a file's metadata ask for: `{"name": "ls-linear"}`; `{"name": "lmmse",
    "delay_spread_ns": ..., "max_doppler_hz": ...}` (exponential power delay profile, Jakes spectrum); or
    `{"name": "blind", "max_cfo_hz": ...}`, which also measures the noise.

    `ValueError` for other texts.
    """

    def __init__(self, text: str) -> None:
        self._blind: BlindEstimator | None = None
        self._plain: Callable[[SlotObservation], tuple[Tensor, Tensor]] = interpolate_linear
        try:
            asked: dict[str, Any] = parse_json(text)
            name = asked["name"]
            if name == "lmmse":
                tau, doppler = float(asked["delay_spread_ns"]) * 1e-9, float(asked["max_doppler_hz"])
                self._plain = WienerInterpolator(tau, doppler, PRIOR_MARGIN)
            elif name == "blind":
                self._blind = BlindEstimator(float(asked["max_cfo_hz"]))
            if name in ("ls-linear", "lmmse", "blind"):
                return
        except (ValueError, KeyError, TypeError):
            pass
        raise ValueError(
            f"metadata {FIRST_ESTIMATE}: got {text!r}; allowed: ls-linear, lmmse or blind with its numbers"
        )

    @property
    def is_blind(self) -> bool:
        return self._blind is not None

    def __call__(self, observation: SlotObservation) -> tuple[Tensor, Tensor, Tensor]:
        """Channel, error variance and noise variance [batch]."""
        if self._blind is None:
            return *self._plain(observation), observation.noise_var
        found = self._blind(observation)
        return found.h_hat, found.err_var, found.noise_var


def pairs(values: Tensor) -> NDArray[np.float32]:
    """Complex numbers with their parts along a last axis."""
    parts: NDArray[np.float32] = torch.view_as_real(values.resolve_conj()).cpu().numpy()
    return parts


def check_sizes(fixed: dict[str, int], needed: dict[str, int]) -> None:
    """`ValueError` for the first size that the file fixes to something else."""
    for name, size in needed.items():
        if fixed.get(name, size) != size:
            raise ValueError(f"got {name} {size}; allowed: {fixed[name]}, which the file fixes")
