"""The slots that an exported file is for: an experiment's link, changed to what the target's contract takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from pydantic import ValidationError

from ran.config.validation import explain
from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.sim.experiment import Experiment, load, refuse_link_budget
from receivers import SlotObservation

#: Key of the streams of all simulations of an export.
SCENARIO = "export"
#: Parts of an experiment that files are not exported for, and what is taken in their place.
_NOT_TAKEN = {
    "pdsch": "an experiment with a PUSCH",
    "harq": "null, files are compared on single transmissions",
    "waveform": "null, files are compared on slots of the frequency domain",
    "data": "null, files are compared on simulated slots",
}


def experiment_of(name: str, of_target: Sequence[str], changes: Sequence[str]) -> Experiment:
    """The experiment whose slots are exported for; `changes` beat those of the target.

    `InputError` for an experiment whose link is not that of `link_of`: one transmission of a PUSCH, simulated, in the
    frequency domain.
    """
    experiment = load(name, [*of_target, *changes])
    refuse_link_budget(experiment, "ran export")
    experiment.users.check_one_allocation("with `ran export`")
    if experiment.users.n_rnti is not None:
        raise InputError(
            f"users.n_rnti: got {list(experiment.users.n_rnti)} with `ran export`; allowed: pusch.n_rnti, from which "
            "the others count up"
        )
    for key, allowed in _NOT_TAKEN.items():
        if getattr(experiment, key) is not None:
            raise InputError(f"{key}: got one in {experiment.name!r} with `ran export`; allowed: {allowed}")
    return experiment


def link_of(experiment: Experiment, num_prb: int | None = None, num_rx_ant: int | None = None) -> Link:
    """An experiment's link, of other size if asked."""
    carrier = experiment.carrier
    if num_prb is not None:
        carrier = type(carrier).model_validate({**carrier.model_dump(), "num_prb": num_prb})
    build = partial(LinkConfig, carrier=carrier, pusch=experiment.pusch, users=experiment.users)
    channel = experiment.resolved()["channel"]
    try:
        return Link(build(num_rx_ant=num_rx_ant or experiment.num_rx_ant, channel=channel), experiment.decoder)
    except ValidationError as error:
        raise InputError(explain(error, LinkConfig)) from None


def empty_slot(link: Link) -> SlotObservation:
    """What is known of a link's slot before it is received."""
    observation = link.batch(range(1), 100.0, 0, SCENARIO, with_channel=False).observation
    return replace(observation, y=torch.zeros_like(observation.y), decoder=None)
