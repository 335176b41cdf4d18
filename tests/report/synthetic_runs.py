"""Runs with a known truth: the BLER of every receiver is a logistic function of Es/N0 around a known centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit

from ran.phy.config import Carrier
from ran.sim.experiment import Experiment
from ran.sim.results import PointResult, RunResults
from ran.stats import Estimate

SLOPE_PER_DB = 2.2
BITS_PER_BLOCK = 8456


def true_crossing_db(centre_db: float, target_bler: float) -> float:
    """Es/N0 at which the logistic BLER is `target_bler`."""
    return centre_db - float(logit(target_bler)) / SLOPE_PER_DB


def point(receiver: str, esn0_db: float, block_errors_per_drop: np.ndarray, blocks_per_drop: int = 1) -> PointResult:
    """A point as the driver makes it; the interval is Wilson's over drops, all that a picture needs."""
    drops = len(block_errors_per_drop)
    errors, blocks = int(block_errors_per_drop.sum()), drops * blocks_per_drop
    bler = errors / blocks
    z = 1.96
    centre = (bler + z**2 / (2 * drops)) / (1 + z**2 / drops)
    half = z / (1 + z**2 / drops) * np.sqrt(bler * (1 - bler) / drops + z**2 / (4 * drops**2))
    return PointResult(
        receiver=receiver,
        esn0_db=esn0_db,
        drops=drops,
        slots=drops,
        blocks=blocks,
        block_errors=errors,
        error_rate=Estimate(
            bler, 0.0 if errors == 0 else float(centre - half), 1.0 if errors == blocks else float(centre + half)
        ),
        bit_errors=int(0.07 * BITS_PER_BLOCK * errors),
        bits=BITS_PER_BLOCK * blocks,
        throughput_mbps=BITS_PER_BLOCK * (blocks - errors) / (drops * Carrier(num_prb=24).slot_duration_s) / 1e6,
        block_errors_per_drop=block_errors_per_drop.astype(np.int64),
    )


def run(
    centres_db: Mapping[str, float],
    esn0_db: Sequence[float],
    drops: int,
    generator: np.random.Generator,
    *,
    genies: Sequence[str] = (),
    blocks_per_drop: int = 1,
    shared: bool = True,
    min_bler: float = 0.0,
    min_block_errors: int | None = None,
    **settings: Any,
) -> RunResults:
    """A run of receivers with the given centres.

    shared: the receivers meet the same drops, as in a real run (a drop fails where one uniform number per drop and SNR
    is below the BLER); otherwise each has its own. Blocks of one drop always fail together.
    min_bler: no further points of a receiver after one below it. min_block_errors: a point stops after so many.
    """
    luck = {snr: generator.random(drops) for snr in esn0_db}
    points = []
    for receiver, centre in centres_db.items():
        for snr in esn0_db:
            own = luck[snr] if shared else generator.random(drops)
            fails = own < expit(-SLOPE_PER_DB * (snr - centre))
            if min_block_errors is not None:
                reached = np.flatnonzero(np.cumsum(fails) * blocks_per_drop >= min_block_errors)
                fails = fails[: reached[0] + 1] if len(reached) else fails
            points.append(point(receiver, snr, fails * blocks_per_drop, blocks_per_drop))
            if points[-1].bler < min_bler:
                break
    return RunResults(
        experiment=Experiment.model_validate(
            {
                "name": "synthetic",
                "description": "Logistic waterfalls of known centre.",
                "carrier": {"num_prb": 24},
                "channel": {"name": "tdl", "profile": "TDLB100", "max_doppler_hz": 400.0},
                "receivers": [{"name": "synthetic", "label": receiver} for receiver in centres_db],
                "esn0_db": tuple(esn0_db),
                **settings,
            }
        ),
        points=tuple(points),
        genie_receivers=frozenset(genies),
        blocks_per_drop=blocks_per_drop,
        meta={"version": "0.1.0", "commit": "0123abc", "scenario_id": "5e" * 32, "wall_time": "71 s"},
    )
