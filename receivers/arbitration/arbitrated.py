"""`arbitrated`: receivers that decide together, each where it is to be believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from operator import and_
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from receivers.arbitration.evidence import decision_residual
from receivers.interface import PilotLayout, Receiver, SlotObservation, Supports, Truth

Rule = Literal["crc", "residual"]

#: Residuals that differ by less, relatively, do not tell receivers apart: the mean of their LLRs is taken.
_ALIKE = 0.02
#: `Arbitration.chosen` where no single member was.
MEAN = -1


@dataclass(frozen=True)
class Arbitration:
    """What became of a batch of slots.

    llr: as receivers return them. chosen int64 [batch, num_layers]: the member whose LLRs these are, from 0, or `MEAN`.
    ran bool [num_members, batch]: which member saw which slot.
    """

    llr: Tensor
    chosen: Tensor
    ran: Tensor


class Arbitrated(Receiver):
    """Several receivers of every slot, of which the decoder or the received grid tells which to believe.

    members: two or more receivers, names or blocks {name: ..., and its options}, from the best to the cheapest. The
        last runs on all slots, the one before on those that are not settled then, and so on.
    rule: "crc" settles a layer whose blocks the decoder finds without errors, with LLRs of the member that brought it
        there. "residual" does without a decoder: of the members that ran it takes the one whose decisions leave the
        least of the received grid. With either, where layers are left unsettled and members' decisions explain the grid
        alike, the mean of their LLRs is taken.
    least_information: of rule "residual". A slot is settled when the last member's LLRs hold so much information per
        coded bit in every layer, from 0 to 1; 0.2 above the code rate does. 1: all members run on all slots.
    """

    name = "arbitrated"

    def __init__(
        self,
        members: tuple[str | dict[str, Any], ...] = ("neural", "blind"),
        rule: Rule = "crc",
        least_information: float = 1.0,
    ) -> None:
        if rule not in get_args(Rule):
            raise ValueError(f"rule: got {rule!r}; allowed: {', '.join(get_args(Rule))}")
        if not 0 <= least_information <= 1:
            raise ValueError(f"least_information: got {least_information}; allowed: 0 to 1")
        if least_information < 1 and rule != "residual":
            raise ValueError(f"least_information: got {least_information} with rule {rule!r}; allowed: 1")
        if isinstance(members, str) or len(members) < 2:
            given = repr(members) if isinstance(members, str) else f"{len(members)} of them"
            raise ValueError(f"members: got {given}; allowed: a list of two or more receivers")
        self.members = members
        self.rule = rule
        self.least_information = least_information
        self.receivers: tuple[Receiver, ...] = tuple(built(member) for member in members)
        for receiver in self.receivers:
            if receiver.needs_truth:
                raise ValueError(f"members: got {receiver.name!r}, which needs the truth; allowed: receivers without")

    @property
    def supports(self) -> Supports:
        return reduce(and_, (receiver.supports for receiver in self.receivers))

    @property
    def uses_decoder(self) -> bool:
        return self.rule == "crc" or any(receiver.uses_decoder for receiver in self.receivers)

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        self._check(lambda receiver: receiver.check(bits_per_symbol, num_layers, num_rx_ant))

    def check_modulations(self, bits_per_layer: tuple[int, ...]) -> None:
        self._check(lambda receiver: receiver.check_modulations(bits_per_layer))

    def check_signal(self, observation: SlotObservation) -> None:
        self._check(lambda receiver: receiver.check_signal(observation))

    def check_pilots(self, layout: PilotLayout) -> None:
        self._check(lambda receiver: receiver.check_pilots(layout))

    def check_slot(self, observation: SlotObservation) -> None:
        self._check(lambda receiver: receiver.check_slot(observation))

    def _check(self, check: Callable[[Receiver], None]) -> None:
        for number, receiver in enumerate(self.receivers):
            try:
                check(receiver)
            except ValueError as error:
                raise ValueError(f"members[{number}]: {error}") from None

    def fingerprint(self) -> str:
        """SHA-256 of the members' fingerprints in their order."""
        text = json.dumps([receiver.fingerprint() for receiver in self.receivers])
        return hashlib.sha256(text.encode()).hexdigest()

    def to(self, device: torch.device | str) -> Receiver:
        for receiver in self.receivers:
            receiver.to(device)
        return self

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        return self.arbitrate(observation).llr

    def arbitrate(self, observation: SlotObservation) -> Arbitration:
        """LLRs, whose they are, and which members ran."""
        batch, device = len(observation.y), observation.y.device
        last = len(self.receivers) - 1
        settled = torch.zeros(batch, observation.num_layers, dtype=torch.bool, device=device)
        chosen = torch.full_like(settled, last, dtype=torch.int64)
        ran = torch.zeros(len(self.receivers), batch, dtype=torch.bool, device=device)
        llr = torch.empty(0, device=device)
        candidates: list[Tensor] = []
        left = torch.arange(batch, device=device)
        for member in range(last, -1, -1):
            own = self.receivers[member](observation if len(left) == batch else observation.select(left))
            ran[member, left] = True
            if member == last:
                llr = own.clone()
            found = self._settled(observation, own, member == last) & ~settled[left]
            llr[left] = torch.where(found[..., None, None], own, llr[left])
            chosen[left] = torch.where(found, member, chosen[left])
            settled[left] |= found
            stay = ~settled[left].all(1)
            left = left[stay]
            candidates = [*(candidate[stay] for candidate in candidates), own[stay]]
            if not len(left):
                return Arbitration(llr, chosen, ran)
        # what is settled of a slot is known to all candidates for the rest of it
        known, open_layers = settled[left], ~settled[left]
        candidates = [torch.where(known[..., None, None], llr[left], candidate) for candidate in candidates]
        llr[left], winner = best_explained(observation.select(left), candidates)
        winner = torch.where(winner == MEAN, MEAN, last - winner)
        chosen[left] = torch.where(open_layers, winner[:, None], chosen[left])
        return Arbitration(llr, chosen, ran)

    def _settled(self, observation: SlotObservation, llr: Tensor, is_last: bool) -> Tensor:
        """Layers that need no other member, bool [slots, num_layers]."""
        if self.rule == "crc":
            if observation.decoder is None:
                raise ValueError("decoder: got None; allowed: observations with a decoder, for rule 'crc'")
            return observation.decoder.arrived_layers(llr)
        if is_last and self.least_information < 1:
            sure = information(observation, llr) >= self.least_information
            return sure.all(1, keepdim=True).expand_as(sure)
        return torch.zeros(llr.shape[:2], dtype=torch.bool, device=llr.device)


def best_explained(observation: SlotObservation, candidates: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The LLRs whose decisions leave least of each slot's received grid, and their places among the candidates, int64
    [batch]; where some leave as little as the best, the mean of theirs, with place `MEAN`."""
    residuals = torch.stack([decision_residual(observation, llr) for llr in candidates])
    alike = residuals <= (1 + _ALIKE) * residuals.amin(0)
    weights = alike.float() / alike.sum(0)
    mean = sum(w.view(-1, 1, 1, 1) * llr for w, llr in zip(weights, candidates, strict=True))
    return torch.as_tensor(mean), torch.where(alike.sum(0) > 1, MEAN, residuals.argmin(0))


def information(observation: SlotObservation, llr: Tensor) -> Tensor:
    """Bits of information that LLRs hold of a coded bit if they are what they say, float32 [batch, num_layers].

    1 - E[H(p)], the entropy of each bit given its own LLR.
    """
    wrong = torch.sigmoid(-llr.abs())
    entropy = torch.special.entr(wrong) + torch.special.entr(1 - wrong)
    each = observation.bits_per_layer or (observation.bits_per_symbol,) * observation.num_layers
    share = torch.tensor([observation.bits_per_symbol / bits for bits in each], device=llr.device)
    # layers with fewer bits hold zeros beyond their own, which say nothing
    known = (1 - entropy / torch.log(torch.tensor(2.0, device=llr.device))).mean((2, 3))
    return known * share


def built(member: str | dict[str, Any] | Receiver) -> Receiver:
    """A member from a name, a block of a name and options, or as it is. `ValueError` for what is none of these."""
    from receivers import RECEIVER_PATHS

    if isinstance(member, Receiver):
        return member
    options = {"name": member} if isinstance(member, str) else dict(member)
    name = options.pop("name", None)
    if name not in RECEIVER_PATHS:
        raise ValueError(f"members: got {name!r}; allowed: {', '.join(RECEIVER_PATHS)}")
    module, _, cls = RECEIVER_PATHS[name].partition(":")
    receiver: Receiver = getattr(import_module(module), cls)(**options)
    return receiver
