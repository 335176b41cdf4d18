"""What can be exported to: the contract that a file keeps, and slots of the kind that it is for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from ran.errors import InputError, unknown_name

#: Numbers that a model file may be kept in.
DTYPES = ("f32", "f16", "int8")


@dataclass(frozen=True)
class Target:
    """A kind of file.

    contract: name of what it keeps. changes: to the experiment, such that its slots are of the contract's kind.
    esn0_db: where BLER is compared, some way down the waterfall of those slots. runtime: what runs it.
    extra: packages that it takes besides, with the pip command.
    """

    name: str
    contract: str
    description: str
    changes: tuple[str, ...] = ()
    esn0_db: float = 4.0
    runtime: str = "onnxruntime"
    dtypes: tuple[str, ...] = DTYPES
    per_prb: bool = True
    extra: tuple[tuple[str, ...], str] | None = None


_ALONE = "(in an environment of its own)"
_ONNX = (("onnx",), "pip install 'ran6g[onnx]'")
_ALL = (
    Target(
        "onnx", "generic", "ONNX of the toolkit's own contract; any number of PRBs, antennas, symbols", per_prb=False
    ),
    Target("aerial-nrx", "aerial-nrx", "neural receiver for pyAerial, one layer or two"),
    Target(
        "cuphy-chest",
        "cuphy-chest",
        "channel estimator for real-time cuPHY, up to four layers, with its YAML",
        changes=("users.num_users=2", "num_rx_ant=4"),
        esn0_db=6.0,
    ),
    Target(
        "oai-nrx",
        "oai-nrx",
        "neural receiver for the Sionna Research Kit plugin of OpenAirInterface: 24 PRB, 16QAM, one layer and antenna",
        changes=(
            "num_rx_ant=1",
            "pusch.num_symbols=13",
            "pusch.dmrs.additional_position=2",
            "pusch.dmrs.num_cdm_groups_without_data=1",
        ),
        esn0_db=13.0,
    ),
    Target(
        "oai-demapper", "oai-demapper", "demapper of the same kit: 16QAM", dtypes=("f32",), per_prb=False, esn0_db=5.0
    ),
    Target("llrnet", "llrnet", "demapper of pyAerial's LLRNet", dtypes=("f32",), per_prb=False, esn0_db=5.0),
    Target(
        "c-library",
        "c-library",
        "C library with lmmse or blind for one allocation: header, source, shared objects, harness and gNB example",
        runtime="libran6g_receiver",
        dtypes=("f32",),
    ),
    Target("beams", "beams", "beam predictor for the codebooks of a beam experiment", dtypes=("f32",), per_prb=False),
    Target("csi", "csi-encoder", "encoder and decoder of a two-sided CSI model", dtypes=("f32",), per_prb=False),
    Target(
        "hub",
        "safetensors",
        "folder of a model hub: config.json, model.safetensors, README.md with a YAML head; loaded back offline",
        runtime="torch",
        dtypes=("f32",),
        per_prb=False,
    ),
    Target("torch", "generic", "torch.export program (.pt2), one size of slot", runtime="torch", dtypes=("f32",)),
    Target(
        "tensorrt",
        "generic",
        "typed ONNX and the build command of a TensorRT engine; the engine too where trtexec is",
        dtypes=("f32", "f16"),
    ),
    Target(
        "litert",
        "generic",
        "LiteRT (TensorFlow Lite) file (.tflite), one size of slot",
        runtime="LiteRT",
        extra=(("litert_torch", "ai_edge_litert", "ai_edge_quantizer"), f"pip install 'ran6g[litert]' {_ALONE}"),
    ),
    Target(
        "savedmodel",
        "generic",
        "TensorFlow SavedModel, one size of slot, for CPUs",
        runtime="TensorFlow",
        dtypes=("f32",),
        extra=(("tensorflow", "litert_torch"), f"pip install 'ran6g[litert,tensorflow]' {_ALONE}"),
    ),
)
TARGETS: dict[str, Target] = {target.name: target for target in _ALL}


def target_of(name: str) -> Target:
    """A target that can be made here. `InputError` for one that is unknown, or wants for a package."""
    if name not in TARGETS:
        raise unknown_name("--target", name, TARGETS)
    target = TARGETS[name]
    packages, command = target.extra or (_ONNX if target.runtime == "onnxruntime" else ((), ""))
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise InputError(f"--target: got {name!r}, which needs {', '.join(missing)}: {command}")
    return target
