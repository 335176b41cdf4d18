"""What a beam predictor gets and what it returns. Everything a predictor needs to know is in this file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor


class Sounder(Protocol):
    """Measures more beams of the same drops at the latest time, for predictors that declare `sounds`. It is counted."""

    def __call__(self, beams: Tensor) -> Tensor:
        """Reported L1-RSRP in dBm, float32 [batch, n]. beams int64 [batch, n]: in `BeamObservation.pool_weights`."""


@dataclass(frozen=True)
class BeamObservation:
    """A batch of drops, each one user, and what a base station knows of its beams. No truth in here.

    Set A: the beams to choose from. Set B: those that were measured (TR 38.843 §5.1, Rel-18). With one receive beam
    (the best of the user's per transmit beam) Set A are the transmit beams; in joint prediction of pairs, entry
    `rx * num_tx_beams + tx` of Set A is receive beam rx with transmit beam tx.

    rsrp_dbm [batch, num_times, num_measured] float32: measured L1-RSRP as reported, latest time last; quantised.
    measured [batch, num_times, num_measured] int64: which beams these are: entries of Set A, or where `wide` entries
        of the wide codebook (with one receive beam; both are columns of `measured_codebook`).
    times_s [num_times] float64: when, ascending, 0 for the latest. horizon_s [num_horizon] float64: for when beams are
        to be predicted, 0 (now) or later; BM-Case1 has one entry.
    set_a_weights [num_places, num_tx_beams] complex64: beams of one polarisation; a beam's signal is the sum of a
        column times the elements' signals, not conjugated. wide_weights [num_places, num_wide] or None: of measured
        beams that are not in Set A, wide or learned; wide_cosines [num_wide, 2]: where they are strongest.
    set_a_cosines [num_tx_beams, 2] float32: where beams point, direction cosines along y (across) and z (up) of the
        panel, which faces along x. grid: rows and columns of these beams; entry row * columns + column.
    positions [num_places, 3] float32: of the elements in wavelengths (y across, z up), one polarisation.
    noise_dbm: power of the noise that an RSRP measurement has, after averaging; step_db: of the quantiser, 0 for none.
    num_rx_beams: 1, or the receive beams of the pairs.
    users_m [batch, num_times, 3] float32 or None: reported positions relative to the base station's site, in its
        sector's coordinates (x along the boresight azimuth); with the reporting error.
    tree_first, tree_parents: the hierarchy of wide beams: `pool_weights` holds Set A's beams, then level by level
        wider ones; level i begins at tree_first[i], and tree_parents[i] int64 gives each of its beams' place in level
        i + 1. sounder: for predictors that declare `sounds`.
    """

    rsrp_dbm: Tensor
    measured: Tensor
    times_s: Tensor
    horizon_s: Tensor
    set_a_weights: Tensor
    set_a_cosines: Tensor
    grid: tuple[int, int]
    positions: Tensor
    noise_dbm: float
    step_db: float
    wide_weights: Tensor | None = None
    wide_cosines: Tensor | None = None
    num_rx_beams: int = 1
    users_m: Tensor | None = None
    pool_weights: Tensor | None = None
    tree_first: tuple[int, ...] = ()
    tree_parents: tuple[Tensor, ...] = ()
    sounder: Sounder | None = None

    @property
    def batch(self) -> int:
        return self.rsrp_dbm.shape[0]

    @property
    def num_tx_beams(self) -> int:
        return self.set_a_weights.shape[1]

    @property
    def num_set_a(self) -> int:
        """Entries of Set A: transmit beams, or pairs."""
        return self.num_rx_beams * self.num_tx_beams

    @property
    def num_horizon(self) -> int:
        return len(self.horizon_s)

    @property
    def is_wide(self) -> bool:
        """Whether beams were measured that are not in Set A: wide ones, or such as were learned for a site."""
        return self.wide_weights is not None

    @property
    def measured_weights(self) -> Tensor:
        """Transmit weights of what was measured, complex64 [batch, num_times, num_measured, num_places]."""
        codebook = self.set_a_weights if self.wide_weights is None else self.wide_weights
        return codebook.T[self.measured % codebook.shape[1]]

    @property
    def measured_cosines(self) -> Tensor:
        """Where measured beams point, float32 [batch, num_times, num_measured, 2]."""
        cosines = self.set_a_cosines if self.wide_cosines is None else self.wide_cosines
        return cosines[self.measured % len(cosines)]

    @property
    def measured_rx(self) -> Tensor:
        """Receive beam of every measurement, int64 [batch, num_times, num_measured]; 0 with one."""
        if self.wide_weights is not None:
            return torch.zeros_like(self.measured)
        return self.measured // self.num_tx_beams

    def latest(self) -> BeamObservation:
        """The same with the latest measurements alone."""
        users = None if self.users_m is None else self.users_m[:, -1:]
        return replace(
            self,
            rsrp_dbm=self.rsrp_dbm[:, -1:],
            measured=self.measured[:, -1:],
            times_s=self.times_s[-1:],
            users_m=users,
        )

    def every(self, number: int) -> BeamObservation:
        """The same with every second, third, ... measurement in time alone, the latest one among them."""
        if number == 1:
            return self
        kept = slice((len(self.times_s) - 1) % number, None, number)
        return replace(
            self,
            rsrp_dbm=self.rsrp_dbm[:, kept],
            measured=self.measured[:, kept],
            times_s=self.times_s[kept],
            users_m=None if self.users_m is None else self.users_m[:, kept],
        )

    def part(self, start: int, stop: int) -> BeamObservation:
        """The drops `start` to `stop` (excluded) of the batch; without `sounder`, which is of the whole batch."""
        users = None if self.users_m is None else self.users_m[start:stop]
        return replace(
            self,
            rsrp_dbm=self.rsrp_dbm[start:stop],
            measured=self.measured[start:stop],
            users_m=users,
            sounder=None,
        )

    def to(self, device: torch.device | str) -> BeamObservation:
        """With all tensors on `device`."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                moved[field.name] = value.to(device)
            elif field.name == "tree_parents":
                moved[field.name] = tuple(parent.to(device) for parent in value)
        return replace(self, **moved)


def sounded(observation: BeamObservation, beams: Tensor) -> Tensor:
    """More measurements, `Sounder`; `ValueError` where the simulator offers none."""
    if observation.sounder is None:
        raise ValueError("sounder: got None; allowed: an observation whose simulator can measure more beams")
    return observation.sounder(beams)


@dataclass(frozen=True)
class BeamTruth:
    """What only a simulator knows, and what site data for `fit` hold: rsrp_dbm [batch, num_horizon, num_set_a]
    float32, true L1-RSRP of every entry of Set A at the horizon, without noise and quantisation."""

    rsrp_dbm: Tensor

    def part(self, start: int, stop: int) -> BeamTruth:
        return BeamTruth(self.rsrp_dbm[start:stop])


@dataclass(frozen=True)
class BeamPrediction:
    """rsrp_dbm [batch, num_horizon, num_set_a] float32: predicted L1-RSRP. log_probability, same shape: natural
    logarithm of the probability that an entry is the best of Set A; its exponentials sum up to 1."""

    rsrp_dbm: Tensor
    log_probability: Tensor

    @classmethod
    def of_rsrp(cls, rsrp_dbm: Tensor, spread_db: float | Tensor = 3.0) -> BeamPrediction:
        """From predicted powers alone: a softmax in which `spread_db` less power divides the probability by e."""
        return cls(rsrp_dbm, torch.log_softmax(rsrp_dbm / spread_db, -1))

    def ranked(self) -> Tensor:
        """Entries of Set A, most probable first, int64 [batch, num_horizon, num_set_a]; equal ones by their number."""
        return self.log_probability.argsort(dim=-1, descending=True, stable=True)


class BeamPredictor(ABC):
    """Turns measurements of a few beams into a prediction for all of Set A.

    Constructor arguments with type hints are the predictor's options in an experiment file. Raise `ValueError` with
    one line (what, value given, what is allowed) for options that make no sense.
    """

    name: ClassVar[str]
    #: A genie: it is handed the truth. Reports label it.
    needs_truth: ClassVar[bool] = False
    #: Whether it must see data of a site (`fit`) before it predicts.
    needs_fit: ClassVar[bool] = False
    #: Whether it ignores `rsrp_dbm` and measures by itself through `BeamObservation.sounder`.
    sounds: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, observation: BeamObservation, truth: BeamTruth | None = None) -> BeamPrediction:
        """Prediction for every entry of Set A at every time of the horizon."""

    def fit(self, observation: BeamObservation, truth: BeamTruth) -> None:  # noqa: B027
        """Learn from drops of a site for training, which are never those that are predicted."""

    def check(self, observation: BeamObservation) -> None:  # noqa: B027
        """Raise `ValueError` when the predictor cannot work on such observations (batch of any size, also 0)."""

    def fingerprint(self) -> str:
        """What identifies the predictor beyond its name and options: the SHA-256 of its weights, or nothing."""
        return ""

    def to(self, device: torch.device | str) -> BeamPredictor:
        """Move what the predictor holds to `device`."""
        return self
