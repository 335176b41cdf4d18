"""How many beams to try: as many as it takes to be sure enough."""

from __future__ import annotations

from torch import Tensor

from receivers.beams.interface import BeamPrediction
from receivers.errors import bad_value


def beams_to_try(prediction: BeamPrediction, level: float, most: int | None = None) -> Tensor:
    """Smallest number of beams, most probable first, whose probabilities sum up to `level`.

    int64 [batch, num_horizon]. most: upper limit, by default all of Set A. `ValueError` for a level that is no
    probability between 0 and 1 and for more beams than Set A has.
    """
    num_set_a = prediction.log_probability.shape[-1]
    if not 0 < level < 1:
        raise bad_value("level", level, "a probability between 0 and 1")
    if most is not None and not 1 <= most <= num_set_a:
        raise bad_value("most", most, f"1 to {num_set_a}, the beams of Set A")
    ordered = prediction.log_probability.double().exp().sort(dim=-1, descending=True).values
    enough = (ordered.cumsum(-1) < level).sum(-1) + 1
    return enough.clamp(max=num_set_a if most is None else most)
