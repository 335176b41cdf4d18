"""An experiment: what is simulated, with which receivers, at which SNR, until when."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from ran.config.file_name import checked_file_name
from ran.errors import InputError
from ran.link.catalogue import refuse_unknown_options
from ran.link.config import LinkPhysics
from ran.phy.config import Config, Decoder
from ran.registry.kinds import CHANNEL, RECEIVER
from ran.sim.loading import absolute_files, load_as, shipped

MAX_POINTS = 500

MIN_ESN0_DB, MAX_ESN0_DB = -60, 100

EsN0Db = Annotated[float, Field(ge=MIN_ESN0_DB, le=MAX_ESN0_DB)]
Bler = Annotated[float, Field(gt=0, lt=1)]


class Block(Config):
    """A channel model or a receiver by name, with its options beside the name."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"allowed": "a name, or a block {name: ..., and its options}"}
    )

    name: Annotated[str, Field(min_length=1)]

    def block(self) -> dict[str, Any]:
        """`{"name": ..., **options}`, the form that `ran.link.catalogue` builds from."""
        return {"name": self.name, **(self.model_extra or {})}


class ReceiverBlock(Block):
    """A receiver. `label` names it in results; needed only when one receiver appears twice with other options."""

    label: Annotated[str, AfterValidator(checked_file_name)] | None = None

    @property
    def title(self) -> str:
        """What results call this receiver, and its files."""
        if self.label is not None:
            return self.label
        if self.name.endswith((".onnx", ".tflite")):
            return PurePath(self.name).name
        return self.name.rsplit(":", 1)[-1] if ".py:" in self.name else self.name


class SnrRange(Config):
    """SNR points from `start` to `stop`, both included, every `step` dB."""

    model_config = ConfigDict(title="<range>")

    start: EsN0Db
    stop: EsN0Db
    step: Annotated[float, Field(gt=0, le=160)] = 1.0

    @model_validator(mode="after")
    def _goes_up(self) -> SnrRange:
        if self.stop < self.start:
            raise ValueError(f"stop {self.stop} is below start {self.start}; allowed: stop at or above start")
        if (self.stop - self.start) / self.step >= MAX_POINTS:
            raise ValueError(f"step {self.step} gives too many points; allowed: at most {MAX_POINTS}")
        return self

    def values(self) -> tuple[float, ...]:
        count = int((self.stop - self.start) / self.step + 1e-9) + 1
        return tuple(round(self.start + i * self.step, 6) for i in range(count))


class SnrSearch(Config):
    """Find the waterfall of every receiver on a grid of `step_db`, from `low_db` to `high_db`.

    A bisection with the first `probe_slots` slots of a point finds where a receiver starts to work. From there it is
    simulated upwards until its BLER is below the lowest of `target_bler` by more than chance, so that the interval of
    the crossing ends inside the curve, or no longer falls (an error floor). Where the first point turns out not to be
    above the highest of `target_bler`, lower ones are simulated, too.
    start_bler: a receiver starts to work at the last point with at least this BLER; by default midway from the highest
    target to 1. Close to the target it saves the points above, whose only use is the look of the curve.
    """

    younger_fields = ("start_bler",)

    target_bler: Annotated[tuple[Bler, ...], Field(min_length=1)] = (0.1, 0.01)
    step_db: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    low_db: EsN0Db = -10.0
    high_db: EsN0Db = 40.0
    probe_slots: Annotated[int, Field(ge=8, le=10000)] = 32
    start_bler: Bler | None = None

    @property
    def threshold(self) -> float:
        """BLER of a probe from which on the receiver is taken not to work yet."""
        return (1 + max(self.target_bler)) / 2 if self.start_bler is None else self.start_bler

    @property
    def least_first_bler(self) -> float:
        """A curve goes on downwards while its first point has no higher BLER: close to the target, the interval of the
        crossing would be open."""
        highest = max(self.target_bler)
        return highest if self.start_bler is None else math.sqrt(highest * self.start_bler)

    @model_validator(mode="after")
    def _is_a_range(self) -> SnrSearch:
        if self.start_bler is not None and self.start_bler <= max(self.target_bler):
            raise ValueError(
                f"start_bler {self.start_bler} is not above the highest target {max(self.target_bler)}; "
                "allowed: start_bler above target_bler"
            )
        if self.high_db <= self.low_db:
            raise ValueError(f"high_db {self.high_db} is not above low_db {self.low_db}; allowed: high_db above low_db")
        if (self.high_db - self.low_db) / self.step_db >= MAX_POINTS:
            raise ValueError(f"step_db {self.step_db} gives too many points; allowed: at most {MAX_POINTS}")
        return self

    def values(self) -> tuple[float, ...]:
        return SnrRange(start=self.low_db, stop=self.high_db, step=self.step_db).values()


class SnrAuto(Config):
    """The form `{auto: {...}}` of `esn0_db`; plain `auto` means all defaults."""

    model_config = ConfigDict(title="<auto>")

    auto: SnrSearch = SnrSearch()

    @model_validator(mode="before")
    @classmethod
    def _auto_is_short_for_defaults(cls, data: Any) -> Any:
        return {} if data == "auto" or data == {"auto": None} else _tuples(data)


class Requirement(Config):
    """Is the throughput at `esn0_db` at least `throughput` of its maximum? And where is it just that?

    The required point is simulated until that is decided (or `stopping.max_slots`), then points every `step_db`, with
    `curve_slots` slots each, downwards (upwards where it was missed) until the fraction crosses `throughput`, at most
    `span_db` away. With HARQ a slot here is a process of as many transmissions as it takes.
    """

    esn0_db: EsN0Db
    throughput: Annotated[float, Field(gt=0, lt=1)] = 0.7
    step_db: Annotated[float, Field(ge=0.05, le=10)] = 1.0
    span_db: Annotated[float, Field(ge=0, le=40)] = 8.0
    curve_slots: Annotated[int, Field(ge=8, le=1_000_000)] = 256

    @property
    def offsets(self) -> range:
        """Steps from the required point to the grid's ends."""
        steps = int(self.span_db / self.step_db + 1e-9)
        return range(-steps, steps + 1)

    def point(self, offset: int) -> float:
        """Es/N0 in dB so many steps above the required point."""
        return round(self.esn0_db + offset * self.step_db, 6) + 0.0


class SnrRequirement(Config):
    """The form `{requirement: {...}}` of `esn0_db`."""

    model_config = ConfigDict(title="<requirement>")

    requirement: Requirement


class Stopping(Config):
    """When a point has been simulated enough, per receiver. The first rule that holds ends it.

    min_block_errors: so many blocks in error; null: no such rule.
    relative_interval_width: width of the 95 % interval of the BLER divided by the BLER; null: no such rule.
    max_slots: so many slots.
    min_bler: a receiver is not simulated at higher SNR once its BLER falls below; null: all points are simulated.
    receiver_timeout_s: a chunk of slots may take so long, or 20 times as long as its receivers took before if that is
        more; then its worker process is ended, its receivers are tried one by one, and the one that gives no answer has
        failed. No result depends on it.
    """

    younger_fields = ("receiver_timeout_s",)

    min_block_errors: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = 100
    relative_interval_width: Annotated[float, Field(gt=0, le=2)] | None = None
    max_slots: Annotated[int, Field(ge=1, le=100_000_000)] = 10_000
    min_bler: Bler | None = 1e-3
    receiver_timeout_s: Annotated[float, Field(gt=0, le=1e6)] = 1800.0


class RecordedSlots(Config):
    """Slots of a data set that receivers are run on, instead of simulated ones; see `ran.datasets.evaluate`.

    content: hash of what the file holds. split: train, val or test; null: all drops.
    """

    file: Annotated[str, Field(min_length=1)]
    content: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", json_schema_extra={"allowed": "64 hexadecimal digits"})]
    split: Literal["train", "val", "test"] | None = None

    def identity(self) -> dict[str, Any]:
        """What decides which slots these are; not where the file is."""
        return self.model_dump(exclude={"file"})


def _form_of_points(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return "<list>"
    if value == "auto" or isinstance(value, SnrAuto) or (isinstance(value, dict) and "auto" in value):
        return "<auto>"
    if isinstance(value, SnrRequirement) or (isinstance(value, dict) and "requirement" in value):
        return "<requirement>"
    return "<range>" if isinstance(value, dict | SnrRange) else None


def _form_of_channel(value: Any) -> str | None:
    if isinstance(value, list | tuple):
        return "<per user>"
    return "<one>" if isinstance(value, dict | Block) else None


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _tuples(value: Any) -> Any:
    """`value` with every list as a tuple: strict validation takes lists only straight from JSON."""
    if isinstance(value, list | tuple):
        return tuple(_tuples(item) for item in value)
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


class Named(Config):
    """What an experiment is called, and what it is for."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=100,
            json_schema_extra={"allowed": "letters, digits, '.', '_' and '-', at most 100 characters"},
        ),
    ]
    description: str = ""


class Experiment(LinkPhysics, Named):
    """What `ran sim` runs. Immutable; written to the run folder with every default filled in.

    esn0_db: points in dB; or link_budget, where the channel has absolute gains: points are then transmit powers in dBm.
    """

    younger_fields = (*LinkPhysics.younger_fields, "data", "esn0_db")
    keys_of_loader = ("sweep",)

    channel: Annotated[
        Annotated[Block, Tag("<one>")] | Annotated[tuple[Block, ...], Field(min_length=1), Tag("<per user>")],
        Discriminator(_form_of_channel),
        Field(json_schema_extra={"allowed": "a name, a block {name: ..., options}, or a list of one of them per user"}),
    ]
    receivers: Annotated[
        tuple[ReceiverBlock, ...],
        Field(min_length=1, json_schema_extra={"allowed": "a list of names or of blocks {name: ..., options}"}),
    ]
    esn0_db: Annotated[
        Annotated[tuple[EsN0Db, ...], Field(min_length=1, max_length=MAX_POINTS), Tag("<list>")]
        | Annotated[SnrRange, Tag("<range>")]
        | Annotated[SnrAuto, Tag("<auto>")]
        | Annotated[SnrRequirement, Tag("<requirement>")],
        Discriminator(_form_of_points),
        Field(
            json_schema_extra={
                "allowed": "a list of numbers, {start: A, stop: B, step: C}, auto, {auto: {target_bler: [...]}}, "
                "or {requirement: {esn0_db: A}}"
            }
        ),
    ] = ()
    stopping: Stopping = Stopping()
    decoder: Decoder = Decoder()
    data: RecordedSlots | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @model_validator(mode="after")
    def _points_or_budget(self) -> Experiment:
        has_points = self.esn0_db != ()
        if self.link_budget is None and not has_points:
            allowed = type(self).model_json_schema()["properties"]["esn0_db"]["allowed"]
            raise ValueError(f"esn0_db: missing; allowed: {allowed}; or link_budget with a channel that has path loss")
        if self.link_budget is not None and has_points:
            raise ValueError(
                "esn0_db: got points together with link_budget, from which Es/N0 follows; allowed: one of the two, and "
                "link_budget.tx_power_dbm as a list to sweep the transmit power"
            )
        return self

    @field_validator("channel", mode="before")
    @classmethod
    def _channel_may_be_a_name(cls, value: Any) -> Any:
        return tuple(_named(item) for item in value) if isinstance(value, list | tuple) else _named(value)

    @field_validator("receivers", mode="before")
    @classmethod
    def _receiver_may_be_a_name(cls, value: Any) -> Any:
        return tuple(_named(item) for item in value) if isinstance(value, list | tuple) else value

    @field_validator("receivers")
    @classmethod
    def _labels_differ(cls, receivers: tuple[ReceiverBlock, ...]) -> tuple[ReceiverBlock, ...]:
        titles = [receiver.title for receiver in receivers]
        twice = next((title for title in titles if titles.count(title) > 1), None)
        if twice is not None:
            raise ValueError(f"got {twice!r} twice; allowed: different names, or a label for each: {{label: ...}}")
        return receivers

    @field_validator("esn0_db")
    @classmethod
    def _points_ascend(cls, points: Any) -> Any:
        return tuple(sorted({value + 0.0 for value in points})) if isinstance(points, tuple) else points

    @property
    def snr_grid(self) -> tuple[float, ...]:
        """Every Es/N0 in dB that may be simulated, ascending; with a link budget every transmit power in dBm."""
        if self.link_budget is not None:
            return self.link_budget.tx_power_dbm
        if isinstance(self.esn0_db, tuple):
            return self.esn0_db
        if isinstance(self.esn0_db, SnrRange):
            return self.esn0_db.values()
        if isinstance(self.esn0_db, SnrRequirement):
            requirement = self.esn0_db.requirement
            return tuple(requirement.point(offset) for offset in requirement.offsets)
        return self.esn0_db.auto.values()

    @property
    def point_axis(self) -> tuple[str, str, str]:
        """What the points are: in full, as a symbol, and their unit."""
        return ("Es/N0", "Es/N0", "dB") if self.link_budget is None else ("Transmit power", "P", "dBm")

    @property
    def requirement(self) -> Requirement | None:
        """The throughput that is asked for; None in any other experiment."""
        return self.esn0_db.requirement if isinstance(self.esn0_db, SnrRequirement) else None

    @property
    def max_transmissions(self) -> int:
        """Transmissions of a block at most."""
        return 1 if self.harq is None else self.harq.max_transmissions

    @property
    def snr_search(self) -> SnrSearch | None:
        """How the waterfall is searched; None when the points are given."""
        return self.esn0_db.auto if isinstance(self.esn0_db, SnrAuto) else None

    def resolved(self) -> dict[str, Any]:
        """Plain values with all defaults filled in; validates to an equal experiment."""
        values = self.model_dump(mode="json")
        if self.pdsch is not None:
            del values["users"]
        return values


def refuse_link_budget(experiment: Experiment, command: str) -> None:
    """`InputError` for an experiment whose points are transmit powers, where a command counts in Es/N0."""
    if experiment.link_budget is not None:
        raise InputError(f"link_budget: got one with `{command}`; allowed: esn0_db, and a channel without pathloss")


AnyExperiment = TypeVar("AnyExperiment", bound=Experiment)


def built_in_experiments() -> dict[str, Path]:
    """Name to file of the experiments that ship with the package."""
    return shipped("ran.experiments")


def load(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Experiment:
    """The experiment in a file, or the built-in experiment of that name, with `overrides` (`a.b=c`) applied.

    File names inside it that are relative are taken relative to the experiment file, or to the current folder when the
    experiment is a built-in one, and made absolute.
    Raises InputError with one line for everything that is wrong with it.
    """
    return with_absolute_files(*load_as(Experiment, name_or_path, overrides, built_in_experiments()))


def _refuse_unknown_options(experiment: Experiment) -> None:
    """Told here already, as everything after it imports torch."""
    channels = experiment.channel if isinstance(experiment.channel, tuple) else (experiment.channel,)
    for index, channel in enumerate(channels):
        refuse_unknown_options(channel.block(), CHANNEL, "channel" if len(channels) == 1 else f"channel[{index}]")
    for index, receiver in enumerate(experiment.receivers):
        refuse_unknown_options(receiver.block(), RECEIVER, f"receivers.{index}")


def with_absolute_files(experiment: AnyExperiment, folder: Path) -> AnyExperiment:
    """The experiment with the relative file names of receivers, channels, impairments and data taken relative to
    `folder`. `InputError` for options that shipped channels and receivers do not have."""
    _refuse_unknown_options(experiment)
    receivers = tuple(
        receiver.model_validate(absolute_files(receiver.model_dump(), folder)) for receiver in experiment.receivers
    )
    given = experiment.channel if isinstance(experiment.channel, tuple) else (experiment.channel,)
    blocks = tuple(block.model_validate(absolute_files(block.model_dump(), folder)) for block in given)
    channel = blocks if isinstance(experiment.channel, tuple) else blocks[0]
    data = experiment.data
    if data is not None:
        data = data.model_copy(update={"file": str(folder / os.path.expanduser(data.file))})
    waveform = experiment.waveform
    if waveform is not None and (waveform.transmit_impairments or waveform.receive_impairments):
        ends = ("transmit_impairments", "receive_impairments")
        moved = {end: tuple(absolute_files(block, folder) for block in getattr(waveform, end)) for end in ends}
        waveform = waveform.model_copy(update=moved)
    changed = {"receivers": receivers, "channel": channel, "waveform": waveform, "data": data}
    return experiment.model_copy(update=changed)
