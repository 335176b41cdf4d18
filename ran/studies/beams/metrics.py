"""What a prediction was worth (TR 38.843 §6.3.1, Rel-18), with intervals whose independent unit is the drop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ran.stats import Estimate, bootstrap_percentile, grouped_wilson, normal_mean

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of every prediction; first axis the drop, then decisions and times of the horizon.

    rank int64 [num_drops, ...]: place of the truly best entry in the prediction, 0 for the first. loss_db float64
    [num_drops, ..., num_k]: by how much the beam that was chosen after trying the first K is below the best; K = 1 is
    the prediction itself. chosen_dbm, same shape: its true L1-RSRP. best_dbm [num_drops, ...]. confidence [num_drops,
    ...]: probability that was given to the first. predicted_dbm [num_drops, ...]: of the first. adaptive_k [num_drops,
    ...]: least K whose probabilities add up to what was asked for, adaptive_hit whether the best is among these.
    """

    top_k: tuple[int, ...]
    rank: NDArray[np.int64]
    loss_db: Array
    chosen_dbm: Array
    best_dbm: Array
    confidence: Array
    predicted_dbm: Array
    adaptive_k: NDArray[np.int64]
    adaptive_hit: NDArray[np.bool_]

    @property
    def num_drops(self) -> int:
        return len(self.rank)

    def of_k(self, k: int) -> int:
        """Place of K in the last axis."""
        return self.top_k.index(k)


def outcomes_of(
    log_probability: Array, predicted_dbm: Array, true_dbm: Array, measured_dbm: Array, top_k: tuple[int, ...],
    confidence: float,
) -> Outcomes:  # fmt: skip
    """Outcomes of predictions [num_drops, ..., num_set_a].

    true_dbm: of all entries. measured_dbm: what measuring them again when they are used would report; by it the best of
    K is chosen. top_k: ascending, 1 is put in front. confidence: that adaptive_k asks for.
    """
    ks = tuple(sorted({1, *top_k}))
    order = np.argsort(-log_probability, -1, kind="stable")
    best = true_dbm.argmax(-1)
    rank = (order == best[..., None]).argmax(-1)
    first = order[..., : ks[-1]]
    tried = np.take_along_axis(measured_dbm, first, -1)
    true_tried = np.take_along_axis(true_dbm, first, -1)
    chosen = []
    for k in ks:
        place = tried[..., :k].argmax(-1) if k > 1 else np.zeros(rank.shape, np.int64)
        chosen.append(np.take_along_axis(true_tried, place[..., None], -1)[..., 0])
    chosen_dbm = np.stack(chosen, -1).astype(np.float64)
    best_dbm = true_dbm.max(-1).astype(np.float64)
    probability = np.exp(np.take_along_axis(log_probability, order, -1).astype(np.float64))
    enough = np.cumsum(probability, -1) >= confidence - 1e-9
    adaptive = np.where(enough.any(-1), enough.argmax(-1) + 1, enough.shape[-1])
    return Outcomes(
        top_k=ks,
        rank=rank,
        loss_db=best_dbm[..., None] - chosen_dbm,
        chosen_dbm=chosen_dbm,
        best_dbm=best_dbm,
        confidence=probability[..., 0],
        predicted_dbm=np.take_along_axis(predicted_dbm, order[..., :1], -1)[..., 0].astype(np.float64),
        adaptive_k=adaptive,
        adaptive_hit=rank < adaptive,
    )


def share(happened: NDArray[np.bool_]) -> Estimate:
    """Share of true values, [num_drops, ...], with the drop as the independent unit."""
    flat = happened.reshape(len(happened), -1)
    return grouped_wilson(flat.sum(1), flat.shape[1])


def mean(values: Array) -> Estimate:
    """Mean of values [num_drops, ...], with the drop as the independent unit."""
    return normal_mean(values.reshape(len(values), -1).mean(1))


@dataclass(frozen=True)
class Costs:
    """What measuring costs. symbols_per_period: OFDM symbols between two measurements; symbols_per_beam: of a beam,
    with all receive beams that are tried one after the other; symbol_ms; report_ms: until a report is there."""

    symbols_per_period: float
    symbols_per_beam: float
    symbol_ms: float
    report_ms: float

    def overhead(self, num_beams: float) -> float:
        """Share of the time that so many measured beams take; the whole of it at most."""
        return min(1.0, num_beams * self.symbols_per_beam / self.symbols_per_period)

    def latency_ms(self, num_beams: float, num_rounds: int) -> float:
        """Until the last report is there; each round of measurements waits for the report of the one before."""
        return num_beams * self.symbols_per_beam * self.symbol_ms + num_rounds * self.report_ms


def summary(
    outcomes: Outcomes, within_db: float, rate_mbps: Callable[[Array], Array], noise_dbm: float, failure_snr_db: float,
    generator: np.random.Generator,
) -> dict[str, Estimate]:  # fmt: skip
    """Figures of a predictor without its costs; see the names in `ran.studies.beams.page`."""
    found = {}
    for k in outcomes.top_k:
        found[f"top{k}"] = share(outcomes.rank < k)
        loss = outcomes.loss_db[..., outcomes.of_k(k)]
        found[f"loss_db_k{k}"] = mean(loss)
        found[f"within_k{k}"] = share(loss <= within_db)
        snr = outcomes.chosen_dbm[..., outcomes.of_k(k)] - noise_dbm
        found[f"rate_mbps_k{k}"] = mean(rate_mbps(snr))
        found[f"failure_k{k}"] = share(snr < failure_snr_db)
    loss = outcomes.loss_db[..., 0]
    found["loss_db_p90"] = bootstrap_percentile(loss, 90, generator)
    found["loss_db_p95"] = bootstrap_percentile(loss, 95, generator)
    snr = outcomes.chosen_dbm[..., 0] - noise_dbm
    found["rate_mbps_p5"] = bootstrap_percentile(rate_mbps(snr), 5, generator)
    found["confidence"] = mean(outcomes.confidence)
    found["adaptive_k"] = mean(outcomes.adaptive_k.astype(np.float64))
    found["adaptive_hit"] = share(outcomes.adaptive_hit)
    found["rsrp_error_db"] = mean(outcomes.predicted_dbm - outcomes.chosen_dbm[..., 0])
    return found


def reliability(outcomes: Outcomes, num_bins: int = 10) -> list[dict[str, float]]:
    """How often the first was the best, by the probability that it was given; bins without predictions are absent."""
    hit = (outcomes.rank == 0).reshape(-1)
    given = outcomes.confidence.reshape(-1)
    bins = np.minimum((given * num_bins).astype(np.int64), num_bins - 1)
    return [
        {
            "given": float(given[bins == b].mean()),
            "share": float(hit[bins == b].mean()),
            "count": int((bins == b).sum()),
        }
        for b in range(num_bins)
        if (bins == b).any()
    ]


def rsrp_calibration(outcomes: Outcomes, step_db: float = 5.0) -> list[dict[str, float]]:
    """True against predicted L1-RSRP of the chosen beam, in intervals of the prediction."""
    predicted, true = outcomes.predicted_dbm.reshape(-1), outcomes.chosen_dbm[..., 0].reshape(-1)
    bins = np.floor(predicted / step_db).astype(np.int64)
    return [
        {
            "predicted_dbm": float(predicted[bins == b].mean()),
            "true_dbm": float(true[bins == b].mean()),
            "count": int((bins == b).sum()),
        }
        for b in np.unique(bins)
    ]
