"""Settings of a beam experiment: what differs between parts of its results."""

from __future__ import annotations

from dataclasses import dataclass

from ran.studies.beams.experiment import BeamExperiment, SetB
from ran.studies.beams.world import BeamWorld


@dataclass(frozen=True)
class Setting:
    """What differs between parts of the results: Set B, the users' speed, and which measurements in time are made.

    every: 1 for all of them, 2 for every second one, ...
    """

    set_b: SetB
    speed_kmh: float
    every: int = 1

    @property
    def set_b_title(self) -> str:
        return "all" if self.set_b.pattern == "all" else f"{self.set_b.size} {self.set_b.pattern}"

    @property
    def title(self) -> str:
        thinned = f", every {ordinal(self.every)} measurement" if self.every > 1 else ""
        return f"{self.set_b_title}, {self.speed_kmh:g} km/h{thinned}"


def ordinal(number: int) -> str:
    """2nd, 3rd, 4th, ..."""
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"


def settings_of(experiment: BeamExperiment, world: BeamWorld) -> tuple[Setting, ...]:
    """The experiment's own setting, then those of the curves over Set B and over speed; each once."""
    evaluation, own = experiment.evaluation, experiment.set_b
    found = [Setting(own, experiment.speed_kmh)]
    for pattern in evaluation.set_b_patterns or (own.pattern,):
        for size in evaluation.set_b_sizes or (own.size,):
            if pattern == "wide":
                world.level(size)
            found.append(Setting(SetB(pattern=pattern, size=size), experiment.speed_kmh))
    found += [Setting(own, experiment.speed_kmh, every) for every in evaluation.measured_every]
    found += [Setting(own, speed) for speed in evaluation.speeds_kmh]
    return tuple(dict.fromkeys(found))
