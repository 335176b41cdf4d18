"""LDPC decoding on a GPU: what the Triton kernels need to know about a code, and their launch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ran.errors import InputError, bad_value
from ran.phy.ldpc.base_graph import NUM_CORE_ROWS, LdpcCode
from ran.phy.ldpc.plan import INPUT_LANES, int8_rounding, received_runs, sample_step, served_rows

if TYPE_CHECKING:
    import torch

# Programs per multiprocessor: as many code blocks as are worked on at the same time. More would only need more memory.
_PROGRAMS_PER_PROCESSOR = 8
_SCALED_FRAMES_PER_PROGRAM = 8


@dataclass(frozen=True)
class _Tables:
    """Tables of `triton_kernels.decode_blocks` and `input_scales` on one device."""

    rows: torch.Tensor
    edges: torch.Tensor
    columns: torch.Tensor
    runs: torch.Tensor
    sample_step: int


def decode_tensor(
    llr: torch.Tensor,
    code: LdpcCode,
    num_iterations: int,
    *,
    early_stop: bool,
    precision: str,
    with_posterior: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """`decoder.decode` for a tensor [batch, `code.num_coded_bits`] on a CUDA device.

    Returns bits uint8, parity_ok bool, iterations and num_received int32 and, if wanted, posteriors float32 [batch,
    columns x Z] of the columns that take part (0 elsewhere), all on the device. The host waits for the device once,
    to refuse LLRs that are not finite.
    """
    import torch

    kernels = _kernels()
    llr = llr.to(torch.float32).contiguous()
    device, batch, z = llr.device, llr.shape[0], code.lifting_size
    tables = _tables(code, device)
    block = max(32, 1 << (z - 1).bit_length())
    is_int8 = precision == "int8"
    num_bits, num_columns = code.num_info_bits, code.num_columns
    bits = torch.empty((batch, num_bits), dtype=torch.int8, device=device)
    parity_ok = torch.empty(batch, dtype=torch.int8, device=device)
    iterations = torch.empty(batch, dtype=torch.int32, device=device)
    scales, counts = (torch.empty(batch, dtype=torch.float32, device=device) for _ in range(2))
    posterior_shape = (batch, num_columns * z) if with_posterior else (1, 1)
    posterior = torch.zeros(posterior_shape, dtype=torch.float32, device=device)
    if batch:
        programs = min(batch, _num_programs(device))
        kind = torch.int8 if is_int8 else torch.float32
        num_rows, num_edges = len(tables.rows), len(tables.edges)
        memory = (
            torch.empty((programs, number * z), dtype=kind, device=device)
            for number in (num_columns, num_edges, num_rows)
        )
        with torch.cuda.device(device if device.type == "cuda" else -1):
            kernels.input_scales[(-(-batch // _SCALED_FRAMES_PER_PROGRAM),)](
                llr,
                scales,
                counts,
                tables.runs,
                batch,
                llr.shape[1],
                len(tables.runs),
                tables.sample_step,
                num_bits,
                FRAMES=_SCALED_FRAMES_PER_PROGRAM,
                num_warps=_SCALED_FRAMES_PER_PROGRAM * INPUT_LANES // 32,
                num_stages=1,
                enable_fp_fusion=False,
            )
            kernels.decode_blocks[(programs,)](
                llr,
                scales,
                counts,
                bits,
                parity_ok,
                iterations,
                posterior,
                *memory,
                tables.rows,
                tables.edges,
                tables.columns,
                batch,
                llr.shape[1],
                posterior.shape[1],
                z,
                num_bits,
                code.num_systematic_bits,
                len(tables.columns),
                num_rows,
                num_edges,
                num_columns * z,
                int8_rounding(code),
                num_iterations,
                EARLY_STOP=early_stop,
                IS_INT8=is_int8,
                WITH_POSTERIOR=with_posterior,
                BLOCK=block,
                num_warps=block // 32,
                num_stages=1,
                enable_fp_fusion=False,
            )
    bad = torch.nonzero(scales < 0)
    if len(bad):
        raise bad_value(f"llr of code block {int(bad[0])}", "NaN, infinity or a sum beyond float32", "finite numbers")
    if with_posterior:
        posterior = posterior * torch.where(scales > 0, 1 / scales, 0.0)[:, None]
    decided = bits.view(torch.uint8), parity_ok.bool(), iterations, counts.to(torch.int32)
    return *decided, posterior if with_posterior else None


def _kernels() -> ModuleType:
    try:
        return import_module("ran.phy.ldpc.triton_kernels")
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        raise InputError(
            "LDPC decoding on a GPU: triton is not installed; allowed: after pip install 'ran6g[gpu]'"
        ) from error


@lru_cache(maxsize=64)
def _tables(code: LdpcCode, device: torch.device) -> _Tables:
    import torch

    def tensor(values: Any) -> torch.Tensor:
        return torch.from_numpy(np.array(values, np.int32)).to(device)

    z = code.lifting_size
    rows: list[tuple[int, int, int]] = []
    edges: list[tuple[int, int]] = []
    for row, members in served_rows(code):
        own = (code.num_info_columns + row) * z if row >= NUM_CORE_ROWS else -1
        rows.append((len(edges), len(members), own))
        edges += [(column * z, shift) for column, shift in members]
    columns = {start for start, _ in edges} | {own for *_, own in rows if own >= 0}
    runs = received_runs(code)
    return _Tables(tensor(rows), tensor(edges), tensor(sorted(columns)), tensor(runs), sample_step(runs))


def _num_programs(device: torch.device) -> int:
    import torch

    if device.type != "cuda":
        return 2
    return int(torch.cuda.get_device_properties(device).multi_processor_count) * _PROGRAMS_PER_PROCESSOR
