"""Where each clause of a contract comes from: the file and the function of the stack that reads a model so.

Read in Aerial CUDA-Accelerated RAN 26-1 (paths below its root), neural_rx 2024-09 and Sionna Research Kit 1.2.0. "run"
means that the stack's own ONNX file was run, and behaves so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

#: What a clause is about. level: the same LLRs at another level of the inputs. spare: planes beyond the
#: constellation's bits. absent: layers that are not there.
Aspect = Literal[
    "order", "tensors", "runs", "sign", "bits", "layers", "pilots", "dmrs", "largest", "channel", "scale", "level",
    "spare", "absent",
]  # fmt: skip

_NOTEBOOK = "Aerial, pyaerial/notebooks/example_neural_receiver.ipynb"
_TO_DECODER = f"{_NOTEBOOK}, NeuralRx.run: output_1 goes to LdpcDeRateMatch as [bit, layer, subcarrier, symbol]"
_NEGATED = "neural_rx, utils/neural_rx.py, NeuralReceiverONNX.call: the LLRs of Sionna are negated"
_PLUGIN = "Sionna Research Kit, plugins/neural_receiver"
_RECEIVER = f"{_PLUGIN}, receiver_compute_llr"
_ENGINE = f"{_PLUGIN}/src/runtime/trt_receiver.cpp"
_DEMAPPER = "Sionna Research Kit, tutorials/neural_demapper"
_OAI_LLR = "OpenAirInterface, nr_ulsch_llr_computation.c, nr_ulsch_16qam_llr, whose place the demapper takes"
_LLRNET = "Aerial, pyaerial/notebooks/llrnet_model_training.ipynb, Receiver.run"
_CHEST = "Aerial, cuPHY/src/cuphy/ch_est"
_CHEST_KERNELS = f"{_CHEST}/ch_est_trtengine_pre_post_converion.cu"
_WRAPS = "float16_llrs_to_int16: LLRs times 256 become 16-bit integers, which wrap"
_OWN = "ran6g, receivers/onnx/contracts.py, GENERIC"
_FED = "ran6g, receivers/onnx/generic.py, GenericModel"

EVIDENCE: Mapping[str, Mapping[Aspect, str]] = {
    "generic": {
        "order": f"{_OWN}: tensors are found by name",
        "tensors": _OWN,
        "runs": _FED,
        "sign": f"{_OWN}: llr_sign",
        "bits": f"{_OWN}: bits_per_symbol, in the order of TS 38.211 §5.1",
        "layers": f"{_OWN}: num_layers",
        "scale": f"{_OWN}: llr_scale; decoding by min-sum does not depend on it",
    },
    "aerial-nrx": {
        "order": f"{_NOTEBOOK}, trtexec --inputIOFormats: types by place",
        "tensors": f"{_NOTEBOOK}, NeuralRx.__init__: input_tensors and output_tensors of TrtEngine",
        "runs": f"{_NOTEBOOK}, NeuralRx.run",
        "sign": f"{_NEGATED}; pyaerial/models/neural_rx.onnx, run",
        "bits": _TO_DECODER,
        "layers": _TO_DECODER,
        "pilots": "neural_rx, utils/neural_rx.py, NRPreprocessing; pyaerial/models/neural_rx.onnx, run: 0.05 of the "
        "uncoded bits wrong, 0.23 with the frequency-major order that the notebook makes",
        "scale": f"{_NOTEBOOK}, NeuralRx.run: handed on as they are, no unit is asked for",
        "spare": f"{_NOTEBOOK}, NeuralRx.__init__: output_1 has 8 planes at QPSK, of which the decoder reads mod_order",
    },
    "oai-nrx": {
        "order": "neural_rx, scripts/export_onnx.py: --inputIOFormats of trtexec, types by place",
        "tensors": f"{_ENGINE}, trt_receiver_run: setTensorAddress and setInputShape",
        "runs": f"{_ENGINE}, trt_receiver_decode_block",
        "sign": f"{_NEGATED}; onnx_models/nrx_oai.onnx, run",
        "bits": f"{_RECEIVER}: LLRs of a symbol are handed on in the order of the output",
        "pilots": f"{_RECEIVER}: h_hat is filled one DM-RS symbol after the other",
        "dmrs": f"{_RECEIVER}: in DM-RS symbols every second subcarrier is read, from the first odd one on",
        "largest": f"{_PLUGIN}/src/runtime/data_processing.cu, {_WRAPS}",
        "scale": f"{_RECEIVER}: rounded to whole numbers and limited to 255, no unit is asked for",
        "level": f"{_RECEIVER}: norm_scale brings every slot to unit mean power, no other level reaches the model",
    },
    "oai-demapper": {
        "order": f"{_DEMAPPER}/runtime/trt_demapper.cpp, trt_demapper_run: one input, one output",
        "tensors": f"{_DEMAPPER}/runtime/trt_demapper.cpp, trt_demapper_run: setTensorAddress and setInputShape",
        "runs": f"{_DEMAPPER}/runtime/trt_demapper.cpp, trt_demapper_decode_block",
        "sign": _OAI_LLR,
        "bits": f"{_DEMAPPER}/nr_demapper_trt.c, demapper_qam16; {_OAI_LLR}",
        "layers": f"{_DEMAPPER}/nr_demapper_trt.c, demapper_compute_llr: symbols of one layer",
        "largest": f"{_DEMAPPER}/runtime/data_processing.cu, {_WRAPS}",
    },
    "llrnet": {
        "order": f"{_LLRNET}: one input, one output",
        "tensors": "Aerial, pyaerial/models/llrnet.onnx, its declared tensors",
        "runs": _LLRNET,
        "sign": f"{_LLRNET}: they take the place of those of cuPHY's demapper; pyaerial/models/llrnet.onnx, run",
        "bits": f"{_LLRNET}: the first mod_order columns, transposed, go to LdpcDeRateMatch",
        "layers": f"{_LLRNET}: symbols are reshaped to layers",
        "spare": f"{_LLRNET} reads the first mod_order columns; the training's loss_fn leaves the others free",
    },
    "cuphy-chest": {
        "order": f"{_CHEST}/ch_est_yaml_loader.cpp: inputs and outputs as the YAML lists them",
        "tensors": f"{_CHEST}/trtengine_chest.cpp, TrtEnginePuschRxChEst::init: those of the YAML, float32; axes: "
        f"{_CHEST_KERNELS}",
        "runs": f"{_CHEST}/trtengine_chest.cpp, TrtEnginePuschRxChEst::setup",
        "channel": f"{_CHEST_KERNELS}, extractChestMlOutputsKernel: [antenna, layer, subcarrier, DM-RS symbol, part]",
        "layers": f"{_CHEST_KERNELS}, extractChestMlOutputsKernel: layerIdx",
        "absent": f"{_CHEST_KERNELS}, extractChestMlOutputsKernel: layers from nLayers on are not read",
    },
}
