"""Are the beams of a data set what its experiment gives? For `ran data verify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ran.config.validation import validate
from ran.counted import counted
from ran.datasets.container import Container
from ran.studies.beams.data import build_header, chunk_values
from ran.studies.beams.experiment import BeamExperiment
from ran.studies.beams.report import DIFFERENTIAL_STEP_DB, DIFFERENTIAL_STEPS, HIGHEST_DBM, LOWEST_DBM, STEP_DB
from ran.studies.beams.world import WORLD_VERSION, BeamWorld

#: Largest difference in dB, or m, that rounding explains: other processors add in another order.
_ROUNDING = 0.01
#: Share of reports that such a difference may lift over the edge of a step, and by how much then, dB.
_MOVED_SHARE, _MOVED_DB = 1e-3, 2 * DIFFERENTIAL_STEP_DB
#: Reported values, dBm: middles of the intervals of TS 38.133 tables 10.1.6.1-1 and 10.1.6.1-2.
_HIGHEST = HIGHEST_DBM + STEP_DB / 2
_LOWEST = LOWEST_DBM - STEP_DB / 2 - DIFFERENTIAL_STEP_DB * (DIFFERENTIAL_STEPS - 0.5)


def repeat_beams(container: Container, chunks: list[int], say: Callable[[str], None]) -> tuple[list[str], str]:
    """Problems, and what was checked: ranges of all values, the head, and drops of `chunks` simulated again."""
    header, path = container.header, container.path
    experiment = validate(BeamExperiment, header.json("experiment"), str(path))
    world = BeamWorld(experiment)
    problems = _range_problems(container, world)
    version = header.json("identity")["version"]
    if version != WORLD_VERSION:
        return problems, f"ranges checked; not repeated: version {version} of the drops there, {WORLD_VERSION} here"
    request = header.json("request")
    first, second, third = request["split"]
    expected = build_header(world, request["num_drops"], (first, second, third))
    if [field.name for field in expected.fields] != [field.name for field in header.fields]:
        return [*problems, f"{path}: fields are not what the experiment gives"], "ranges"
    for name, table in expected.tables.items():
        stored = header.tables.get(name)
        same = stored is not None and stored.array.shape == table.array.shape
        if stored is None or not same or not np.allclose(stored.array, table.array, rtol=0, atol=1e-5):
            problems.append(f"{path}: {name} is not what the experiment gives")
    worst, drops = 0.0, 0
    for chunk in chunks:
        say(f"simulating chunk {chunk} again")
        span, again = header.chunk(chunk), chunk_values(world, header, chunk)
        drops += len(span)
        stored_values = {field.name: container.read(field, span.start, span.stop) for field in header.fields}
        worst = max(worst, float(np.abs(stored_values["true_dbm"] - again["true_dbm"]).max()))
        problems += [
            f"{path}: {name} of drops {span.start} to {span.stop - 1} is not what the experiment gives"
            for name in _different(stored_values, again, experiment.radio.quantised)
        ]
    return (
        problems,
        f"simulated again: {counted(drops, 'drop')} of {counted(len(chunks), 'chunk')}, "
        f"true powers equal within {worst:.2g} dB",
    )


def _different(stored: Mapping[str, NDArray], again: Mapping[str, NDArray], quantised: bool) -> list[str]:
    """Names of fields whose values rounding does not explain."""
    found = []
    for name, values in again.items():
        off = np.abs(stored[name].astype(np.float64) - values)
        if name == "measured_dbm" and quantised:
            fine = (off > _ROUNDING).mean() <= _MOVED_SHARE and off.max() <= _MOVED_DB
        elif name == "measured":
            fine = not off.any()
        else:
            # not a number is never within
            fine = bool((off <= _ROUNDING).all())
        if not fine:
            found.append(name)
    return found


def _range_problems(container: Container, world: BeamWorld) -> list[str]:
    """Values that no measurement can have, chunk by chunk."""
    header, path, experiment = container.header, container.path, world.experiment
    fields = {field.name: field for field in header.fields}
    beams = experiment.set_b.size if experiment.set_b.is_outside else experiment.num_set_a
    low, high = (_LOWEST, _HIGHEST) if experiment.radio.quantised else (-np.inf, np.inf)
    problems = []
    for chunk in np.flatnonzero(container.written()):
        span = header.chunk(int(chunk))
        where = f"of drops {span.start} to {span.stop - 1}"
        measured = container.read(fields["measured"], span.start, span.stop)
        if measured.min() < 0 or measured.max() >= beams:
            problems.append(
                f"{path}: measured {where}: got {measured.min()} to {measured.max()}; allowed: 0 to {beams - 1}"
            )
        for name, least, most in (("measured_dbm", low, high), ("true_dbm", -np.inf, np.inf)):
            values = container.read(fields[name], span.start, span.stop)
            if not np.isfinite(values).all() or values.min() < least or values.max() > most:
                allowed = f"{least:g} to {most:g} dBm (TS 38.133 §10.1.6)" if np.isfinite(least) else "finite values"
                problems.append(f"{path}: {name} {where}: got {values.min():g} to {values.max():g}; allowed: {allowed}")
    return problems
