"""Throughput of every way to choose the MCS, with intervals over the series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ran.stats import Estimate, grouped_wilson, ratio_of_means, student_mean, wilson
from ran.studies.adaptation import effective
from ran.studies.adaptation.coefficients import beta_of
from ran.studies.adaptation.effective import effective_sinr_db
from ran.studies.adaptation.experiment import AdaptationExperiment
from ran.studies.adaptation.loop import choose, ideal
from ran.studies.adaptation.run import Point
from ran.studies.adaptation.series import McsBlocks

ENVELOPE, IDEAL = "envelope", "ideal"


@dataclass(frozen=True)
class Outcome:
    """What one way to choose the MCS brought a receiver at an SNR.

    mode: "fixed MCS n"; "envelope", the fixed MCS with the highest throughput at this SNR; "ideal", per slot the MCS
        that brings most, known beforehand; "eesm" or "miesm", the inner loop alone; "eesm + olla", both loops.
    sent_bits, delivered_bits int64 [series]: information bits of the blocks sent and of those that arrived, over the
        slots that count.
    block_errors int64 [series]: of first transmissions. mean_mcs: mean index of the MCS sent.
    """

    receiver: str
    mode: str
    esn0_db: float
    sent_bits: NDArray[np.int64]
    delivered_bits: NDArray[np.int64]
    block_errors: NDArray[np.int64]
    slots: int
    slot_duration_s: float
    mean_mcs: float

    @property
    def throughput_mbps(self) -> Estimate:
        """Delivered bits per air time, in Mbit/s, by Student's t; series are the independent units, as everywhere here.

        Where all series deliver the same it says nothing: as many series as Wilson's interval of none among them allows
        may then differ, and deliver nothing or all that was sent.
        """
        scale = 1 / (self.slots * self.slot_duration_s) / 1e6
        rate = replace(student_mean(self.delivered_bits * scale), unit="Mbit/s")
        if rate.half_width:
            return rate
        others, value = _unseen(len(self.delivered_bits)), rate.known
        most = max(value, float(self.sent_bits.mean()) * scale)
        return replace(rate, low=(1 - others) * value, high=(1 - others) * value + others * most)

    @property
    def bler(self) -> Estimate:
        """Of the first transmission, by Wilson's interval with a series as its drop."""
        return grouped_wilson(self.block_errors, self.slots)

    def gain_percent(self, reference: Outcome) -> Estimate:
        """Throughput above that of another outcome on the same series, in percent of it; no value where it has none.

        Where no series shows a difference from the ratio of the means, the interval is that of `throughput_mbps`: in
        series not seen one of the two may deliver nothing.
        """
        ratio = ratio_of_means(self.delivered_bits, reference.delivered_bits)
        if ratio.is_known and not ratio.half_width:
            seen = 1 - _unseen(len(self.delivered_bits))
            most = float(self.sent_bits.mean() / reference.delivered_bits.mean())
            ratio = replace(ratio, low=seen * ratio.known, high=max(ratio.known / seen, (1 - seen) * most))
        return ratio.shifted(-1).scaled(100, "%")


def _unseen(num_series: int) -> float:
    """Upper end of Wilson's interval for the share of what none of so many series showed."""
    return wilson(0.0, num_series).high or 0.0


def outcomes(experiment: AdaptationExperiment, blocks: McsBlocks, points: Sequence[Point]) -> tuple[Outcome, ...]:
    """All modes of all receivers at all SNRs."""
    titles = points[0].arrived
    return tuple(outcome for title in titles for point in points for outcome in _of(experiment, blocks, point, title))


def _of(experiment: AdaptationExperiment, blocks: McsBlocks, point: Point, title: str) -> list[Outcome]:
    settings, window = experiment.adaptation, point.window
    counted = slice(settings.warm_up_slots, None)
    bits = np.array([blocks.transport_block(m).tb_size for m in window], np.int64)
    arrived = point.arrived[title]
    duration = experiment.carrier.slot_duration_s

    def outcome(mode: str, chosen: NDArray[np.int64]) -> Outcome:
        hit = np.take_along_axis(arrived, chosen[..., None], axis=-1)[:, counted, 0]
        sent = chosen[:, counted]
        return Outcome(
            receiver=title,
            mode=mode,
            esn0_db=point.esn0_db,
            sent_bits=bits[sent].sum(1),
            delivered_bits=(hit * bits[sent]).sum(1),
            block_errors=(~hit).sum(1),
            slots=hit.shape[1],
            slot_duration_s=duration,
            mean_mcs=float(sent.mean() + window.start),
        )

    everywhere = np.zeros(arrived.shape[:2], np.int64)
    fixed = [outcome(f"fixed MCS {m}", everywhere + place) for place, m in enumerate(window)]
    best = max(range(len(window)), key=lambda place: int(fixed[place].delivered_bits.sum()))
    found = [*fixed, outcome(ENVELOPE, everywhere + best), outcome(IDEAL, ideal(bits, arrived))]
    for mapping in settings.mappings:
        margin_db = margins_db(blocks, point, title, mapping, settings.target_bler)
        for mode, outer in ((mapping, None), (f"{mapping} + olla", settings.olla)):
            sent = choose(margin_db, arrived, settings.delay_slots, settings.target_bler, outer)
            found.append(outcome(mode, sent))
    return found


def margins_db(
    blocks: McsBlocks, point: Point, title: str, mapping: effective.Mapping, target_bler: float
) -> NDArray[np.float64]:
    """Effective SINR measured less the SNR at which an MCS has the target BLER, [series, slots, mcs of the window]."""
    margins = []
    for mcs_index in point.window:
        code = blocks.code_blocks(mcs_index)
        beta = beta_of(code.entry, mapping)
        effective = effective_sinr_db(
            point.sinr_db[title][code.entry.bits_per_symbol], mapping, code.entry.bits_per_symbol, beta
        )
        margins.append(effective - code.snr_db(target_bler))
    return np.stack(margins, axis=-1)


def reference_receiver(needs_truth: Mapping[str, bool]) -> str | None:
    """The receiver that gains are given over: the first that is no genie. needs_truth: by receiver."""
    return next((title for title, genie in needs_truth.items() if not genie), None)
