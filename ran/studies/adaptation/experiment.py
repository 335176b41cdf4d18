"""What `ran adapt` runs: an experiment whose MCS is chosen slot by slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from ran.config.validation import validate
from ran.link.constellation import with_points
from ran.phy.config import Config
from ran.phy.mcs import num_mcs
from ran.sim.experiment import Experiment, SnrAuto, SnrRequirement, with_absolute_files
from ran.sim.loading import load_as, shipped
from ran.studies.adaptation import effective

OffsetDb = Annotated[float, Field(ge=-100, le=100)]


class OuterLoop(Config):
    """Outer loop link adaptation: an offset in dB on the effective SINR that follows ACK and NACK.

    step_db: down after a NACK; up after an ACK by step_db target_bler / (1 - target_bler), so that the offset stands
        still on average where the target is met (A. Sampath et al., IEEE VTC 1997, for power control).
    start_db: offset at first. min_db, max_db: it is clipped to them.
    """

    step_db: Annotated[float, Field(gt=0, le=10)] = 0.5
    start_db: OffsetDb = 0.0
    min_db: OffsetDb = -10.0
    max_db: OffsetDb = 10.0

    @model_validator(mode="after")
    def _limits_hold_the_start(self) -> OuterLoop:
        if not self.min_db <= self.start_db <= self.max_db:
            raise ValueError(
                f"start_db {self.start_db} is not within min_db {self.min_db} and max_db {self.max_db}; allowed: "
                "min_db <= start_db <= max_db"
            )
        return self


class Adaptation(Config):
    """How the MCS is chosen, and over what.

    num_series: independent draws of the channel, the unit of the intervals. num_slots: consecutive slots of each.
    warm_up_slots: slots at the start of a series that do not count, in which loops settle.
    delay_slots: a measurement or an ACK of slot n is known in slot n + delay_slots; before the first, the lowest MCS is
        sent.
    target_bler: of the first transmission.
    mappings: effective SINRs of the inner loop that are compared.
    relative_half_width: fewer series than num_series are enough at an SNR, 16 and 16 more at a time, when the 95 %
        interval of every receiver's throughput with its best fixed MCS is so narrow to either side, as a share of it;
        null: all series are simulated.
    """

    younger_fields = ("relative_half_width",)

    num_series: Annotated[int, Field(ge=2, le=100_000)] = 16
    num_slots: Annotated[int, Field(ge=1, le=10_000)] = 100
    warm_up_slots: Annotated[int, Field(ge=0, le=10_000)] = 20
    delay_slots: Annotated[int, Field(ge=0, le=10_000)] = 4
    target_bler: Annotated[float, Field(ge=1e-4, le=0.9)] = 0.1
    mappings: Annotated[tuple[effective.Mapping, ...], Field(min_length=1)] = ("eesm", "miesm")
    olla: OuterLoop = OuterLoop()
    relative_half_width: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _slots_are_left(self) -> Adaptation:
        if not self.delay_slots <= self.warm_up_slots < self.num_slots:
            raise ValueError(
                f"warm_up_slots {self.warm_up_slots} with delay_slots {self.delay_slots} and num_slots "
                f"{self.num_slots}; allowed: delay_slots <= warm_up_slots < num_slots"
            )
        if len(set(self.mappings)) != len(self.mappings):
            raise ValueError(f"mappings {list(self.mappings)} names one twice; allowed: each once")
        return self


class AdaptationExperiment(Experiment):
    """An experiment of one user and plain CP-OFDM, whose MCS index is left open."""

    adaptation: Adaptation = Adaptation()

    @model_validator(mode="after")
    def _can_be_adapted(self) -> AdaptationExperiment:
        if "mcs_index" in self.uplink.model_fields_set:
            raise ValueError(f"pusch.mcs_index: got {self.uplink.mcs_index}; allowed: none, it is chosen slot by slot")
        if self.users.num_users != 1:
            raise ValueError(f"users.num_users: got {self.users.num_users}; allowed: 1, whose MCS is adapted")
        if self.users.mcs_index is not None:
            raise ValueError(f"users.mcs_index: got {list(self.users.mcs_index)}; allowed: none, it is chosen per slot")
        if self.uplink.transform_precoding:
            raise ValueError("pusch.transform_precoding: got True; allowed: false, SINRs are those of subcarriers")
        if self.harq is not None:
            raise ValueError("harq: got a block; allowed: none, first transmissions alone are counted")
        if self.waveform is not None:
            raise ValueError("waveform: got a block; allowed: none, series stay in the frequency domain")
        if isinstance(self.esn0_db, SnrAuto | SnrRequirement):
            raise ValueError("esn0_db: got a search; allowed: a list of numbers or {start: A, stop: B, step: C}")
        if self.link_budget is not None:
            raise ValueError("link_budget: got a block; allowed: none, series are at points of esn0_db")
        if "stopping" in self.model_fields_set:
            raise ValueError("stopping: got a block; allowed: none, adaptation.num_series and num_slots count")
        return self

    @property
    def num_mcs(self) -> int:
        return num_mcs(self.uplink.mcs_table)

    def resolved(self) -> dict[str, Any]:
        """Plain values with all defaults filled in, without what is left open; validates to an equal experiment."""
        values = super().resolved()
        del values["stopping"], values["pusch"]["mcs_index"]
        return values


def built_in_experiments() -> dict[str, Path]:
    """Name to file of the experiments that ship with this package."""
    return shipped("ran.studies.adaptation.experiments")


def load(name_or_path: str, overrides: Iterable[str] = ()) -> AdaptationExperiment:
    """The experiment in a file, or the built-in one of that name, with `overrides` (`a.b=c`) applied."""
    return with_absolute_files(*load_as(AdaptationExperiment, name_or_path, overrides, built_in_experiments()))


def validated(values: Mapping[str, Any], folder: Path, source: str) -> AdaptationExperiment:
    """The experiment of plain values. folder: of relative file names. source: of the values, for messages."""
    return with_absolute_files(validate(AdaptationExperiment, with_points(values, folder), source), folder)
