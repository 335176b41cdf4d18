"""The result of a run in a few rows: SNR at the target BLERs, gain over the reference, loss to the genie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ran.report.crossing import Crossings, reference_receiver
from ran.report.verdict import verdict
from ran.stats import Estimate, Notation, percent

if TYPE_CHECKING:
    from ran.sim.results import RunResults

TARGET_BLERS = (0.1, 0.01)
_DB, _GAIN = Notation(), Notation(signed=True)


@dataclass(frozen=True)
class SummaryRow:
    """One receiver at one target BLER after the other; the tuples follow `target_blers`.

    is_genie: the receiver was given the true channel, so it bounds the others and is no competitor.
    is_reference: gains are given over this receiver, the first one of the experiment that is no genie.
    crossings: Es/N0 [dB] at the target BLER.
    gains: dB less than the reference needs; a text "—" and the reason where there is none. Paired drop by drop.
    losses: dB more than the first genie needs; in the same form.
    ebn0s: the crossings as Eb/N0 [dB] (`ran.link.snr`); None of a downlink.
    """

    receiver: str
    is_genie: bool
    is_reference: bool
    target_blers: tuple[float, ...]
    crossings: tuple[Estimate, ...]
    gains: tuple[Estimate, ...]
    losses: tuple[Estimate, ...]
    ebn0s: tuple[Estimate, ...] | None = None


def summary_table(
    results: RunResults, target_blers: Sequence[float] = TARGET_BLERS, esn0_less_ebn0_db: float | None = None
) -> list[SummaryRow]:
    """A row per receiver that has points, in the order of the experiment.

    esn0_less_ebn0_db: what Es/N0 is above Eb/N0 where Eb/N0 is counted otherwise than by `ran.link.snr`.
    """
    receivers = list(dict.fromkeys(p.receiver for p in results.points))
    reference = reference_receiver(results)
    genie = next((r for r in receivers if r in results.genie_receivers), None)
    crossings = Crossings(results)
    offset_db = ebn0_offset_db(results) if esn0_less_ebn0_db is None else esn0_less_ebn0_db

    def ebn0s(found: Sequence[Estimate]) -> tuple[Estimate, ...] | None:
        return None if offset_db is None else tuple(crossing.shifted(-offset_db) for crossing in found)

    def gain(receiver: str, over: str | None, target: float, nobody: str) -> Estimate:
        if over is None:
            return Estimate.missing(nobody, "dB")
        if receiver == over:
            return Estimate.missing("compared with itself", "dB")
        return crossings.gain(receiver, over, target)

    def loss(receiver: str, target: float) -> Estimate:
        if genie is None or receiver == genie:
            return gain(receiver, genie, target, "the run has no genie receiver")
        return crossings.gain(genie, receiver, target)

    at_targets = {r: tuple(crossings.crossing(r, t) for t in target_blers) for r in receivers}
    return [
        SummaryRow(
            receiver=receiver,
            is_genie=receiver in results.genie_receivers,
            is_reference=receiver == reference,
            target_blers=tuple(target_blers),
            crossings=at_targets[receiver],
            gains=tuple(gain(receiver, reference, t, "the run has only genie receivers") for t in target_blers),
            losses=tuple(loss(receiver, t) for t in target_blers),
            ebn0s=ebn0s(at_targets[receiver]),
        )
        for receiver in receivers
    ]


def ebn0_offset_db(results: RunResults) -> float | None:
    """Es/N0 less Eb/N0 in dB, of an uplink; None of a downlink, whose power is counted at the base station,
    with a link budget, whose points are transmit powers, and of users whose MCS or resource blocks differ."""
    experiment = results.experiment
    if experiment.pusch is None or experiment.link_budget is not None:
        return None
    # torch takes a while to import, and only grids need it
    from ran.link.snr import ebn0_db
    from ran.phy.pusch import PuschGrid
    from ran.phy.user_grids import uplink_grid

    grid = uplink_grid(experiment.carrier, experiment.pusch, experiment.users)
    return -ebn0_db(0.0, grid) if isinstance(grid, PuschGrid) and not grid.has_unlike_users else None


def has_crossings(rows: Sequence[SummaryRow]) -> bool:
    """Whether any receiver meets any target; without, a table would hold nothing but dashes."""
    return any(crossing.is_known for row in rows for crossing in row.crossings)


def reasons(rows: Sequence[SummaryRow]) -> list[str]:
    """Why crossings are absent, one sentence each."""
    return [
        f"{row.receiver} at {percent(target)} BLER: {crossing.reason}."
        for row in rows
        for target, crossing in zip(row.target_blers, row.crossings, strict=True)
        if not crossing.is_known
    ]


def findings(rows: Sequence[SummaryRow], what: str = "Es/N0") -> list[str]:
    """What the rows say in plain sentences, one for each receiver that is compared with the reference.

    Each target BLER has its gain with the paired interval and what that decides; a difference that the interval does
    not hold is undecided.
    """
    reference = next((row for row in rows if row.is_reference), None)
    genie = next((row for row in rows if row.is_genie), None)
    if reference is None:
        return []
    sentences = []
    for row in rows:
        known = [(target, gain, loss) for target, gain, loss in zip(*_of(row), strict=True) if gain.is_known]
        if row.is_reference or row.is_genie or not known:
            continue
        clauses = [_first(known[0][1], reference.receiver, what, known[0][0])]
        clauses += [_next(gain, target) for target, gain, _ in known[1:]]
        target, _, loss = known[0]
        if genie is not None and loss.is_known:
            clauses.append(f"{_DB.value(loss)} dB {_DB.interval(loss)} from {genie.receiver} at {percent(target)} BLER")
        sentences.append(f"{row.receiver} {'; '.join(clauses)}.")
    return sentences


def _of(row: SummaryRow) -> tuple[tuple[float, ...], tuple[Estimate, ...], tuple[Estimate, ...]]:
    return row.target_blers, row.gains, row.losses


def _first(gain: Estimate, reference: str, what: str, target: float) -> str:
    """A gain at a target BLER in words, with its interval, and what that decides."""
    decided, at = verdict(gain), f"at {percent(target)} BLER"
    if decided == "undecided":
        return (
            f"cannot be told apart from {reference} {at}: gain {_GAIN.value(gain)} dB {_GAIN.interval(gain)}, undecided"
        )
    return f"needs {_less_or_more(gain)} {what} than {reference} {at}: {decided}"


def _next(gain: Estimate, target: float) -> str:
    """The same at another target, in fewer words."""
    decided, at = verdict(gain), f"at {percent(target)} BLER"
    if decided == "undecided":
        return f"{at} gain {_GAIN.value(gain)} dB {_GAIN.interval(gain)}: undecided"
    return f"{at} {_less_or_more(gain)}: {decided}"


def _less_or_more(gain: Estimate) -> str:
    if gain.is_above(0):
        return f"{_DB.value(gain)} dB {_DB.interval(gain)} less"
    loss = _negated(gain)
    return f"{_DB.value(loss)} dB {_DB.interval(loss)} more"


def _negated(gain: Estimate) -> Estimate:
    """The same as a loss."""
    value, low, high = (None if number is None else -number for number in gain.numbers)
    return replace(gain, value=value, low=high, high=low)
