"""Targets whose files take received slots: from a trained receiver to a module, a file, and what runs it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ran.export.formats import FileFormat, OnnxFormat
from ran.export.graphs import Graph
from ran.export.interface import ONNX_INSTALL, ONNX_PACKAGES, ExportTarget, Say
from ran.export.outcome import FileOutcome, Outcome
from ran.export.request import DTYPES, Request
from ran.export.runtime_model import ModelReceiver
from ran.link import Link
from receivers import NeuralReceiver, SlotObservation


class SlotTarget(ExportTarget):
    """A target for the weights of the receiver `neural`.

    contract: name of what its files keep (`receivers.onnx.contracts`). format: how a module becomes a file and what
    runs it again. changes: to the experiment, such that its slots are of the contract's kind. esn0_db: where BLER is
    compared, some way down the waterfall of those slots. per_prb: whether a file is for one number of PRBs.
    other_slots: (PRBs, receive antennas) of further slots that it is compared on, where it leaves its sizes open.
    """

    contract: ClassVar[str] = "generic"
    format: FileFormat = OnnxFormat()
    packages: ClassVar[tuple[str, ...]] = ONNX_PACKAGES
    install: ClassVar[str] = ONNX_INSTALL
    changes: ClassVar[tuple[str, ...]] = ()
    esn0_db: ClassVar[float] = 4.0
    per_prb: ClassVar[bool] = True
    other_slots: ClassVar[tuple[tuple[int, int], ...]] = ()
    dtypes: ClassVar[tuple[str, ...]] = DTYPES
    options: ClassVar[frozenset[str]] = frozenset(
        {"num_prb", "esn0_db", "num_slots", "loss_slots", "max_loss_db", "latency_slots"}
    )

    @abstractmethod
    def build(
        self, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
    ) -> Graph:
        """The receiver as a module with the contract's inputs and outputs, for slots shaped as `like`.

        esn0_db: noise level of demappers, which no input tells. settings: `planes` of the request, if any. `ValueError`
        when the weights or the slots cannot meet the contract.
        """

    def add_files(
        self, path: Path, graph: Graph, module: ModelReceiver, link: Link, esn0_db: float, found: FileOutcome
    ) -> None:
        """Write what its stack wants beside the model file `path`, and note what was measured in `found`."""

    def describe(self, files: Sequence[FileOutcome], folder: Path) -> list[str]:
        """Write what its stack reads beside all model files; returns lines for the report."""
        return []

    def export(self, request: Request, say: Say) -> Outcome:
        from ran.export.run import export

        return export(request, say)
