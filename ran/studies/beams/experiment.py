"""What `ran beams` runs: where users are, which beams there are, which are measured and when, and who predicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ran.config.validation import validate
from ran.errors import unknown_name
from ran.phy.config import Config
from ran.sim.experiment import Block, ReceiverBlock
from ran.sim.loading import absolute_files, load_as, shipped

#: Channel models that have directions, and with them beams.
CHANNELS = ("uma", "umi", "rma", "sma", "inh", "inf", "cdl", "ray-traced", "free-space")
#: Options of channel models that follow from the rest of the experiment.
_OURS = (
    "direction",
    "rx_array",
    "tx_array",
    "pathloss",
    "normalise",
    "mobility",
    "speed_mps",
    "mean_angles_deg",
    "dual_mobility",
)

Pair = tuple[Annotated[int, Field(ge=1, le=64)], Annotated[int, Field(ge=1, le=64)]]
Degrees = Annotated[float, Field(ge=-360, le=360)]
Angles = tuple[Degrees, Degrees]
#: In wavelengths; grating lobes fill the sector long before.
Spacing = Annotated[float, Field(gt=0, le=100)]
#: Patterns whose beams are not in Set A.
_OUTSIDE = ("wide", "learned")
SetBPattern = Literal["fixed", "random", "wide", "learned", "all"]


class Panel(Config):
    """The base station's panel (TR 38.901 §7.3, Rel-18): rows x columns places, spacing in wavelengths.

    polarisation: "cross" for two ports per beam, or "V". pattern: of an element. downtilt_deg: of the whole panel.
    bearing_deg: where it faces in the coordinates of a ray-traced site; sectors of scenarios are around 0.
    """

    rows: Annotated[int, Field(ge=1, le=64)] = 4
    columns: Annotated[int, Field(ge=1, le=64)] = 8
    spacing: tuple[Spacing, Spacing] = (0.5, 0.5)
    polarisation: Literal["cross", "V"] = "cross"
    pattern: Literal["38.901", "omni"] = "38.901"
    downtilt_deg: Annotated[float, Field(ge=-90, le=90)] = 10.0
    bearing_deg: Annotated[float, Field(ge=-360, le=360)] = 0.0


class Terminal(Config):
    """The user's panels: one row of `columns` places each, facing `faces_deg`, with `num_beams` receive beams each."""

    columns: Annotated[int, Field(ge=1, le=16)] = 4
    polarisation: Literal["cross", "V"] = "cross"
    pattern: Literal["handheld", "38.901", "omni"] = "38.901"
    faces_deg: Annotated[tuple[Degrees, ...], Field(min_length=1, max_length=4)] = (0.0, 180.0)
    num_beams: Annotated[int, Field(ge=1, le=64)] = 4


class SetA(Config):
    """The beams to choose from.

    codebook: "sector" for `beams` (rows, columns) evenly over a sector in direction cosines, in the panel's own
    coordinates; "dft" for the panel's DFT grid times `oversampling` (vertical, horizontal).
    """

    codebook: Literal["sector", "dft"] = "sector"
    beams: Pair = (4, 16)
    azimuth_deg: Angles = (-60.0, 60.0)
    zenith_deg: Angles = (60.0, 120.0)
    oversampling: Pair = (1, 1)


class SetB(Config):
    """The beams that are measured (TR 38.843 §6.3.1, Rel-18).

    pattern: "fixed" for `size` beams spread evenly over Set A; "random" for others at every time and in every drop;
    "wide" for a level of wide beams that is not in Set A; "learned" for beams learned from the channels of the drops
    for training (`ran.studies.beams.site_codebook`), not in Set A either; "all" for all of Set A.
    """

    pattern: SetBPattern = "fixed"
    size: Annotated[int, Field(ge=1, le=4096)] = 8

    @property
    def is_outside(self) -> bool:
        """Whether the measured beams are not in Set A."""
        return self.pattern in _OUTSIDE


class Radio(Config):
    """Power, band and noise; the defaults are those of a carrier of 100 MHz in FR2.

    tx_power_dbm: of the base station over the band. num_re: resource elements per port that a measurement averages
    over, 3 per PRB as a CSI-RS of density 3. quantised: reports as in TS 38.214 §5.2.1.4.3; otherwise exact.
    path_loss_db: for "cdl", which knows none.
    """

    tx_power_dbm: Annotated[float, Field(ge=-50, le=80)] = 40.0
    subcarrier_spacing_khz: Literal[15, 30, 60, 120] = 120
    num_prb: Annotated[int, Field(ge=1, le=275)] = 66
    noise_figure_db: Annotated[float, Field(ge=0, le=30)] = 10.0
    num_re: Annotated[int, Field(ge=32, le=3300)] = 198
    quantised: bool = True
    path_loss_db: Annotated[float, Field(ge=0, le=200)] | None = None

    @property
    def bandwidth_hz(self) -> float:
        return 12e3 * self.num_prb * self.subcarrier_spacing_khz


class Timing(Config):
    """When beams are measured and used. A decision is at time 0.

    num_observed measurements, period_ms apart, the last at time 0; beams are predicted for `horizon_ms` (0: now).
    num_decisions per drop, `stride_ms` apart on the user's way; left out, the last time of the horizon, or the period.
    """

    period_ms: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    num_observed: Annotated[int, Field(ge=1, le=64)] = 1
    horizon_ms: Annotated[tuple[Annotated[float, Field(ge=0, le=60_000)], ...], Field(min_length=1)] = (0.0,)
    num_decisions: Annotated[int, Field(ge=1, le=1000)] = 1
    stride_ms: Annotated[float, Field(gt=0, le=60_000)] | None = None

    @field_validator("horizon_ms")
    @classmethod
    def _ascends(cls, horizon: tuple[float, ...]) -> tuple[float, ...]:
        if list(horizon) != sorted(set(horizon)):
            raise ValueError(f"got {list(horizon)}; allowed: times that ascend")
        return horizon

    @property
    def observed_ms(self) -> tuple[float, ...]:
        """Times of the measurements, 0 last."""
        return tuple(-self.period_ms * i + 0.0 for i in range(self.num_observed - 1, -1, -1))

    @property
    def decisions_ms(self) -> tuple[float, ...]:
        """Times of the decisions after the first."""
        stride = self.stride_ms or max(self.horizon_ms[-1], 0.0) or self.period_ms
        return tuple(stride * i for i in range(self.num_decisions))


class Evaluation(Config):
    """What is counted.

    top_k: numbers of beams that are tried after a prediction. within_db: what counts as good. confidence: that an
    adaptive number of tried beams is chosen for.
    symbols_per_beam: OFDM symbols to measure a transmit beam with all receive beams; left out, one per receive beam of
    a face, as faces listen at once (of pairs, one per pair). report_ms: from a measurement to its report.
    failure_snr_db: below it a beam has failed; it stands for a hypothetical PDCCH in error in one of ten cases
    (TS 38.133 §8.5.2, Rel-18). mcs_table: of the PDSCH whose throughput counts.
    set_b_sizes, set_b_patterns, speeds_kmh: further settings for the curves, beside the experiment's own.
    measured_every: further settings in which only every second, third, ... of the measurements in time is made, up to
    the latest one, all else being the same.
    """

    top_k: Annotated[tuple[Annotated[int, Field(ge=1, le=65_536)], ...], Field(min_length=1)] = (1, 2, 3, 4, 6, 8)
    within_db: Annotated[float, Field(gt=0, le=20)] = 1.0
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    symbols_per_beam: Annotated[float, Field(gt=0, le=1000)] | None = None
    report_ms: Annotated[float, Field(ge=0, le=1000)] = 4.0
    failure_snr_db: Annotated[float, Field(ge=-30, le=30)] = -6.0
    mcs_table: Literal[1, 2, 3, 4] = 2
    set_b_sizes: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = ()
    set_b_patterns: tuple[SetBPattern, ...] = ()
    speeds_kmh: tuple[Annotated[float, Field(ge=0, le=500)], ...] = ()
    measured_every: tuple[Annotated[int, Field(ge=2, le=63)], ...] = ()


class PredictorBlock(ReceiverBlock):
    """A predictor by name, with its options beside the name; `label` names it in results."""


class Stopping(Config):
    """When fewer drops than num_drops are enough; looked at after every 1024 drops.

    top1_half_width: so narrow is the 95 % interval of the Top-1 accuracy of every predictor in the experiment's own
    setting, to either side, as a share; null: all drops are evaluated.
    """

    top1_half_width: Annotated[float, Field(gt=0, le=1)] | None = None


class BeamExperiment(Config):
    """What `ran beams` runs. Immutable; written to the run folder with every default filled in.

    task: "tx" to choose transmit beams, each received with the user's best beam for it; "pairs" to choose both.
    speed_kmh: of the users. position_error_m: standard deviation per axis of positions that users report; null: none
    are reported. num_drops are evaluated at most; predictors that learn a site see num_fit_drops others.
    """

    younger_fields = ("stopping",)
    keys_of_loader = ("sweep",)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    description: str = ""
    channel: Annotated[Block, Field(json_schema_extra={"allowed": "a name, or a block {name: ..., options}"})]
    speed_kmh: Annotated[float, Field(ge=0, le=500)] = 3.0
    panel: Panel = Panel()
    terminal: Terminal = Terminal()
    set_a: SetA = SetA()
    set_b: SetB = SetB()
    task: Literal["tx", "pairs"] = "tx"
    radio: Radio = Radio()
    timing: Timing = Timing()
    position_error_m: Annotated[float, Field(ge=0, le=1000)] | None = None
    predictors: Annotated[
        tuple[PredictorBlock, ...],
        Field(min_length=1, json_schema_extra={"allowed": "a list of names or of blocks {name: ..., options}"}),
    ]
    evaluation: Evaluation = Evaluation()
    num_drops: Annotated[int, Field(ge=2, le=1_000_000)] = 500
    stopping: Stopping = Stopping()
    num_fit_drops: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @field_validator("channel", mode="before")
    @classmethod
    def _channel_may_be_a_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("channel")
    @classmethod
    def _channel_has_beams(cls, channel: Block) -> Block:
        if channel.name not in CHANNELS:
            raise unknown_name("name", channel.name, CHANNELS)
        for key in channel.block():
            if key in _OURS:
                raise ValueError(f"{key}: got an option; allowed: none, it follows from panel, terminal and speed_kmh")
        return channel

    @field_validator("predictors", mode="before")
    @classmethod
    def _predictor_may_be_a_name(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple({"name": item} if isinstance(item, str) else item for item in value)

    @field_validator("predictors")
    @classmethod
    def _labels_differ(cls, predictors: tuple[PredictorBlock, ...]) -> tuple[PredictorBlock, ...]:
        titles = [predictor.title for predictor in predictors]
        twice = next((title for title in titles if titles.count(title) > 1), None)
        if twice is not None:
            raise ValueError(f"got {twice!r} twice; allowed: different names, or a label for each: {{label: ...}}")
        return predictors

    @model_validator(mode="after")
    def _fits_together(self) -> BeamExperiment:
        if self.channel.name == "cdl" and self.radio.path_loss_db is None:
            raise ValueError("radio.path_loss_db: missing; channel cdl needs it, as it knows no path loss")
        size = self.num_set_a
        if self.set_b.pattern in ("fixed", "random") and self.set_b.size > size:
            raise ValueError(f"set_b.size: got {self.set_b.size}; allowed: 1 to {size}, Set B is inside Set A")
        for what, patterns in (
            ("set_b.pattern", (self.set_b.pattern,)),
            ("evaluation.set_b_patterns", self.evaluation.set_b_patterns),
        ):
            for pattern in patterns:
                if pattern in _OUTSIDE and self.task == "pairs":
                    raise ValueError(f"{what}: got {pattern!r} with task 'pairs'; allowed: fixed, random, all")
        for every in self.evaluation.measured_every:
            most = self.timing.num_observed - 1
            if every > most:
                allowed = f"2 to {most}, so that two of timing.num_observed remain" if most > 1 else "none with"
                more = "" if most > 1 else f" timing.num_observed {self.timing.num_observed}"
                raise ValueError(f"evaluation.measured_every: got {every}; allowed: {allowed}{more}")
        for k in self.evaluation.top_k:
            if k > size:
                raise ValueError(f"evaluation.top_k: got {k}; allowed: 1 to {size}, the beams of Set A")
        for number in self.evaluation.set_b_sizes:
            if number > size:
                raise ValueError(f"evaluation.set_b_sizes: got {number}; allowed: 1 to {size}, Set B is inside Set A")
        return self

    @property
    def num_tx_beams(self) -> int:
        """Transmit beams of Set A."""
        if self.set_a.codebook == "dft":
            rows, columns = (
                n * o for n, o in zip((self.panel.rows, self.panel.columns), self.set_a.oversampling, strict=True)
            )
            return rows * columns
        return self.set_a.beams[0] * self.set_a.beams[1]

    @property
    def num_rx_beams(self) -> int:
        """Receive beams of a user over all faces."""
        return len(self.terminal.faces_deg) * self.terminal.num_beams

    @property
    def num_set_a(self) -> int:
        """Entries of Set A: transmit beams, or pairs."""
        return self.num_tx_beams * (self.num_rx_beams if self.task == "pairs" else 1)

    def resolved(self) -> dict[str, Any]:
        """Plain values with all defaults filled in; validates to an equal experiment."""
        return self.model_dump(mode="json")


def built_in_experiments() -> dict[str, Path]:
    """Name to file of the experiments that ship with this package."""
    return shipped("ran.studies.beams.experiments")


def load(name_or_path: str, overrides: Iterable[str] = ()) -> BeamExperiment:
    """The experiment in a file, or the built-in one of that name, with `overrides` (`a.b=c`) applied."""
    return with_absolute_files(*load_as(BeamExperiment, name_or_path, overrides, built_in_experiments()))


def validated(values: Mapping[str, Any], folder: Path, source: str) -> BeamExperiment:
    """The experiment of plain values. folder: of relative file names. source: of the values, for messages."""
    return with_absolute_files(validate(BeamExperiment, values, source), folder)


def with_absolute_files(experiment: BeamExperiment, folder: Path) -> BeamExperiment:
    """The experiment with its relative file names taken relative to `folder`."""
    predictors = tuple(
        PredictorBlock.model_validate(absolute_files(predictor.model_dump(), folder))
        for predictor in experiment.predictors
    )
    channel = Block.model_validate(absolute_files(experiment.channel.model_dump(), folder))
    return experiment.model_copy(update={"predictors": predictors, "channel": channel})
