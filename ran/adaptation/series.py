"""Series of slots over one fading process: every MCS in every slot, and the SINR that was measured there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ran.adaptation.experiment import AdaptationExperiment
from ran.adaptation.reference import CodeBlocks
from ran.adaptation.sinr import Knowledge, SinrMeter
from ran.link import Link, LinkConfig, SlotBatch
from ran.link.catalogue import build_receiver, receiver_fingerprint
from ran.phy.config import Pusch
from ran.phy.pusch import PuschGrid
from ran.phy.transport_block import TransportBlock
from ran.sim.executor import RunStopped
from ran.sim.identity import digest, physics
from receivers import Receiver

#: Series that are simulated together; more of them add to those that are known.
SERIES_PER_TABLE = 16
#: Stands for an MCS index: the SINR of the slots and no block.
SINR = -1


@dataclass(frozen=True)
class Job:
    """A table to be made: for one SNR and MCS (or `SINR`), series `first_series` and the following."""

    esn0_db: float
    mcs_index: int
    first_series: int

    @property
    def name(self) -> str:
        """A file name."""
        what = "sinr" if self.mcs_index == SINR else f"mcs{self.mcs_index:02d}"
        return f"{self.esn0_db:+.6g}dB-{what}-series{self.first_series}"


class Series:
    """The series of an experiment. All MCS of a slot meet the same channel, noise and receivers.

    So what one MCS makes of a slot can be held against what another would have, and a rule that chooses between them
    can be played on the tables afterwards.
    """

    def __init__(self, experiment: AdaptationExperiment) -> None:
        """`InputError` for what does not fit together."""
        self.experiment = experiment
        self._links: dict[int, Link] = {}
        self._blocks: dict[int, TransportBlock] = {}
        self.receivers: dict[str, Receiver] = {}
        self.fingerprints: dict[str, str] = {}
        first, last = self.link(0), self.link(experiment.num_mcs - 1)
        for index, block in enumerate(experiment.receivers):
            receiver = build_receiver(block.block(), path=f"receivers.{index}")
            for link in (first, last):
                link.check_receiver(block.title, receiver)
            self.receivers[block.title] = receiver
            self.fingerprints[block.title] = receiver_fingerprint(block.block(), receiver)
        self._meters = {knowledge: SinrMeter(knowledge) for knowledge in sorted(set(self.knowledge.values()))}
        with torch.inference_mode():
            for meter in self._meters.values():
                meter.check(first.batch([0], 0.0, 0, "check", with_channel=False).observation)

    @property
    def knowledge(self) -> dict[str, Knowledge]:
        """From what the SINR is measured for each receiver: a genie knows the channel, others have the pilots."""
        return {title: "truth" if receiver.needs_truth else "pilots" for title, receiver in self.receivers.items()}

    def link(self, mcs_index: int) -> Link:
        """The link with an MCS, over all slots of a series."""
        if mcs_index not in self._links:
            experiment = self.experiment
            config = LinkConfig(
                carrier=experiment.carrier,
                pusch=self._pusch(mcs_index),
                num_rx_ant=experiment.num_rx_ant,
                channel=experiment.resolved()["channel"],
                num_slots=experiment.adaptation.num_slots,
            )
            self._links[mcs_index] = Link(config, experiment.decoder)
        return self._links[mcs_index]

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

    def warm_up(self, say: Callable[[str], None]) -> None:
        """Compile what has to be compiled."""
        from ran.phy import ldpc

        precision = self.experiment.decoder.precision
        if not ldpc.is_compiled(precision):
            say("compiling kernels for this processor (once per machine, up to a minute)")
            ldpc.warm_up(precision)
        self.link(0).warm_up(self.receivers)

    def table(self, job: Job) -> dict[str, NDArray]:
        """What a job asks for, by name: for `SINR` per knowledge the SINRs in dB, float32 [series, slots, samples],
        else per receiver which blocks arrived, bool [series, slots].

        `RunStopped` when a NaN or an infinity appears.
        """
        link = self.link(max(job.mcs_index, 0))
        scenario = scenario_id(self.experiment, job.esn0_db)
        series = range(job.first_series, job.first_series + SERIES_PER_TABLE)
        sinr = job.mcs_index == SINR
        told = "truth" in self.knowledge.values()
        parts: dict[str, list[NDArray]] = {name: [] for name in (self._meters if sinr else self.receivers)}
        with torch.inference_mode():
            for slot in range(self.experiment.adaptation.num_slots):
                for start in range(0, SERIES_PER_TABLE, link.batch_drops):
                    drops = series[start : start + link.batch_drops]
                    batch = link.batch(drops, job.esn0_db, self.experiment.seed, scenario, told, attempt=slot)
                    for name, part in parts.items():
                        part.append(self._meters[name](batch) if sinr else self._arrived(name, link, batch, drops))  # type: ignore[index]
        slots = self.experiment.adaptation.num_slots
        # [slot, series, ...] -> [series, slot, ...]
        return {
            name: np.moveaxis(np.concatenate(part).reshape(slots, SERIES_PER_TABLE, *part[0].shape[1:]), 0, 1).copy()
            for name, part in parts.items()
        }

    def _arrived(self, title: str, link: Link, batch: SlotBatch, drops: range) -> NDArray[np.bool_]:
        llr = link.receive(self.receivers[title], batch)
        finite = torch.isfinite(llr.flatten(1).sum(1))
        if not finite.all():
            series = drops[int((~finite).nonzero()[0, 0])]
            raise RunStopped(f"non-finite numbers in the LLRs of {title}, series {series}")
        return np.asarray(link.count_errors(llr, batch).block_errors == 0)


def scenario_id(experiment: AdaptationExperiment, esn0_db: float) -> str:
    """Names the physics of the series at an SNR, the same for all MCS and receivers."""
    return digest({**series_physics(experiment), "esn0_db": float(esn0_db)})


def series_physics(experiment: AdaptationExperiment) -> dict[str, object]:
    """What decides the channel, noise and bits of series, except the SNR."""
    return {**physics(experiment), "num_slots": experiment.adaptation.num_slots}
