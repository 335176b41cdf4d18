"""Cost over work: how the time of a slot grows with PRBs, layers and antennas, and what more processes bring."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ran.bench.measure import one_thread
from ran.bench.row import Side
from ran.bench.slot_rows import slot_config
from ran.bench.timing import rate
from ran.config.host import available_cores
from ran.link import Link, LinkConfig
from ran.phy.ldpc import warm_up
from ran.sim.executor import Executor
from ran.sim.experiment import Experiment
from ran.sim.identity import scenario_id
from ran.sim.simulation import Build, build_simulation
from ran.sim.worker import Chunk, Done
from ran.stats import Estimate, quartiles
from receivers import RECEIVERS

_RECEIVER = "ls-linear"
_MCS = 14
#: High enough that every configuration decodes, so that the decoder's iterations hardly differ.
_ESN0_DB = 25.0
#: Deviation from a line up to which a cost counts as linear.
_LINEAR = 0.15
_CHUNK_S = 0.5


@dataclass(frozen=True)
class Axis:
    """Slots per second over one quantity.

    what: the quantity. fixed: what stays the same. values, rates: the quantity and the slots per second there.
    finding: what the curve says, in words. grows: more of the quantity is more work per slot, not more workers.
    """

    what: str
    fixed: str
    values: tuple[int, ...]
    rates: tuple[Estimate, ...]
    finding: str
    grows: bool = True


def measure_scaling(quick: bool = False) -> list[Axis]:
    """All four axes; about half a minute, or a few seconds with `quick`."""
    rounds, seconds = (1, 0.05) if quick else (3, 0.4)
    prbs = (4, 12, 24) if quick else (4, 12, 24, 51, 106, 273)
    base = 12 if quick else 51
    antennas = (2, 4, 8) if quick else (2, 4, 8, 16, 32)
    layers = (1, 2, 4)
    axes = [
        _axis("PRBs", "1 layer, 4 Rx", prbs, lambda n: slot_config(n, _MCS, 4), _WHY_PRB, rounds, seconds),
        _axis(
            "layers", f"{base} PRB, 8 Rx", layers, lambda n: slot_config(base, _MCS, 8, n), _WHY_LAYERS, rounds, seconds
        ),
        _axis(
            "receive antennas",
            f"{base} PRB, 1 layer",
            antennas,
            lambda n: slot_config(base, _MCS, n),
            "",
            rounds,
            seconds,
        ),
    ]
    return [*axes, worker_axis(workers_to_try(available_cores()), base, 1.0 if quick else 4.0)]


_WHY_PRB = "small slots pay what every slot costs, whatever its size, and large ones leave the caches"
_WHY_LAYERS = "equalisation grows with the square and the cube of the layers, everything else in proportion"


def _axis(
    what: str,
    fixed: str,
    values: tuple[int, ...],
    config: Callable[[int], LinkConfig],
    why: str,
    rounds: int,
    seconds: float,
) -> Axis:
    warm_up()
    with one_thread():
        sides = [_side(config(value)) for value in values]
        for side in sides:
            side.run()
        rates = [[rate(side, seconds) for side in sides] for _ in range(rounds)]
    spreads = tuple(quartiles(found) for found in zip(*rates, strict=True))
    finding = describe_cost(what, values, [1 / spread.known for spread in spreads], why)
    return Axis(what, f"{fixed}, MCS {_MCS}", values, spreads, finding)


def _side(config: LinkConfig) -> Side:
    link, receiver = Link(config), RECEIVERS[_RECEIVER]()
    size = link.batch_drops
    return Side(lambda: link.simulate({_RECEIVER: receiver}, range(size), _ESN0_DB, 1, "scaling"), size, "")


def describe_cost(what: str, values: Sequence[int], seconds: Sequence[float], why: str = "") -> str:
    """Fit a line to seconds per slot and say how well it holds; where it does not, how the cost grows, and why."""
    x, y = np.asarray(values, float), np.asarray(seconds, float)
    # relative deviations count: every row is divided by its measured value
    design = np.column_stack([np.ones_like(x), x]) / y[:, None]
    (fixed, slope), *_ = np.linalg.lstsq(design, np.ones_like(y), rcond=None)
    deviation = float(np.abs(design @ [fixed, slope] - 1).max())
    one = what.removesuffix("s")
    line = f"{1e3 * fixed:.3g} ms {'+' if slope >= 0 else '-'} {1e3 * abs(slope):.3g} ms per {one}"
    if deviation <= _LINEAR:
        return f"linear: {line} a slot, within {100 * deviation:.0f} %"
    exponent = np.log(y[-1] / y[-2]) / np.log(x[-1] / x[-2])
    reason = f"; {why}" if why else ""
    grows = f"at the upper end the cost grows as {one}^{exponent:.2f}"
    return f"not a line (off by up to {100 * deviation:.0f} %): {grows}{reason}"


def workers_to_try(cores: int) -> tuple[int, ...]:
    """1, 2, 4, ... and all cores."""
    powers = [2**i for i in range(cores.bit_length()) if 2**i <= cores]
    return tuple(sorted({*powers, cores}))


def worker_axis(counts: tuple[int, ...], num_prb: int, seconds: float, build: Build = build_simulation) -> Axis:
    """Slots per second of the worker processes that `ran sim` uses, each on one thread."""
    config = slot_config(num_prb, _MCS, 4)
    experiment = Experiment.model_validate(
        {
            "name": "scaling",
            "carrier": config.carrier,
            "pusch": config.pusch,
            "num_rx_ant": config.num_rx_ant,
            "channel": config.channel,
            "receivers": [_RECEIVER],
            "esn0_db": [_ESN0_DB],
        }
    )
    rates = tuple(quartiles([_slots_per_s(experiment, build, count, seconds)]) for count in counts)
    gain = rates[-1].known / rates[0].known
    finding = f"{counts[-1]} processes do {gain:.2f} times the work of one"
    if gain < (1 - _LINEAR) * counts[-1]:
        finding += "; cores share memory, caches and clock, and whatever else runs here takes its share"
    return Axis("worker processes", f"{num_prb} PRB, 1 layer, 4 Rx, MCS {_MCS}", counts, rates, finding, grows=False)


def _slots_per_s(experiment: Experiment, build: Build, workers: int, seconds: float) -> float:
    """Slots that `workers` processes finish in about `seconds`, after each has finished one batch."""
    link = build(experiment).link
    batch = link.batch_drops
    identity = scenario_id(experiment, _ESN0_DB)
    receivers = (experiment.receivers[0].title,)
    next_drop = 0

    def chunk(batches: int) -> Chunk:
        nonlocal next_drop
        drops = range(next_drop, next_drop + batches * batch)
        next_drop = drops.stop
        return Chunk(_ESN0_DB, identity, drops, receivers)

    with Executor(experiment, build, workers) as executor:
        executor_is_warm = 0
        fastest = 0.0
        for _ in range(workers):
            executor.submit(chunk(1))
        while executor_is_warm < workers:
            for _, answer in executor.wait(None):
                executor_is_warm += isinstance(answer, Done)
        # a second batch tells how long one takes once everything is loaded
        executor.submit(chunk(1))
        for _, answer in executor.wait(None):
            fastest = answer.seconds if isinstance(answer, Done) else seconds
        batches = max(1, round(_CHUNK_S / max(fastest, 1e-4)))
        done, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds or not done:
            while executor.idle and passed < seconds:
                executor.submit(chunk(batches))
            for finished, _ in executor.wait(None):
                done += len(finished.drops)
        while executor.in_flight:
            for finished, _ in executor.wait(None):
                done += len(finished.drops)
        return done / (time.perf_counter() - started)
