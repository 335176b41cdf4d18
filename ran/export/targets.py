"""The targets for receivers that ship with the toolkit, and every target by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ran.export.engine import io_formats, shapes, write_engine
from ran.export.formats import LitertFormat, SavedModelFormat, TorchFormat
from ran.export.graphs import Graph, chest, demapper, generic, has_open_sizes, neural_rx, traced
from ran.export.half_buffers import write_half_buffers
from ran.export.outcome import FileOutcome
from ran.export.runtime_model import ModelReceiver
from ran.export.sidecar_files import copy_consumer
from ran.export.slot_target import SlotTarget
from ran.link import Link
from receivers import NeuralReceiver, SlotObservation
from receivers.onnx.contracts import CONTRACTS

#: The stack's own name for what it calls a slot.
Slot = Mapping[str, Any]
_OTHER_SLOTS = ((1, 2), (7, 4), (25, 3))


class _Generic(SlotTarget):
    """The toolkit's own contract, in whatever format."""

    def build(
        self, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
    ) -> Graph:
        return generic(receiver, like)


class _OfAnyNetwork(_Generic):
    """The same, and networks of one's own by their forward pass, for one size of slot.

    knows_complex: whether the runtime knows complex numbers.
    """

    knows_complex: ClassVar[bool] = False

    def build(
        self, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
    ) -> Graph:
        return generic(receiver, like) if has_open_sizes(receiver) else traced(receiver, like, not self.knows_complex)


class Onnx(_OfAnyNetwork):
    """ONNX of the toolkit's own contract; any number of PRBs, antennas, symbols; networks of one's own, one size"""

    name = "onnx"
    per_prb = False
    other_slots = _OTHER_SLOTS


class _OfEngine(SlotTarget):
    """A target whose stack runs a TensorRT engine. builds: whether it is built here, where trtexec is; engines hold for
    one GPU and one version, and the stacks build theirs in place."""

    builds: ClassVar[bool] = False

    def engine_options(self, slot: Slot) -> str:
        """What trtexec is told of the file's tensors."""
        raise NotImplementedError

    def describe(self, files: Sequence[FileOutcome], folder: Path) -> list[str]:
        return [note for file in files for note in write_engine(file, folder, self.engine_options, self.builds)]


class AerialNrx(_OfEngine):
    """neural receiver for pyAerial, one layer or two"""

    name = contract = "aerial-nrx"
    options = SlotTarget.options | {"planes"}

    def build(
        self, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
    ) -> Graph:
        planes = settings.get("planes", like.bits_per_symbol)
        return neural_rx(CONTRACTS[self.contract], receiver, like, planes, joined=False)

    def engine_options(self, slot: Slot) -> str:
        return io_formats("fp32:chw", 5, 2)


class CuphyChest(_OfEngine):
    """channel estimator for real-time cuPHY, up to four layers, with its YAML"""

    name = contract = "cuphy-chest"
    changes = ("users.num_users=2", "num_rx_ant=4")
    esn0_db = 6.0

    def build(
        self, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
    ) -> Graph:
        return chest(CONTRACTS[self.contract], receiver, like)

    def engine_options(self, slot: Slot) -> str:
        return shapes({"z": f"1x{6 * slot['num_prb']}x4x4x{len(slot['dmrs_symbols'])}x2"})

    def describe(self, files: Sequence[FileOutcome], folder: Path) -> list[str]:
        from ran.export.cuphy import cuphy_yaml

        for file in files:
            text = cuphy_yaml(file, self.engine_options)
            (folder / f"{Path(file.name).stem}.yaml").write_text(text, encoding="utf-8")
        note = "The YAML names an engine, which is built by the command below."
        return [note, *super().describe(files, folder)]


class OaiNrx(_OfEngine):
    """neural receiver for the Sionna Research Kit plugin of OpenAirInterface: 24 PRB, 16QAM, one layer and antenna"""

    name = contract = "oai-nrx"
    changes = (
        "num_rx_ant=1",
        "pusch.num_symbols=13",
        "pusch.dmrs.additional_position=2",
        "pusch.dmrs.num_cdm_groups_without_data=1",
    )
    esn0_db = 13.0

    def build(
        self, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
    ) -> Graph:
        return neural_rx(CONTRACTS[self.contract], receiver, like, 4, joined=True)

    def engine_options(self, slot: Slot) -> str:
        return io_formats("fp16:chw", 3, 1)

    def add_files(
        self, path: Path, graph: Graph, module: ModelReceiver, link: Link, esn0_db: float, found: FileOutcome
    ) -> None:
        write_half_buffers(path, graph, module, link, esn0_db, found)

    def describe(self, files: Sequence[FileOutcome], folder: Path) -> list[str]:
        copy_consumer("oai_nrx.h", folder)
        return super().describe(files, folder)


class _Demapper(SlotTarget):
    """A demapper, which takes symbols one by one."""

    dtypes = ("f32",)
    per_prb = False
    esn0_db = 5.0
    options = SlotTarget.options - {"num_prb"}


class OaiDemapper(_Demapper):
    """demapper of the same kit: 16QAM"""

    name = contract = "oai-demapper"

    def build(
        self, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
    ) -> Graph:
        if like.bits_per_symbol != 4:
            raise ValueError(f"got {like.bits_per_symbol} bits per symbol; allowed: 4 (16QAM)")
        return demapper(CONTRACTS[self.contract], like, esn0_db, scale=10**0.5 / 2)


class Llrnet(_Demapper):
    """demapper of pyAerial's LLRNet"""

    name = contract = "llrnet"

    def build(
        self, receiver: NeuralReceiver, like: SlotObservation, esn0_db: float, settings: Mapping[str, int]
    ) -> Graph:
        return demapper(CONTRACTS[self.contract], like, esn0_db, num_outputs=8)


class TorchProgram(_OfAnyNetwork):
    """torch.export program (.pt2), one size of slot; networks of one's own, with complex numbers too"""

    name = "torch"
    format = TorchFormat()
    packages = ()
    install = ""
    dtypes = ("f32",)
    knows_complex = True


class TensorRt(_OfAnyNetwork, _OfEngine):
    """typed ONNX and the build command of a TensorRT engine; the engine too where trtexec is"""

    name = "tensorrt"
    dtypes = ("f32", "f16")
    other_slots = _OTHER_SLOTS
    builds = True

    def engine_options(self, slot: Slot) -> str:
        layers, rx = slot["num_layers"], slot["num_rx_ant"]
        grid = f"14x{12 * slot['num_prb']}"
        return shapes(
            {
                "y": f"1x{rx}x{grid}x2",
                "pilots": f"{layers}x{grid}x2",
                "data_mask": grid,
                "noise_var": "1",
                "h_hat": f"1x{rx}x{layers}x{grid}x2",
                "err_var": f"1x{layers}x{grid}",
                "symbol_times_ms": "14",
            }
        )


class Litert(_Generic):
    """LiteRT (TensorFlow Lite) file (.tflite), one size of slot (pip install 'ran6g[litert]')"""

    name = "litert"
    format = LitertFormat()
    packages = ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")
    install = "pip install 'ran6g[litert]' (in an environment of its own)"


class SavedModelTarget(_Generic):
    """TensorFlow SavedModel, one size of slot, for CPUs (pip install 'ran6g[litert,tensorflow]')"""

    name = "savedmodel"
    format = SavedModelFormat()
    dtypes = ("f32",)
    packages = ("tensorflow", "litert_torch")
    install = "pip install 'ran6g[litert,tensorflow]' (in an environment of its own)"


#: Targets for receivers, by name.
TARGETS: dict[str, SlotTarget] = {
    target.name: target
    for target in (
        Onnx(), AerialNrx(), CuphyChest(), OaiNrx(), OaiDemapper(), Llrnet(), TorchProgram(), TensorRt(), Litert(),
        SavedModelTarget(),
    )
}  # fmt: skip
