"""A file held against a contract, clause by clause, by running it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from ran.errors import InputError, unknown_name
from ran.export.runtime_model import ModelReceiver, RuntimeModel
from ran.export.slots import SCENARIO, empty_slot, link_of
from ran.link import Link
from ran.sim.experiment import load
from ran.stats import percent
from receivers import SlotObservation
from receivers.onnx.contract import Contract, PilotOrder
from receivers.onnx.contracts import CONTRACTS
from receivers.onnx.evidence import Aspect
from receivers.onnx.litert import LitertModel
from receivers.onnx.model import OnnxModel
from receivers.onnx.neural_rx import NeuralRxModel, allocation
from receivers.onnx.probe import (
    MOST_WRONG,
    OTHER_AXES,
    OTHER_SIGN,
    REVERSED_BITS,
    REVERSED_LAYERS,
    Reading,
    probe_slot,
    read_slot,
)
from receivers.onnx.receiver import Feeder, feeder, open_model

#: How far off the unit of LLRs may be; 1.44 would be base 2, 256 fixed point.
_SCALE = (1 / 3, 3.0)
_LARGEST_OAI = 128.0
#: Demappers that see equalised symbols alone.
_NO_NOISE_INPUT = ("oai-demapper", "llrnet")
#: Share of wrong bits that tells how sure LLRs ought to be.
_ENOUGH_WRONG = 0.03
#: A common factor on the inputs may turn so many bits that are decided by rounding.
_MOST_TURNED = 0.01
#: MCS of table 1 of TS 38.214 §5.1.3.1 for a modulation, with some code left.
_MCS = {2: 4, 4: 14, 6: 20, 8: 14}


@dataclass(frozen=True)
class Clause:
    """met: None where it could not be told. found: what was seen. evidence: where the other stack has it so, file and
    function. demanded: False for what is only measured.

    The stack of a contract reads a file by names, order, types, shapes, sign and layout; unit and quality of LLRs, and
    what the stack neither reads nor sends, are measured and reported, and break nothing.
    """

    text: str
    met: bool | None
    found: str = ""
    evidence: str = ""
    demanded: bool = True

    @property
    def kind(self) -> Literal["demanded", "measured"]:
        return "demanded" if self.demanded else "measured"

    @property
    def verdict(self) -> str:
        """In words, as tables have it."""
        if self.met is None:
            return "not told"
        if self.met:
            return "met"
        return "BROKEN" if self.demanded else "not met"


def check_file(file: Path, name: str, bits_per_symbol: int | None = None) -> list[Clause]:
    """The clauses of a contract and whether an ONNX or LiteRT file meets them.

    bits_per_symbol: of the slots that it is run on, where neither the contract nor the file tells. `InputError` for an
    unknown contract and for a file that is no model.
    """
    if name not in CONTRACTS:
        raise unknown_name("--contract", name, CONTRACTS)
    contract = CONTRACTS[name]
    try:
        model = open_model(file)
    except ValueError as error:
        raise InputError(str(error)) from None
    clauses = [
        Clause(text, error is None, error or "", contract.evidence[aspect])
        for text, error, aspect in contract.clauses(model.inputs, model.outputs)
    ]
    runs = contract.evidence["runs"]
    if not all(clause.met for clause in clauses):
        return [*clauses, Clause("what it means", None, "it is not run: its tensors are not the contract's", runs)]
    sizes = contract.sizes(model.inputs, model.outputs)
    link = _link(contract, model, sizes, bits_per_symbol)
    fed = feeder(model, contract, sizes)
    like = empty_slot(link)
    try:
        fed.check(like)
        reading = read_slot(
            _runner(fed), contract.pilot_order or "symbol-major", like, contract.pilot_order is not None
        )
    except ValueError as error:
        return [*clauses, Clause("it runs on a plain slot", False, str(error), runs)]
    wrong = f"{percent(reading.wrong[_order(contract)])} of the bits wrong"
    clauses.append(Clause("it runs on a plain slot", True, wrong, runs))
    clauses += _meaning(contract, reading, like)
    clauses += _scale(contract, fed, link, readable=reading.share <= MOST_WRONG and not reading.what)
    clauses += _particular(contract, model, sizes, link)
    return clauses


def _order(contract: Contract) -> PilotOrder:
    return contract.pilot_order or "symbol-major"


def _runner(fed: Feeder) -> Callable[[SlotObservation, PilotOrder], Tensor]:
    def run(observation: SlotObservation, order: PilotOrder) -> Tensor:
        if isinstance(fed, NeuralRxModel):
            fed.pilot_order = order
        with torch.no_grad():
            return fed(observation)

    return run


def _link(
    contract: Contract, model: OnnxModel | LitertModel, sizes: dict[str, int], bits_per_symbol: int | None
) -> Link:
    """Slots as the file wants them; what it leaves open is as in the contract's base station."""
    stated = json.loads(model.metadata.get("slot", "{}"))
    bits = bits_per_symbol or int(model.metadata.get("bits_per_symbol", 0)) or sizes.get("bits_per_symbol", 0)
    if not bits:
        planes = sizes.get("num_bits", 4)
        bits = planes if planes in (2, 4, 6) else 4
    num_prb = sizes.get("num_subcarriers", 12 * stated.get("num_prb", 24)) // 12
    one_antenna = contract.name == "oai-nrx"
    chest = contract.name == "cuphy-chest"
    num_rx_ant = 1 if one_antenna else 4 if chest else sizes.get("num_rx_ant", stated.get("num_rx_ant", 4))
    num_layers = 2 if chest else sizes.get("num_layers", stated.get("num_layers", 1))
    num_pilot_symbols = sizes.get("num_pilot_symbols", 3 if one_antenna else len(stated.get("dmrs_symbols", (2, 11))))
    changes = {
        "carrier.num_prb": num_prb,
        "num_rx_ant": max(num_rx_ant, num_layers),
        "users.num_users": num_layers,
        "pusch.num_symbols": sizes.get("num_symbols", 13 if one_antenna else 14),
        "pusch.dmrs.additional_position": num_pilot_symbols - 1,
        "pusch.dmrs.num_cdm_groups_without_data": 1 if one_antenna else 2,
        "pusch.mcs_index": _MCS.get(bits, 14),
        "pusch.mcs_table": 2 if bits == 8 else 1,
        "carrier.subcarrier_spacing_khz": stated.get("subcarrier_spacing_khz", 30),
    }
    if "dmrs_symbols" in stated and 12 * stated["num_prb"] == 12 * num_prb:
        # a file of this toolkit says for which allocation it was made
        changes["pusch.num_symbols"] = sizes.get("num_symbols", changes["pusch.num_symbols"])
    return link_of(load("pusch-receivers", [f"{key}={value}" for key, value in changes.items()]))


def _meaning(contract: Contract, reading: Reading, like: SlotObservation) -> list[Clause]:
    """Sign, order of bits, of layers and of pilots, from a plain slot; and where LLRs hold."""
    told = reading.share <= MOST_WRONG
    unknown = "" if told else "its layout is another: no reading of it has few bits wrong"

    def clause(text: str, aspect: Aspect, *others: str) -> Clause:
        other = [what for what in reading.what if what in others]
        return Clause(text, (not other) if told else None, "; ".join(other) or unknown, contract.evidence[aspect])

    chest = contract.name == "cuphy-chest"
    clauses = []
    if chest:
        text = "channel on all subcarriers, antennas before layers"
        clauses.append(Clause(text, told, unknown, contract.evidence["channel"]))
    else:
        clauses.append(clause("positive LLRs for bit 0", "sign", OTHER_SIGN))
        clauses.append(clause("bits in the order of TS 38.211 §5.1", "bits", OTHER_AXES, REVERSED_BITS))
    if like.num_layers > 1:
        clauses.append(clause("layers in order", "layers", REVERSED_LAYERS))
    if contract.pilot_order is not None:
        wrong = ", ".join(f"{order}: {percent(share)} wrong" for order, share in reading.wrong.items())
        text = f"pilots taken in {contract.pilot_order} order"
        met = reading.order == contract.pilot_order if told else None
        clauses.append(Clause(text, met, wrong, contract.evidence["pilots"]))
    if contract.name == "oai-nrx":
        clauses.append(_odd_res(contract, reading, like))
    return clauses


def _odd_res(contract: Contract, reading: Reading, like: SlotObservation) -> Clause:
    """Data REs beside DM-RS are decided as well as the others."""
    on_dmrs = torch.zeros_like(like.data_mask)
    on_dmrs[list(like.layout.symbols)] = True
    there = on_dmrs[like.data_mask]
    wrong = float(((reading.llr < 0) != reading.bits)[:, :, there].float().mean())
    met = wrong <= MOST_WRONG or reading.share > MOST_WRONG
    return Clause(
        "LLRs at odd REs of DM-RS symbols",
        met if reading.share <= MOST_WRONG else None,
        f"{percent(wrong)} of bits wrong",
        contract.evidence["dmrs"],
    )


def _scale(contract: Contract, fed: Feeder, link: Link, readable: bool) -> list[Clause]:
    """The unit of LLRs: the factor with which they say best how likely bits are."""
    if contract.name == "cuphy-chest":
        return []
    text = f"LLRs in units of the {contract.llr_scale}"
    if contract.name in _NO_NOISE_INPUT:
        # it answers for one noise level, which neither the file nor the contract tells
        return [*_largest(contract, _runner(fed)(probe_slot(empty_slot(link))[0], _order(contract)))]
    if not readable:
        found = "not measured on LLRs that are read otherwise"
        return [Clause(text, None, found, contract.evidence["scale"], demanded=False)]
    like, esn0_db = empty_slot(link), 8.0 + 3.0 * link.grid.bits_per_symbol
    while True:
        # a channel that stands still: in fading, a few errors of one odd slot would decide the fit
        observation, bits = probe_slot(like, esn0_db)
        with torch.no_grad():
            llr = _runner(fed)(observation, _order(contract)).double().numpy().ravel()
        signed = llr * np.where(bits.numpy().ravel(), -1.0, 1.0)
        if (signed < 0).mean() > _ENOUGH_WRONG or esn0_db < -20:
            break
        esn0_db -= 2.0
    found = minimize_scalar(lambda a: np.logaddexp(0, -np.exp(a) * signed).mean(), bounds=(-9, 5), method="bounded")
    factor = float(np.exp(-found.x))
    measured = f"{factor:.3g} times that, at {esn0_db:g} dB"
    clauses = [Clause(text, _SCALE[0] <= factor <= _SCALE[1], measured, contract.evidence["scale"], demanded=False)]
    return clauses + _largest(contract, torch.from_numpy(llr))


def _largest(contract: Contract, llr: Tensor) -> list[Clause]:
    """LLRs that the Research Kit's 16-bit integers of 1/256 hold (Sionna Research Kit 1.2.0)."""
    if contract.name not in ("oai-nrx", "oai-demapper"):
        return []
    largest = float(llr.abs().max())
    met = largest < _LARGEST_OAI
    return [Clause(f"LLRs below {_LARGEST_OAI:g}", met, f"largest {largest:.4g}", contract.evidence["largest"])]


def _particular(contract: Contract, model: OnnxModel | LitertModel, sizes: dict[str, int], link: Link) -> list[Clause]:
    """What a contract asks besides, on the inputs of a simulated slot."""
    outputs = [spec for spec in contract.outputs if spec.name in {tensor.name for tensor in model.outputs}]
    recorder = RuntimeModel(
        lambda *arrays: tuple(
            model.run(
                dict(zip([spec.name for spec in contract.inputs], arrays, strict=True)), [spec.name for spec in outputs]
            )
        ),
        replace(contract, outputs=tuple(outputs)),
        model.metadata,
        keep=1,
    )
    if any(spec.name not in {tensor.name for tensor in model.inputs} for spec in contract.inputs):
        return []  # a generic file that does without some inputs
    observation = link.batch(range(1), 20.0, 1, SCENARIO, with_channel=False).observation
    ModelReceiver(recorder, contract, sizes)(observation)
    feeds, found = recorder.recorded[0]
    bits = link.grid.bits_per_symbol
    if contract.name in ("aerial-nrx", "llrnet"):
        planes = found[outputs[0].name]
        spare = planes[:, bits:]
        if not spare.size:
            return []
        return [
            Clause(
                f"zeros beyond bit {bits}",
                not spare.any(),
                f"{spare.shape[1]} spare, largest {np.abs(spare).max():.3g}",
                contract.evidence["spare"],
                demanded=False,
            )
        ]
    if contract.name == "oai-nrx":
        louder = {**feeds, "rx_slot": feeds["rx_slot"] * 4, "h_hat": feeds["h_hat"] * 4}
        (again,) = model.run(louder, ["output_1"])
        used = link.grid.data_mask.numpy()[allocation(observation)]
        turned = float(((again < 0) != (found["output_1"] < 0))[0, :, 0].transpose(0, 2, 1)[:, used].mean())
        return [
            Clause(
                "the same when all inputs are 4 times as large",
                turned <= _MOST_TURNED,
                f"{turned:.2%} of bits turn",
                contract.evidence["level"],
                demanded=False,
            )
        ]
    if contract.name == "cuphy-chest":
        present = (feeds["z"] != 0).any(axis=(0, 1, 3, 4, 5))
        rest: Sequence[float] = np.abs(found["zout"][:, :, ~present]).ravel()
        largest = float(np.max(rest, initial=0.0))
        text = "0 for layers that are not there"
        return [Clause(text, largest == 0, f"largest {largest:.3g}", contract.evidence["absent"], demanded=False)]
    return []
