"""Slots of a data set as a base station has them: with bits where the decoder found its CRC right, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.config.validation import validate
from ran.datasets.reader import DropDataset
from ran.errors import InputError
from ran.link import Link
from ran.sim.experiment import Experiment, ReceiverBlock
from ran.sim.simulation import build_simulation
from receivers import NeuralReceiver, SlotObservation, Truth

#: Kind of data sets whose bits were decoded when they were written, by `ran decode --data`.
_DECODED = "recorded-slots"


class DecodedSlots:
    """Slots of a split whose blocks all have a right CRC, with the bits that the decoder encoded again.

    Of a set of `ran decode --data` all: its bits were decoded, also by later HARQ attempts. Of a set of `ran data`
    those that the weights `init` receive; the true bits of the file are not looked at. Without `init` all slots count
    with the file's bits.
    """

    def __init__(self, path: Path, split: str, init: str | None) -> None:
        self.dataset = DropDataset(path, split)
        for name in ("y", "h", "coded_bits"):
            if name not in self.dataset.fields:
                raise InputError(f"data: {path} holds no {name}; allowed: slots written with their channel")
        #: Slots of the split, of which `len` are decoded.
        self.num_sent = len(self.dataset)
        self._bits: NDArray[np.uint8] | None = None
        if init is not None and self.dataset.header.attrs["kind"] != _DECODED:
            places, self._bits = _decoded(self.dataset, path, init)
            self.dataset.drops = self.dataset.drops[places]

    def __len__(self) -> int:
        return len(self.dataset)

    def __call__(self, places: list[int]) -> tuple[SlotObservation, Truth]:
        """The decoded slots at these places, from 0."""
        observation, truth = self.dataset.observation(places)
        if truth is None:
            raise InputError(f"data: {self.dataset.path} holds no channel; allowed: slots written with their channel")
        if self._bits is not None:
            truth = replace(truth, coded_bits=torch.from_numpy(self._bits[places]))
        return observation, truth


def _decoded(dataset: DropDataset, path: Path, init: str) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Places of the slots that the weights receive, and their coded bits."""
    if dataset.header.attrs["kind"] != "slots":
        raise InputError(f"{path}: kind: got {dataset.header.attrs['kind']}; allowed: slots, which hold grids and bits")
    experiment = validate(Experiment, dataset.header.json("experiment"), str(path))
    plain = experiment.model_copy(update={"receivers": (ReceiverBlock(name="ls-linear"),), "data": None})
    link, receiver = build_simulation(plain).link, NeuralReceiver(init)
    if not isinstance(link, Link):
        raise TypeError(f"link: got {type(link).__name__}; allowed: Link")
    link.check_receiver(init, receiver)
    places, bits = [], []
    with torch.inference_mode():
        for start in range(0, len(dataset), link.batch_drops):
            part = list(range(start, min(start + link.batch_drops, len(dataset))))
            coded, arrived = _reencoded(link, receiver, dataset, part)
            whole = arrived.all(1)
            places += [place for place, ok in zip(part, whole.tolist(), strict=True) if ok]
            bits.append(coded[whole].to(torch.uint8).numpy())
    return np.array(places, np.int64), np.concatenate(bits)


def _reencoded(link: Link, receiver: NeuralReceiver, dataset: DropDataset, part: list[int]) -> tuple[Tensor, Tensor]:
    """Coded bits as the decoder has them, and which layers arrived."""
    values = dataset.batch(part)
    # the link wants bits for its counts, which are not asked for here
    unknown = torch.zeros_like(values["coded_bits"])
    noise, blocks = values["noise_var"].to(torch.float32), np.zeros_like(values["transport_blocks"].numpy())
    batch = link.recorded(values["y"], noise, blocks, unknown, None)
    decoder = batch.observation.decoder
    if decoder is None:
        raise TypeError("decoder: got None; allowed: a link with a decoder")
    return decoder.reencoded(link.receive(receiver, batch))


def moved(value: Any, device: torch.device) -> Any:
    """A dataclass with its tensors on a device."""
    tensors = {name: item.to(device) for name, item in vars(value).items() if isinstance(item, torch.Tensor)}
    return replace(value, **tensors)
