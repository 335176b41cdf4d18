"""The contracts of model files that can be simulated: our own, and those of base-station stacks.

The same objects describe what `ran export` writes. In all of them a positive LLR favours bit 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from receivers.onnx.contract import Contract, TensorOfFile, TensorSpec
from receivers.onnx.evidence import EVIDENCE

_GRID = ("num_symbols", "num_subcarriers")

GENERIC = Contract(
    name="generic",
    version=1,
    evidence=EVIDENCE["generic"],
    description="Whole slots of any size; complex numbers have a last axis (real, imaginary)",
    inputs=(
        TensorSpec("y", "float32", ("batch", "num_rx_ant", *_GRID, 2), "received grid"),
        TensorSpec(
            "pilots",
            "float32",
            ("num_layers", *_GRID, 2),
            "what each layer sends as pilots, elsewhere 0",
            optional=True,
        ),
        TensorSpec("data_mask", "float32", _GRID, "1 where an RE carries data, elsewhere 0", optional=True),
        TensorSpec("noise_var", "float32", ("batch",), "noise variance per RE and antenna", optional=True),
        TensorSpec(
            "h_hat",
            "float32",
            ("batch", "num_rx_ant", "num_layers", *_GRID, 2),
            "first channel estimate on every RE; the file's metadata say which (`first_estimate`)",
            optional=True,
        ),
        TensorSpec(
            "err_var", "float32", ("batch", "num_layers", *_GRID), "mean square error of `h_hat`", optional=True
        ),
        TensorSpec(
            "symbol_times_ms", "float32", ("num_symbols",), "start of each OFDM symbol after the slot's", optional=True
        ),
        TensorSpec("layer_amplitude", "float32", (), "amplitude of a layer: 1/sqrt(layers of its user)", optional=True),
    ),
    outputs=(TensorSpec("llr", "float32", ("batch", "num_layers", *_GRID, "bits_per_symbol"), "LLRs on every RE"),),
)

AERIAL_NRX = Contract(
    name="aerial-nrx",
    version=1,
    evidence=EVIDENCE["aerial-nrx"],
    description="Neural receiver as pyAerial consumes it; batch 1, the allocated OFDM symbols only",
    inputs=(
        TensorSpec("rx_slot_real", "float32", (1, "num_subcarriers", "num_symbols", "num_rx_ant"), "received grid"),
        TensorSpec("rx_slot_imag", "float32", (1, "num_subcarriers", "num_symbols", "num_rx_ant"), "received grid"),
        TensorSpec("h_hat_real", "float32", (1, "num_pilots", "num_layers", "num_rx_ant"), "LS estimates at pilots"),
        TensorSpec("h_hat_imag", "float32", (1, "num_pilots", "num_layers", "num_rx_ant"), "LS estimates at pilots"),
        TensorSpec("active_dmrs_ports", "float32", (1, "num_layers"), "1 for a layer that is there"),
        TensorSpec("dmrs_ofdm_pos", "int32", ("num_layers", "num_pilot_symbols"), "from the allocation's first symbol"),
        TensorSpec("dmrs_subcarrier_pos", "int32", ("num_layers", 6), "within a PRB"),
    ),
    outputs=(
        TensorSpec("output_1", "float32", (1, "num_bits", "num_layers", "num_subcarriers", "num_symbols"), "LLRs"),
        TensorSpec(
            "output_2",
            "float32",
            (1, "num_layers", "num_subcarriers", "num_symbols", "twice_num_rx_ant"),
            "refined channel, real parts of all antennas first",
            optional=True,
        ),
    ),
    pilot_order="symbol-major",
    ordered=True,
    source="NVIDIA Aerial CUDA-Accelerated RAN 26-1, pyAerial; neural_rx 2024-09",
)

OAI_NRX = Contract(
    name="oai-nrx",
    version=1,
    evidence=EVIDENCE["oai-nrx"],
    description="Neural receiver of the Sionna Research Kit plugin for OpenAirInterface; one antenna, one layer, 16QAM",
    inputs=(
        TensorSpec("rx_slot", "float32", (1, "num_subcarriers", "num_symbols", 1, 2), "received grid"),
        TensorSpec("h_hat", "float32", (1, "num_pilots", 1, 1, 2), "LS estimates at pilots"),
        TensorSpec("active_dmrs_ports", "float32", (1, 1), "1 for a layer that is there"),
        TensorSpec("dmrs_ofdm_pos", "int32", (1, "num_pilot_symbols"), "from the allocation's first symbol"),
        TensorSpec("dmrs_subcarrier_pos", "int32", (1, 6), "within a PRB"),
    ),
    outputs=(TensorSpec("output_1", "float32", (1, 4, 1, "num_subcarriers", "num_symbols"), "LLRs"),),
    valid_res="data REs, with one CDM group without data also the odd REs of DM-RS symbols",
    scaling="received grid and LS estimates by one factor, to a received grid of unit mean power",
    pilot_order="symbol-major",
    ordered=True,
    source="Sionna Research Kit 1.2.0",
)

OAI_DEMAPPER = Contract(
    name="oai-demapper",
    version=1,
    evidence=EVIDENCE["oai-demapper"],
    description="Neural demapper of the same kit: equalised 16QAM symbols to LLRs",
    inputs=(
        TensorSpec(
            "y", "float16", ("num_res", 2), "equalised symbols, decision boundaries at 0 and 1 (in-phase, quad.)"
        ),
    ),
    outputs=(TensorSpec("output_1", "float32", ("num_res", 4), "LLRs"),),
    scaling="unit-power symbols times sqrt(10) / 2",
    ordered=True,
    source="Sionna Research Kit 1.2.0",
)

LLRNET = Contract(
    name="llrnet",
    version=1,
    evidence=EVIDENCE["llrnet"],
    description="Neural demapper of pyAerial's LLRNet: equalised symbols to LLRs",
    inputs=(TensorSpec("input", "float32", ("num_res", 2), "equalised symbols of unit power (in-phase, quad.)"),),
    outputs=(
        TensorSpec("dense_1", "float32", ("num_res", 8), "LLRs; those beyond the constellation's bits are not read"),
    ),
    ordered=True,
    source="NVIDIA Aerial CUDA-Accelerated RAN 26-1, pyAerial",
)

CUPHY_CHEST = Contract(
    name="cuphy-chest",
    version=1,
    evidence=EVIDENCE["cuphy-chest"],
    description="Channel estimator inside real-time cuPHY; up to four layers on DM-RS type 1, four antennas",
    inputs=(
        TensorSpec(
            "z",
            "float32",
            ("batch", "num_pilots", 4, 4, "num_pilot_symbols", 2),
            "raw LS estimates at each layer's pilots (antenna after layer), DM-RS sequence and cover code removed; "
            "0 for a layer that is not there",
        ),
    ),
    outputs=(
        TensorSpec(
            "zout",
            "float32",
            ("batch", 4, 4, "num_subcarriers", "num_pilot_symbols", 2),
            "channel at all subcarriers of the DM-RS symbols (layer after antenna)",
        ),
    ),
    llr_scale="none, it returns a channel",
    valid_res="DM-RS symbols",
    ordered=True,
    source="NVIDIA Aerial CUDA-Accelerated RAN 26-1, cuPHY",
)

CONTRACTS: dict[str, Contract] = {c.name: c for c in (GENERIC, AERIAL_NRX, OAI_NRX, OAI_DEMAPPER, LLRNET, CUPHY_CHEST)}


def recognise(inputs: Sequence[TensorOfFile], outputs: Sequence[TensorOfFile]) -> Contract:
    """The contract that a file keeps. `ValueError` with what stands against each when it keeps none."""
    reasons = []
    for contract in CONTRACTS.values():
        try:
            contract.sizes(inputs, outputs)
        except ValueError as error:
            reasons.append(f"not {contract.name}, {str(error).split(';')[0]}")
        else:
            return contract
    raise ValueError(f"keeps none of the contracts ({'; '.join(reasons)}); allowed: {', '.join(CONTRACTS)}")
