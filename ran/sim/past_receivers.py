"""Receivers of a run folder: those of today, and those whose outcomes stay in the store though they were removed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ran.config.validation import validate
from ran.sim.experiment import Experiment, ReceiverBlock
from ran.sim.identity import digest, first_difference

#: Key of the store under which they are.
PAST_RECEIVERS = "past_receivers"


@dataclass(frozen=True)
class StoredReceiver:
    """A receiver as the store describes it: its block in the experiment, its `receiver_identity`, and whether it is
    told the truth."""

    block: dict[str, Any]
    identity: dict[str, Any]
    is_genie: bool

    @property
    def title(self) -> str:
        return validate(ReceiverBlock, self.block, "receivers").title


def stored_receivers(meta: Mapping[str, str]) -> dict[str, StoredReceiver]:
    """The receivers that the folder was last run with, by the digest of their identity; none in a new folder."""
    with suppress(KeyError):
        blocks, genies = json.loads(meta["experiment"])["receivers"], json.loads(meta["genies"])
        identities = json.loads(meta["receivers"])
        found = {}
        for block in blocks:
            title = validate(ReceiverBlock, block, "receivers").title
            found[digest(identities[title])] = StoredReceiver(block, identities[title], title in genies)
        return found
    return {}


def past_receivers(meta: Mapping[str, str]) -> dict[str, StoredReceiver]:
    """The receivers that the folder was run with before, and now is not, by the digest of their identity."""
    return {name: StoredReceiver(**values) for name, values in json.loads(meta.get(PAST_RECEIVERS, "{}")).items()}


def past_after(meta: Mapping[str, str], receivers: Mapping[str, Mapping[str, Any]]) -> str:
    """What `PAST_RECEIVERS` holds when a folder goes on with `receivers`, `receiver_identity` by title."""
    now = {digest(identity) for identity in receivers.values()}
    everyone = {**past_receivers(meta), **stored_receivers(meta)}
    return json.dumps({name: asdict(receiver) for name, receiver in everyone.items() if name not in now})


def changes(meta: Mapping[str, str], receivers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is different about the receivers of a folder when it goes on with `receivers`, a sentence each."""
    before = {receiver.title: receiver for receiver in stored_receivers(meta).values()}
    if not before:
        return []
    past = past_receivers(meta)
    found = []
    for title, identity in receivers.items():
        returns = digest(identity) in past
        if title not in before:
            again = ", with the outcomes that are stored" if returns else ""
            found.append(f"receiver {title!r} joins the run{again}")
        elif difference := first_difference(before[title].identity, identity):
            begins = "it goes on from what is stored of it" if returns else "it starts again"
            found.append(
                f"receiver {title!r} has changed ({difference}): {begins}; outcomes of the one before stay in the store"
            )
    found += [
        f"receiver {title!r} has left the run: its outcomes stay in the store, shown by `ran report --all-receivers`"
        for title in before
        if title not in receivers
    ]
    return found


def with_past(experiment: Experiment, meta: Mapping[str, str]) -> tuple[Experiment, dict[str, StoredReceiver]]:
    """The experiment with the past receivers too, labelled as such; and these, by their new titles."""
    taken = {receiver.title for receiver in experiment.receivers}
    added: dict[str, StoredReceiver] = {}
    blocks = list(experiment.receivers)
    for name, receiver in past_receivers(meta).items():
        title = f"{receiver.title} (removed)"
        if receiver.title in taken or title in taken:
            title = f"{receiver.title} (before, {name[:8]})"
        taken.add(title)
        added[title] = receiver
        blocks.append(validate(ReceiverBlock, {**receiver.block, "label": title}, "receivers"))
    return experiment.model_copy(update={"receivers": tuple(blocks)}), added
