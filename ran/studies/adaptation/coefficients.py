"""The betas of the effective SINR mappings per MCS, fitted with our own simulator.

`coefficients.json` holds them with how well they fit. `python -m ran.studies.adaptation.fitting coefficients` makes
it: over random frequency-selective channels that stand still, the SNR is searched at which half of the blocks fail,
draw by draw, with the genie that knows the channel. beta is what brings the effective SINRs there closest, in the mean
square of dB, to the SNR at which half of the blocks fail over AWGN.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from ran.config.provenance import versions
from ran.errors import bad_value
from ran.link import Link, LinkConfig, SlotBatch, stream
from ran.link.snr import noise_var
from ran.phy.config import Carrier, Pusch
from ran.phy.mcs import McsEntry
from ran.sim.identity import SIMULATION_VERSION
from ran.studies.adaptation.effective import MAPPINGS, Mapping, effective_sinr_db
from ran.studies.adaptation.reference import CodeBlocks, entries
from ran.studies.adaptation.sinr import symbol_sinr_db
from ran.studies.adaptation.waterfall import fit_middle
from receivers import PerfectCsi

FILE = "coefficients.json"
_SEED = 2
#: Channels that beta is fitted on: very selective with one antenna, and two layers of unequal SINR.
CHANNELS = (
    {"profile": "C", "delay_spread_ns": 300, "num_rx_ant": 1, "num_layers": 1},
    {"profile": "A", "delay_spread_ns": 100, "num_rx_ant": 2, "num_layers": 2},
)
_DRAWS = 8
#: Steps of the search in dB: the first until it has gone too far, then the others.
_FIRST_STEP_DB, _STEPS_DB = 0.4, (0.2, 0.15, 0.1, 0.1)
_MOST_STEPS = 16
_SLOTS_PER_STEP = 16
#: No lifting size of the LDPC codes is a multiple of 23. With 24 PRB a notch in the band met the same place of every
#: circulant of Z = 288, and some draws needed 1.6 dB more than any mean of SINRs can tell (MCS 12 of table 1).
_NUM_PRB = 23


@dataclass(frozen=True)
class Draws:
    """Channels that stand still, each at the SNR where half of the blocks fail.

    sinr_db: per draw, the SINR of its symbols there; code_blocks: of the blocks sent.
    """

    sinr_db: tuple[NDArray[np.float32], ...]
    code_blocks: CodeBlocks

    def errors_db(self, mapping: Mapping, beta: float) -> NDArray[np.float64]:
        """Effective SINR less the SNR of AWGN with the same error rate, per draw, in dB."""
        bits = self.code_blocks.entry.bits_per_symbol
        found = [float(effective_sinr_db(sinr_db, mapping, bits, beta)) for sinr_db in self.sinr_db]
        return np.array(found) - self.code_blocks.snr_db(0.5)


@cache
def coefficients() -> dict[McsEntry, dict[Mapping, float]]:
    """beta per MCS and mapping."""
    stored = json.loads(resources.files("ran.studies.adaptation").joinpath(FILE).read_text(encoding="utf-8"))
    return {
        McsEntry(row["bits_per_symbol"], row["target_rate_x1024"]): {m: row[m]["beta"] for m in MAPPINGS}
        for row in stored["mcs"]
    }


def beta_of(entry: McsEntry, mapping: Mapping) -> float:
    """beta of an MCS; `InputError` for one that was not fitted."""
    if entry not in coefficients():
        raise bad_value("MCS", f"{entry}", "MCS of TS 38.214 tables 5.1.3.1-1 to -4, whose coefficients are known")
    return coefficients()[entry][mapping]


def measure_coefficients(say: Callable[[str], None]) -> Any:
    """The content of `coefficients.json`, measured and fitted in some minutes."""
    rows = []
    for entry, (table, index) in entries().items():
        sets = [measure_draws(table, index, channel, _DRAWS, _SEED) for channel in CHANNELS]
        row: dict[str, Any] = {"bits_per_symbol": entry.bits_per_symbol, "target_rate_x1024": entry.target_rate_x1024}
        for mapping in MAPPINGS:
            beta = fit_beta(sets, mapping)
            errors = np.concatenate([draws.errors_db(mapping, beta) for draws in sets])
            row[mapping] = {"beta": round(beta, 4), "rms_db": round(float(np.sqrt((errors**2).mean())), 3)}
        rows.append(row)
        say(json.dumps(row))
    return {
        "what": "beta of EESM and MIESM per MCS; rms_db: root mean square of effective SINR less the SNR of AWGN with "
        "the same error rate, over the draws of the fit",
        "command": "python -m ran.studies.adaptation.fitting coefficients",
        "seed": _SEED,
        "channels": list(CHANNELS),
        "draws_per_channel": _DRAWS,
        "slots_per_step": _SLOTS_PER_STEP,
        "num_prb": _NUM_PRB,
        "simulation_version": SIMULATION_VERSION,
        "versions": versions(),
        "mcs": rows,
    }


def fit_beta(sets: list[Draws], mapping: Mapping) -> float:
    """beta with the smallest mean square error in dB over all draws."""

    def loss(log_beta: float) -> float:
        return float(np.mean(np.concatenate([draws.errors_db(mapping, np.exp(log_beta)) for draws in sets]) ** 2))

    grid = np.linspace(np.log(0.05), np.log(2000), 80)
    best = grid[int(np.argmin([loss(value) for value in grid]))]
    step = grid[1] - grid[0]
    found = minimize_scalar(loss, bounds=(best - step, best + step), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))


def measure_draws(mcs_table: int, mcs_index: int, channel: dict[str, Any], num_draws: int, seed: int) -> Draws:
    """Random channels at the SNR where half of the blocks fail, found by simulation draw by draw.

    channel: profile and delay_spread_ns of a TDL, num_rx_ant, num_layers.
    """
    link = _link(mcs_table, mcs_index, channel)
    code_blocks = CodeBlocks.of(link.grid.codewords[0].transport_block)
    scenario = f"coefficients/{channel}"
    with torch.inference_mode():
        # of this batch only the channels are used
        channels = link.batch(range(num_draws), 0.0, seed, scenario)
        found = []
        for draw in range(num_draws):
            still = _StillChannel(link, channels.select(np.array([draw])), seed, scenario, draw)
            found.append(still.sinr_db(_half_fail_db(still, code_blocks)))
    return Draws(tuple(found), code_blocks)


def _link(mcs_table: int, mcs_index: int, channel: dict[str, Any]) -> Link:
    tdl = {"name": "tdl", "profile": channel["profile"], "delay_spread_ns": channel["delay_spread_ns"]}
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=_NUM_PRB),
            pusch=Pusch(mcs_table=mcs_table, mcs_index=mcs_index, num_layers=channel["num_layers"]),  # type: ignore[arg-type]
            num_rx_ant=channel["num_rx_ant"],
            channel={**tdl, "max_doppler_hz": 0},
        )
    )


@dataclass(frozen=True)
class _StillChannel:
    """One channel that many slots meet, each with a block and noise of its own."""

    link: Link
    slot: SlotBatch
    seed: int
    scenario: str
    draw: int

    def sinr_db(self, esn0_db: float) -> NDArray[np.float32]:
        return symbol_sinr_db(self.slot.observation, self.slot.truth.h, torch.tensor([noise_var(esn0_db)]))[0]

    def block_errors(self, esn0_db: float, count: int, step: int) -> int:
        """Of `count` slots; every step has its own random numbers."""
        grid, variance = self.link.grid, noise_var(esn0_db)
        generator = stream(self.seed, self.scenario, self.draw, f"step {step}")
        blocks = generator.integers(2, size=(count, 1, *self.link.bits_per_block), dtype=np.uint8)
        coded_bits = torch.from_numpy(grid.code(blocks))
        x = grid.to_grid(coded_bits)
        h = self.slot.truth.h
        y = (h * x[:, None]).sum(2)
        noise = generator.standard_normal((*y.shape, 2), dtype=np.float32) * np.float32(np.sqrt(variance / 2))
        y = y + torch.view_as_complex(torch.from_numpy(noise))
        observation = replace(self.slot.observation, y=y, noise_var=torch.full((count,), variance))
        batch = SlotBatch(observation, blocks, coded_bits, x, h.expand(count, -1, -1, -1, -1).contiguous())
        return int(self.link.count_errors(self.link.receive(PerfectCsi(), batch), batch).block_errors.sum())


def _half_fail_db(still: _StillChannel, code_blocks: CodeBlocks) -> float:
    """Es/N0 in dB at which half of the blocks of a draw fail: search down and up with new noise at every step, then
    the waterfall of AWGN's width that explains all counts best."""
    wanted, bits = code_blocks.snr_db(0.5), code_blocks.entry.bits_per_symbol
    low, high = wanted - 20, wanted + 60
    for _ in range(30):  # where MIESM without beta expects it
        middle = (low + high) / 2
        enough = effective_sinr_db(still.sinr_db(middle), "miesm", bits, 1.0) > wanted
        low, high = (low, middle) if enough else (middle, high)
    esn0_db, left = middle, list(_STEPS_DB)
    counts: list[tuple[float, int, int]] = []
    for step in range(_MOST_STEPS):
        errors = still.block_errors(esn0_db, _SLOTS_PER_STEP, step)
        counts.append((esn0_db, _SLOTS_PER_STEP, errors))
        fails = 2 * errors > _SLOTS_PER_STEP
        turned = any((2 * e > n) != fails for _, n, e in counts)
        if turned and not left:
            break
        step_db = left.pop(0) if turned else _FIRST_STEP_DB
        esn0_db += step_db if fails else -step_db
    width = (code_blocks.snr_db(0.1) - wanted) / -ndtri(0.1)
    return fit_middle([c[0] for c in counts], [c[1] for c in counts], [c[2] for c in counts], float(width))
