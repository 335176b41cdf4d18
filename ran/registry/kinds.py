"""The kinds of things that are found by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from channels import CHANNEL_PATHS
from channels.impairments import IMPAIRMENT_PATHS
from receivers import RECEIVER_PATHS
from receivers.beams import BEAM_PREDICTOR_PATHS
from receivers.neural import ARCHITECTURE_PATHS


@dataclass(frozen=True)
class Kind:
    """A kind of class.

    name: as `ran list` has it. noun: one of them, in messages. base: MODULE:Class that each of them is derived from.
    shipped: MODULE:Class by name. group: of the entry points of installed packages.
    """

    name: str
    noun: str
    base: str
    shipped: Mapping[str, str]

    @property
    def group(self) -> str:
        return f"ran6g.{self.name.replace('-', '_')}"


CHANNEL = Kind("channels", "channel", "channels.interface:Channel", CHANNEL_PATHS)
IMPAIRMENT = Kind("impairments", "impairment", "channels.impairments.interface:Impairment", IMPAIRMENT_PATHS)
RECEIVER = Kind("receivers", "receiver", "receivers.interface:Receiver", RECEIVER_PATHS)
ARCHITECTURE = Kind("architectures", "architecture", "torch.nn:Module", ARCHITECTURE_PATHS)
BEAM_PREDICTOR = Kind(
    "beam-predictors", "beam predictor", "receivers.beams.interface:BeamPredictor", BEAM_PREDICTOR_PATHS
)
EXPORT_TARGET = Kind(
    "export-targets",
    "export target",
    "ran.export.interface:ExportTarget",
    {
        "onnx": "ran.export.targets:Onnx",
        "aerial-nrx": "ran.export.targets:AerialNrx",
        "cuphy-chest": "ran.export.targets:CuphyChest",
        "oai-nrx": "ran.export.targets:OaiNrx",
        "oai-demapper": "ran.export.targets:OaiDemapper",
        "llrnet": "ran.export.targets:Llrnet",
        "c-library": "ran.export.c_library:CLibraryTarget",
        "beams": "ran.export.beams:BeamTarget",
        "csi": "ran.export.csi:CsiTarget",
        "csi-litert": "ran.export.csi_litert:CsiLitertTarget",
        "torch": "ran.export.targets:TorchProgram",
        "tensorrt": "ran.export.targets:TensorRt",
        "litert": "ran.export.targets:Litert",
        "savedmodel": "ran.export.targets:SavedModelTarget",
        "hub": "ran.export.hub:HubTarget",
    },
)

STUDY = Kind(
    "studies", "study", "ran.studies.interface:Study", {"robustness": "ran.studies.robustness.study:Robustness"}
)

#: Every kind by its name.
KINDS = {
    kind.name: kind for kind in (CHANNEL, IMPAIRMENT, RECEIVER, ARCHITECTURE, BEAM_PREDICTOR, EXPORT_TARGET, STUDY)
}
