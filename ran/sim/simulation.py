"""An experiment's link and receivers, built. The only module of `ran.sim` that knows `ran.link`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.segment import UNKNOWN_PROCESSOR
from ran.stats.counts import Counts


class SimulatedLink(Protocol):
    """What the driver needs of a link; `ran.link.Link` is one."""

    @property
    def blocks_per_drop(self) -> int: ...

    @property
    def bits_per_block(self) -> tuple[int, ...]:
        """Transport block sizes of a drop, one per user or codeword."""

    @property
    def slot_duration_s(self) -> float: ...

    @property
    def batch_drops(self) -> int: ...

    @property
    def batch_bytes(self) -> int:
        """Upper estimate of what a batch and a classical receiver hold in memory at once."""

    @property
    def receiver_seconds(self) -> Mapping[str, float]:
        """What each receiver took in the last call of `simulate`, without what all share. It decides no result."""

    def simulate(
        self, receivers: Mapping[str, Any], drops: range, esn0_db: float, seed: int, scenario_id: str
    ) -> Mapping[str, Counts]: ...


class NonFiniteNumbers(Exception):
    """Shape of the exception a link raises for a NaN or an infinity; `ran.link.NonFiniteError` is one."""

    stage: str
    drop_index: int


def _nothing_to_warm_up(say: Callable[[str], None]) -> None:
    """Default of `Simulation.warm_up`."""


@dataclass(frozen=True)
class Simulation:
    """What one process needs to simulate drops of an experiment.

    receivers: built receivers by their title. fingerprints: of the same; see `Receiver.fingerprint`.
    non_finite: the exception by which the link reports a NaN or an infinity, with `stage` and `drop_index`.
    warm_up: compiles what has to be compiled before workers start, and says so through its argument.
    device: what it computes on, as torch names it. notes: what a reader of the results should know, a sentence each.
    processor: the kind of processor or GPU, see `ran.sim.processor`.
    """

    link: SimulatedLink
    receivers: Mapping[str, Any]
    fingerprints: Mapping[str, str]
    genies: frozenset[str] = frozenset()
    non_finite: type[Any] = NonFiniteNumbers
    warm_up: Callable[[Callable[[str], None]], None] = _nothing_to_warm_up
    device: str = "cpu"
    notes: tuple[str, ...] = ()
    processor: str = UNKNOWN_PROCESSOR


@dataclass(frozen=True)
class LinkSizes:
    """What is left of a link that only counts: see `SimulatedLink`."""

    blocks_per_drop: int
    bits_per_block: tuple[int, ...]
    slot_duration_s: float
    batch_drops: int
    batch_bytes: int
    receiver_seconds: Mapping[str, float] = field(default_factory=dict)

    def simulate(
        self, receivers: Mapping[str, Any], drops: range, esn0_db: float, seed: int, scenario_id: str
    ) -> Mapping[str, Counts]:
        """Nothing can be simulated any more."""
        raise RuntimeError("this link has only sizes; build the simulation again")


def sizes_of(simulation: Simulation) -> Simulation:
    """A simulation without its link and receivers, which may hold much memory."""
    link = simulation.link
    bits = tuple(link.bits_per_block)
    sizes = LinkSizes(link.blocks_per_drop, bits, link.slot_duration_s, link.batch_drops, link.batch_bytes)
    return replace(simulation, link=sizes, receivers={}, warm_up=_nothing_to_warm_up)


#: Builds a simulation; a function at the top level of a module, so that worker processes can import it.
Build = Callable[[Experiment], Simulation]


def build_simulation(experiment: Experiment, device: str = "cpu") -> Simulation:
    """Link and receivers of an experiment on a device. InputError for whatever does not fit together.

    A program that simulates many slots in its own process is faster after `ran.sim.allocator.keep_freed_memory`, which
    the command line and its workers call; a library does not change its caller's process.
    """
    from pydantic import ValidationError

    from ran.config.validation import explain
    from ran.link import Link, LinkConfig, NonFiniteError
    from ran.link.catalogue import build_receiver, receiver_fingerprint, receiver_notes
    from ran.sim.processor import processor_kind

    if experiment.data is not None:
        raise InputError(
            f"data: got slots of {experiment.data.file}; allowed: in `ran sim` and `ran data evaluate`, elsewhere none"
        )
    resolved = experiment.resolved()
    try:
        config = LinkConfig(**experiment.physics, channel=resolved["channel"])
    except ValidationError as error:
        raise InputError(explain(error, LinkConfig)) from None
    link = Link(config, experiment.decoder, device)
    receivers, fingerprints = {}, {}
    for index, block in enumerate(experiment.receivers):
        receiver = build_receiver(block.block(), path=f"receivers.{index}")
        link.check_receiver(block.title, receiver)
        receivers[block.title] = receiver.to(device)
        fingerprints[block.title] = receiver_fingerprint(block.block(), receiver)
    link.check_memory(receivers)

    def warm_up(say: Callable[[str], None]) -> None:
        from ran.phy import ldpc

        if not ldpc.is_compiled(experiment.decoder.precision):
            say("compiling kernels for this processor (once per machine, up to a minute)")
            ldpc.warm_up(experiment.decoder.precision)
        link.warm_up(receivers)

    genies = frozenset(title for title, receiver in receivers.items() if receiver.needs_truth)
    told = (*link.notes, *receiver_notes(receivers))
    return Simulation(
        link, receivers, fingerprints, genies, NonFiniteError, warm_up, device, told, processor_kind(device)
    )
