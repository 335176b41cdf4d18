"""Series of slots over one fading process: every MCS in every slot, and the SINR that was measured there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.link import Link, LinkConfig, SlotBatch
from ran.link.catalogue import build_receiver, receiver_fingerprint
from ran.phy.config import Pusch
from ran.phy.pusch import PuschGrid
from ran.phy.transport_block import TransportBlock
from ran.sim.executor import RunStopped
from ran.sim.identity import digest, physics
from ran.studies.adaptation.experiment import AdaptationExperiment
from ran.studies.adaptation.reference import CodeBlocks
from ran.studies.adaptation.sinr import llr_sinr_db
from receivers import Receiver

#: Series that are simulated together; more of them add to those that are known.
SERIES_PER_TABLE = 16


@dataclass(frozen=True)
class Job:
    """A table to be made of series `first_series` and the following, at one SNR and with one MCS: which blocks arrived,
    or the SINRs of the slots."""

    esn0_db: float
    mcs_index: int
    first_series: int
    of_sinr: bool = False

    @property
    def name(self) -> str:
        """A file name."""
        what = f"{'sinr-' if self.of_sinr else ''}mcs{self.mcs_index:02d}"
        return f"{self.esn0_db:+.6g}dB-{what}-series{self.first_series}"


class McsBlocks:
    """What every MCS of an experiment sends in a slot."""

    def __init__(self, experiment: AdaptationExperiment) -> None:
        self.experiment = experiment
        self._blocks: dict[int, TransportBlock] = {}

    @cached_property
    def measured_mcs(self) -> dict[int, int]:
        """The MCS whose slots SINRs are measured on, by bits per symbol: the lowest of each modulation."""
        found: dict[int, int] = {}
        for mcs_index in range(self.experiment.num_mcs):
            found.setdefault(self.code_blocks(mcs_index).entry.bits_per_symbol, mcs_index)
        return found

    def transport_block(self, mcs_index: int) -> TransportBlock:
        """What an MCS sends in a slot."""
        if mcs_index not in self._blocks:
            grid = PuschGrid.build(self.experiment.carrier, self._pusch(mcs_index), self.experiment.users)
            self._blocks[mcs_index] = grid.transport_block
        return self._blocks[mcs_index]

    def code_blocks(self, mcs_index: int) -> CodeBlocks:
        return CodeBlocks.of(self.transport_block(mcs_index))

    def _pusch(self, mcs_index: int) -> Pusch:
        return self.experiment.uplink.model_copy(update={"mcs_index": mcs_index})


class Series(McsBlocks):
    """The series of an experiment. All MCS of a slot meet the same channel, noise and receivers.

    So what one MCS makes of a slot can be held against what another would have, and a rule that chooses between them
    can be evaluated on the tables afterwards.
    """

    def __init__(self, experiment: AdaptationExperiment) -> None:
        """`InputError` for what does not fit together."""
        super().__init__(experiment)
        self._links: dict[int, Link] = {}
        self.receivers: dict[str, Receiver] = {}
        self.fingerprints: dict[str, str] = {}
        first, last = self.link(0), self.link(experiment.num_mcs - 1)
        for index, block in enumerate(experiment.receivers):
            receiver = build_receiver(block.block(), path=f"receivers.{index}")
            for link in (first, last):
                link.check_receiver(block.title, receiver)
            self.receivers[block.title] = receiver
            self.fingerprints[block.title] = receiver_fingerprint(block.block(), receiver)

    def link(self, mcs_index: int) -> Link:
        """The link with an MCS, over all slots of a series."""
        if mcs_index not in self._links:
            experiment = self.experiment
            asked = {**experiment.physics, "pusch": self._pusch(mcs_index)}
            channel, num_slots = experiment.resolved()["channel"], experiment.adaptation.num_slots
            config = LinkConfig(**asked, channel=channel, num_slots=num_slots)
            self._links[mcs_index] = Link(config, experiment.decoder)
        return self._links[mcs_index]

    def warm_up(self, say: Callable[[str], None]) -> None:
        """Compile what has to be compiled."""
        from ran.phy import ldpc

        precision = self.experiment.decoder.precision
        if not ldpc.is_compiled(precision):
            say("compiling kernels for this processor (once per machine, up to a minute)")
            ldpc.warm_up(precision)
        self.link(0).warm_up(self.receivers)

    def table(self, job: Job, titles: Sequence[str] | None = None) -> dict[str, NDArray]:
        """What a job asks for, per receiver: which blocks arrived, bool [series, slots], or the SINRs in dB, float32
        [series, slots, samples].

        titles: of the receivers, by default of all; what one makes of a slot does not depend on the others.
        `RunStopped` when a NaN or an infinity appears.
        """
        link = self.link(job.mcs_index)
        scenario = scenario_id(self.experiment, job.esn0_db)
        series = range(job.first_series, job.first_series + SERIES_PER_TABLE)
        parts: dict[str, list[NDArray]] = {title: [] for title in titles or self.receivers}
        told = any(self.receivers[title].needs_truth for title in parts)
        with torch.inference_mode():
            for slot in range(self.experiment.adaptation.num_slots):
                for start in range(0, SERIES_PER_TABLE, link.batch_drops):
                    drops = series[start : start + link.batch_drops]
                    batch = link.batch(drops, job.esn0_db, self.experiment.seed, scenario, told, attempt=slot)
                    for title, part in parts.items():
                        llr = self._llr(title, link, batch, drops)
                        part.append(_sinr_db(llr, batch) if job.of_sinr else _arrived(llr, link, batch))
        slots = self.experiment.adaptation.num_slots
        # [slot, series, ...] -> [series, slot, ...]
        return {
            title: np.moveaxis(np.concatenate(part).reshape(slots, SERIES_PER_TABLE, *part[0].shape[1:]), 0, 1).copy()
            for title, part in parts.items()
        }

    def _llr(self, title: str, link: Link, batch: SlotBatch, drops: range) -> Tensor:
        llr = link.receive(self.receivers[title], batch, title)
        finite = torch.isfinite(llr.flatten(1).sum(1))
        if not finite.all():
            series = drops[int((~finite).nonzero()[0, 0])]
            raise RunStopped(f"non-finite numbers in the LLRs of {title}, series {series}")
        return llr


def _arrived(llr: Tensor, link: Link, batch: SlotBatch) -> NDArray[np.bool_]:
    return np.asarray(link.count_errors(llr, batch).block_errors == 0)


def _sinr_db(llr: Tensor, batch: SlotBatch) -> NDArray[np.float32]:
    return llr_sinr_db(llr, batch.coded_bits, batch.observation.data_mask)


def scenario_id(experiment: AdaptationExperiment, esn0_db: float) -> str:
    """Names the physics of the series at an SNR, the same for all MCS and receivers."""
    return digest({**series_physics(experiment), "esn0_db": float(esn0_db)})


def series_physics(experiment: AdaptationExperiment) -> dict[str, object]:
    """What decides the channel, noise and bits of series, except the SNR."""
    return {**physics(experiment), "num_slots": experiment.adaptation.num_slots}
