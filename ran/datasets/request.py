"""What is asked of `ran data`: how many drops of an experiment, at which SNR, and what to keep of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ran.datasets.splits import SplitShares
from ran.errors import InputError
from ran.link.streams import stream
from ran.phy.config import Config
from ran.sim.experiment import EsN0Db, Experiment
from ran.sim.identity import SIMULATION_VERSION, digest, physics

Kind = Literal["slots", "channels"]
Precision = Literal["complex64", "complex-float16"]


class SnrInterval(Config):
    """Es/N0 drawn uniformly for every drop, in dB."""

    low: EsN0Db
    high: EsN0Db

    @model_validator(mode="after")
    def _goes_up(self) -> SnrInterval:
        if self.high < self.low:
            raise ValueError(f"got {self.low:g}:{self.high:g}; allowed: LOW:HIGH with LOW at most HIGH")
        return self


class DataRequest(Config):
    """What a data set holds.

    kind: `slots` (received grids with what they carried) or `channels` (responses on the grid).
    num_drops: slots in all; drop d is at the experiment's SNR point number d modulo the number of points.
    esn0_db: an interval to draw from instead of the experiment's points.
    with_channel: keep the channel of slots too.
    precision: of complex numbers. chunk_drops: drops written, hashed and repeated together.
    """

    kind: Kind = "slots"
    num_drops: Annotated[int, Field(ge=1, le=10**8)]
    esn0_db: SnrInterval | None = None
    with_channel: bool = True
    precision: Precision = "complex64"
    split: SplitShares = SplitShares()
    chunk_drops: Annotated[int, Field(ge=1, le=10**6)] | None = None


def stream_id(experiment: Experiment) -> str:
    """Scenario under which the random numbers of a data set are keyed.

    Not one of `ran sim`: what is trained on a data set is never tested on the draws it has seen. The SNR does not
    enter: a drop has the same bits, channel and noise numbers at any SNR.
    """
    return f"data/{digest(physics(experiment))}"


def drop_esn0_db(experiment: Experiment, request: DataRequest) -> NDArray[np.float64]:
    """Es/N0 of every drop in dB, or with a link budget its transmit power in dBm, float64 [num_drops].

    InputError where the experiment leaves its points open.
    """
    if request.esn0_db is not None and experiment.link_budget is not None:
        raise InputError(
            f"--esn0-db: got {request.esn0_db.low:g}:{request.esn0_db.high:g} with link_budget, from which Es/N0 "
            "follows; allowed: none, and transmit powers by --set link_budget.tx_power_dbm=[20,23]"
        )
    if request.esn0_db is not None:
        low, high = request.esn0_db.low, request.esn0_db.high
        scenario = stream_id(experiment)
        drops = range(request.num_drops)
        return np.array([stream(experiment.seed, scenario, drop, "esn0_db").uniform(low, high) for drop in drops])
    if experiment.snr_search is not None or experiment.requirement is not None:
        raise InputError(
            "esn0_db: got points that are chosen during a run; allowed: --esn0-db LOW:HIGH, or points by "
            "--set esn0_db=[0,5]"
        )
    points = np.array(experiment.snr_grid)
    return points[np.arange(request.num_drops) % len(points)]


def data_identity(experiment: Experiment, request: DataRequest, chunk_drops: int) -> dict[str, Any]:
    """What two commands must share to write the same file: all that decides its numbers and its layout."""
    asked = request.model_dump(mode="json")
    if request.esn0_db is None:
        asked["esn0_db" if experiment.link_budget is None else "tx_power_dbm"] = list(experiment.snr_grid)
    asked["chunk_drops"] = chunk_drops
    return {
        "physics": physics(experiment),
        "seed": experiment.seed,
        "simulation_version": SIMULATION_VERSION,
        **asked,
    }
