"""What `ran csi` runs: where users are, what they report and with how many bits, and who decodes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ran.config.validation import validate
from ran.phy.config import Config
from ran.phy.csi.port_layout import oversampling
from ran.phy.csi.subbands import pmi_units
from ran.sim.experiment import Block
from ran.sim.loading import absolute_files, load_as, shipped
from ran.suggestions import did_you_mean

#: Channel models that have directions, and with them beams.
CHANNELS = ("uma", "umi", "rma", "sma", "inh", "inf", "cdl", "ray-traced")
#: Options of channel models that follow from the rest of the experiment.
_OURS = ("direction", "rx_array", "tx_array", "pathloss", "speed_mps", "normalise")

Spacing = Annotated[float, Field(gt=0, le=100)]


class PortPanel(Config):
    """The base station's panel of cross-polarised ports.

    n1, n2: ports of a polarisation across and up (TS 38.214 table 5.2.2.2.1-2). subarray_rows: elements of a port, one
    above another, whose beam points to subarray_zenith_deg. spacing: of elements, vertical and horizontal, wavelengths.
    downtilt_deg, bearing_deg: of the whole panel; the bearing in the coordinates of a ray-traced site.
    """

    n1: Annotated[int, Field(ge=1, le=16)] = 8
    n2: Annotated[int, Field(ge=1, le=16)] = 2
    subarray_rows: Annotated[int, Field(ge=1, le=32)] = 4
    subarray_zenith_deg: Annotated[float, Field(ge=0, le=180)] = 98.0
    spacing: tuple[Spacing, Spacing] = (0.8, 0.5)
    pattern: Literal["38.901", "omni"] = "38.901"
    downtilt_deg: Annotated[float, Field(ge=-90, le=90)] = 0.0
    bearing_deg: Annotated[float, Field(ge=-360, le=360)] = 0.0

    @model_validator(mode="after")
    def _has_an_entry(self) -> PortPanel:
        oversampling(self.n1, self.n2)
        return self

    @property
    def num_ports(self) -> int:
        return 2 * self.n1 * self.n2

    def block(self) -> dict[str, Any]:
        """Options of `channels.arrays.antenna_array`."""
        return {
            "rows": self.n2 * self.subarray_rows,
            "columns": self.n1,
            "spacing": list(self.spacing),
            "polarisation": "cross",
            "pattern": self.pattern,
            "subarray_rows": self.subarray_rows,
            "subarray_zenith_deg": self.subarray_zenith_deg,
            "orientation_deg": [self.bearing_deg, self.downtilt_deg, 0.0],
        }


class UserAntennas(Config):
    """The user's antennas: one row of `columns` places half a wavelength apart, two polarisations (0 and 90
    degrees)."""

    columns: Annotated[int, Field(ge=1, le=8)] = 2

    @property
    def num_rx_ant(self) -> int:
        return 2 * self.columns

    def block(self) -> dict[str, Any]:
        """Options of `channels.arrays.antenna_array`."""
        return {"rows": 1, "columns": self.columns, "polarisation": "VH", "pattern": "omni"}


class Band(Config):
    """The bandwidth part, from common resource block 0 on, and its subbands (TS 38.214 table 5.2.1.4-2).

    per_subband: precoding matrices of a subband, 1 or 2 (numberOfPMI-SubbandsPerCQI-Subband).
    """

    num_prb: Annotated[int, Field(ge=24, le=275)] = 52
    subcarrier_spacing_khz: Literal[15, 30, 60, 120] = 15
    subband_size: Literal[4, 8, 16, 32] = 4
    per_subband: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _is_divided(self) -> Band:
        self.units  # noqa: B018 - refuses sizes that the band does not have
        return self

    @property
    def units(self) -> tuple[range, ...]:
        """PRBs of every PMI unit."""
        return pmi_units(self.num_prb, self.subband_size, 0, self.per_subband)


class ChannelKnowledge(Config):
    """What the user knows of the channel: all of it ("ideal"), or an estimate from CSI-RS at an Es/N0 per port.

    density: CSI-RS resource elements per port and PRB.
    """

    method: Literal["ideal", "ls", "lmmse"] = "ideal"
    esn0_db: Annotated[float, Field(ge=-30, le=60)] = 20.0
    density: float = 1.0

    @field_validator("density")
    @classmethod
    def _is_configurable(cls, value: float) -> float:
        if value not in (0.5, 1.0):
            raise ValueError(f"got {value!r}; allowed: 0.5, 1 (TS 38.211 §7.4.1.5.3)")
        return value


class ReportTiming(Config):
    """Estimates every period_ms, of which the last num_observed are known, and the instants that are asked for:
    num_ahead of them, one every ahead_ms after the last estimate."""

    younger_fields = ("num_ahead",)

    period_ms: Annotated[float, Field(gt=0, le=1000)] = 5.0
    num_observed: Annotated[int, Field(ge=1, le=64)] = 1
    ahead_ms: Annotated[float, Field(ge=0, le=1000)] = 0.0
    num_ahead: Annotated[int, Field(ge=1, le=16)] = 1

    @model_validator(mode="after")
    def _instants_differ(self) -> ReportTiming:
        if self.num_ahead > 1 and not self.ahead_ms:
            raise ValueError(f"num_ahead: got {self.num_ahead}; allowed: 1, or ahead_ms above 0")
        return self

    @property
    def times_s(self) -> tuple[float, ...]:
        """Of the estimates, and of what is asked for where it is later."""
        observed = [1e-3 * self.period_ms * i for i in range(self.num_observed)]
        if not self.ahead_ms:
            return tuple(observed)
        return (*observed, *(observed[-1] + 1e-3 * self.ahead_ms * k for k in range(1, self.num_ahead + 1)))


class Throughput(Config):
    """Users that are served together by zero forcing, and the SNR of each (transmit power over noise, mean gain 1)."""

    num_users: tuple[Annotated[int, Field(ge=1, le=16)], ...] = (1, 4)
    snr_db: tuple[Annotated[float, Field(ge=-30, le=60)], ...] = (-10.0, 0.0, 10.0)


class ReportContents(Config):
    """What a report says beside the precoder.

    rank: null: neither rank nor CQI, the default. adaptive: the user chooses among the ranks up to num_layers and
    reports RI and CQI; a number: CQI of this rank, of which nothing has to be reported. cqi_table: 1 to 4, TS 38.214
    tables 5.2.2.1-2 to -5, and with it the MCS table of the base station. subband_cqi: a differential CQI of two bits
    for every PMI unit, too.
    """

    rank: Literal["adaptive"] | Annotated[int, Field(ge=1, le=4)] | None = None
    cqi_table: Literal[1, 2, 3, 4] = 2
    subband_cqi: bool = False

    @field_validator("rank", mode="before")
    @classmethod
    def _is_a_rank(cls, value: Any) -> Any:
        if value is None or value == "adaptive" or (type(value) is int and 1 <= value <= 4):
            return value
        raise ValueError(f"got {value!r}; allowed: null, adaptive, 1 to 4{did_you_mean(str(value), ['adaptive'])}")


class Stopping(Config):
    """When fewer drops than num_drops are enough.

    sgcs_half_width: so narrow is the 95 % interval of the mean SGCS of every way to report, to either side; null: all
    drops are evaluated.
    """

    sgcs_half_width: Annotated[float, Field(gt=0, le=1)] | None = None


class FeedbackBlock(Block):
    """A way to report, by its name, with its options; `label` for tables and figures."""

    label: str | None = None

    @property
    def title(self) -> str:
        return self.label or self.name


class CsiExperiment(Config):
    """A comparison of ways to report the channel.

    channel: model and options. num_layers: whose precoders are reported, each judged by itself. feedback: who is
    compared. num_drops: users that are evaluated at most. num_fit_drops: others, to which challengers are fitted.
    """

    younger_fields = ("stopping", "report")
    keys_of_loader = ("sweep",)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    description: str = ""
    channel: Block
    speed_kmh: Annotated[float, Field(ge=0, le=1000)] = 3.0
    panel: PortPanel = PortPanel()
    terminal: UserAntennas = UserAntennas()
    band: Band = Band()
    num_layers: Annotated[int, Field(ge=1, le=4)] = 1
    estimate: ChannelKnowledge = ChannelKnowledge()
    timing: ReportTiming = ReportTiming()
    feedback: Annotated[tuple[FeedbackBlock, ...], Field(min_length=1)]
    report: ReportContents = ReportContents()
    throughput: Throughput = Throughput()
    num_drops: Annotated[int, Field(ge=2, le=1_000_000)] = 500
    stopping: Stopping = Stopping()
    num_fit_drops: Annotated[int, Field(ge=0, le=10_000_000)] = 4000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @field_validator("channel", mode="before")
    @classmethod
    def _channel_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("feedback", mode="before")
    @classmethod
    def _feedback_by_name(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple({"name": item} if isinstance(item, str) else item for item in value)

    @model_validator(mode="after")
    def _parts_fit(self) -> CsiExperiment:
        if self.channel.name not in CHANNELS:
            raise ValueError(f"channel.name: got {self.channel.name!r}; allowed: {', '.join(CHANNELS)}")
        for key in self.channel.block():
            if key in _OURS:
                raise ValueError(f"channel.{key}: follows from the rest of the experiment; allowed: other options")
        if self.num_layers > self.terminal.num_rx_ant:
            raise ValueError(
                f"num_layers: got {self.num_layers}; allowed: 1 to {self.terminal.num_rx_ant}, the receive antennas"
            )
        self._check_report()
        titles = [block.title for block in self.feedback]
        for title in titles:
            if titles.count(title) > 1:
                raise ValueError(f"feedback: got {title!r} twice; allowed: different labels")
        most = max(self.throughput.num_users, default=1)
        if most > self.num_drops:
            raise ValueError(f"throughput.num_users: got {most}; allowed: 1 to {self.num_drops}, num_drops")
        if most > self.panel.num_ports:
            raise ValueError(f"throughput.num_users: got {most}; allowed: 1 to {self.panel.num_ports}, the ports")
        return self

    def _check_report(self) -> None:
        rank, timing = self.report.rank, self.timing
        if rank is None:
            return
        if rank != "adaptive" and rank > self.num_layers:
            raise ValueError(f"report.rank: got {rank}; allowed: adaptive, 1 to {self.num_layers}, num_layers")
        if timing.num_ahead > 1:
            raise ValueError(f"timing.num_ahead: got {timing.num_ahead}; allowed: 1 with report.rank")
        if not self.throughput.snr_db:
            raise ValueError("throughput.snr_db: got none; allowed: one or more with report.rank")

    def resolved(self) -> dict[str, Any]:
        """Plain values with all defaults filled in; validates to an equal experiment."""
        return self.model_dump(mode="json")


def built_in_experiments() -> dict[str, Path]:
    """Name to file of the experiments that ship with this package."""
    return shipped("ran.studies.csi.experiments")


def load(name_or_path: str, overrides: Iterable[str] = ()) -> CsiExperiment:
    """The experiment in a file, or the built-in one of that name, with `overrides` (`a.b=c`) applied."""
    return with_absolute_files(*load_as(CsiExperiment, name_or_path, overrides, built_in_experiments()))


def validated(values: Mapping[str, Any], folder: Path, source: str) -> CsiExperiment:
    """The experiment of plain values. folder: of relative file names. source: of the values, for messages."""
    return with_absolute_files(validate(CsiExperiment, values, source), folder)


def with_absolute_files(experiment: CsiExperiment, folder: Path) -> CsiExperiment:
    """The experiment with its relative file names taken relative to `folder`."""
    feedback = tuple(
        FeedbackBlock.model_validate(absolute_files(block.model_dump(), folder)) for block in experiment.feedback
    )
    channel = Block.model_validate(absolute_files(experiment.channel.model_dump(), folder))
    return experiment.model_copy(update={"feedback": feedback, "channel": channel})
