"""The contract of exported beam predictors, and a trained one as a module that keeps it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from receivers.beams import BeamObservation, NeuralBeams
from receivers.onnx.contract import Contract, TensorSpec

_MEASURED = ("batch", "num_times", "num_measured")
_PREDICTED = ("batch", "num_horizon", "num_set_a")

BEAMS = Contract(
    name="beams",
    version=1,
    description="Measured L1-RSRP of some beams to L1-RSRP and probability of all of Set A; codebooks are in the file",
    inputs=(
        TensorSpec("rsrp_dbm", "float32", _MEASURED, "measured L1-RSRP as reported, latest time last"),
        TensorSpec("measured", "int32", _MEASURED, "which beams these are, entries of the file's measured codebook"),
        TensorSpec("times_s", "float32", ("num_times",), "when they were measured, ascending, 0 for the latest"),
        TensorSpec("horizon_s", "float32", ("num_horizon",), "for when beams are predicted, 0 for now"),
        TensorSpec("noise_dbm", "float32", (), "power of the noise of a measurement"),
    ),
    outputs=(
        TensorSpec("predicted_dbm", "float32", _PREDICTED, "predicted L1-RSRP"),
        TensorSpec("log_probability", "float32", _PREDICTED, "natural logarithm of being the best of Set A"),
    ),
    valid_res="none, it has no LLRs",
)


class BeamGraph(nn.Module):
    """A trained predictor for the codebooks of an observation, with the contract's inputs and outputs."""

    def __init__(self, predictor: NeuralBeams, like: BeamObservation) -> None:
        super().__init__()
        predictor.check(like)
        self.model = predictor.model
        self.tables: Any = predictor.model.tables(like)  # type: ignore[operator]

    def forward(
        self, rsrp_dbm: Tensor, measured: Tensor, times_s: Tensor, horizon_s: Tensor, noise_dbm: Tensor
    ) -> tuple[Tensor, Tensor]:
        found = self.model.predict(rsrp_dbm, measured.long(), times_s, horizon_s, noise_dbm, self.tables)  # type: ignore[operator]
        return found.rsrp_dbm, found.log_probability


def inputs_of(observation: BeamObservation) -> tuple[Tensor, ...]:
    """What a file is fed, in the contract's order."""
    o = observation
    noise = o.rsrp_dbm.new_tensor(o.noise_dbm)
    return o.rsrp_dbm, o.measured.int(), o.times_s.float(), o.horizon_s.float(), noise
