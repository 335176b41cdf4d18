"""LDPC decoding for batches of code blocks: layered min-sum with offset and normalisation, in int8 or float32."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value, unknown_name
from ran.phy.crc import Polynomial, crc_length, octet_table
from ran.phy.ldpc import native
from ran.phy.ldpc.base_graph import NUM_CORE_ROWS, NUM_PUNCTURED_COLUMNS, LdpcCode
from ran.phy.ldpc.plan import FRAME_COUNTS, INPUT_LANES, frames_per_group, make_plan, served_rows
from ran.phy.ldpc.threads import in_parts

Precision = Literal["int8", "float32"]

_MESSAGE_BYTES = {"int8": 1, "float32": 4}
_VECTOR_BYTES = (16, 32, 64)


@dataclass(frozen=True)
class LdpcDecision:
    """What the decoder decided.

    bits [batch, K'] uint8. parity_ok [batch] bool: all processed parity checks hold, and at least K' LLRs were not 0:
    fewer equations than unknowns determine nothing, and the zeros that come out where nothing went in satisfy all
    checks. num_received [batch] int32: LLRs that are not 0, of those that are looked at. iterations [batch] int32:
    iterations run.
    Where soft output was asked for, float32 in the scale of the LLRs that came in, received LLRs included:
    info_llr [batch, K'] of the information bits, punctured ones too; coded_llr [batch, `code.num_coded_bits`], 0 for
    fillers and for what `code` leaves out. In int8 they are limited to about twice the largest received LLR.
    """

    bits: npt.NDArray[np.uint8]
    parity_ok: npt.NDArray[np.bool_]
    iterations: npt.NDArray[np.int32]
    num_received: npt.NDArray[np.int32]
    info_llr: npt.NDArray[np.float32] | None = None
    coded_llr: npt.NDArray[np.float32] | None = None


def is_compiled(precision: Precision = "int8") -> bool:
    """Whether the kernels for this CPU are ready, so that the next `decode` starts at once."""
    _check_precision(precision)
    return native.is_compiled(precision, native.native_vector_bytes())


def warm_up(precision: Precision = "int8") -> None:
    """Compile the kernels for this CPU, or load them from the cache: a few seconds the first time on a machine."""
    _check_precision(precision)
    native.load_library(precision, native.native_vector_bytes())


def decode(
    llr: npt.ArrayLike,
    code: LdpcCode,
    num_iterations: int,
    *,
    early_stop: bool = True,
    precision: Precision = "int8",
    vector_bytes: int | None = None,
    soft: bool = False,
    num_threads: int = 1,
    stop_crc: Polynomial | None = None,
    first_block: int = 0,
) -> LdpcDecision:
    """Decode code blocks.

    llr [batch, `code.num_coded_bits`] float32: LLRs after rate dematching, positive for bit 0, 0 for what was not sent.
        Values at filler positions and of rows that `code` leaves out are not looked at. A torch tensor on a CUDA device
        is decoded there, to the same decisions; what is returned are then tensors on that device.
    num_iterations: iterations over all of `code.rows`, 1 or more; at most this many where `early_stop` is set.
    early_stop: a code block is done when its hard decisions satisfy all parity checks.
    precision: element type of the messages, see below.
    vector_bytes: width of the SIMD vectors, 16, 32 or 64; default what the CPU has. Decisions do not depend on it.
    soft: also return LLRs after decoding.
    num_threads: CPU threads that share the code blocks. Decisions do not depend on it.
    stop_crc: with `early_stop`, a code block is also done, and its `parity_ok` set, when its K' bits end in their
        CRC of this polynomial and are not all 0: the CRC of zeros is zero, and zeros are what comes out for bits of
        which nothing was received. At the SNR of 10 % block errors that saves 6 % of the iterations at rate 1/3 and
        2 % at 0.9, but it costs a look at all bits in every iteration and finds fewer errors than the parity checks
        do. Not on a GPU.
    first_block: number of the first block, of which errors speak.

    Raises `InputError` for shapes that do not fit, NaN or infinite LLRs, and impossible values.

    Both: the LLRs of a code block are multiplied by a factor s, so that decisions do not depend on their scale.

    float32: a check passes on 0.8 max(m - offset, 0) for the smallest magnitude m of the others, in these steps.
    The offset is 1 up to rate 0.7 and falls to 0 at 0.9, as the loss of min-sum without one grows as the rate
    falls. At 10 % block errors float32 is the better of the two by up to 0.4 dB, and nowhere worse, from rate 0.12
    to 0.93, for 5 to 20 iterations (`docs/decisions/0031`).

    int8: the scaled LLRs are rounded and limited to +-60; arithmetic saturates.
    Where LLRs are true log-likelihood ratios, 4 to 6 steps per unit cost least at every rate and modulation (measured
    from QPSK rate 0.12 to 256QAM rate 0.93): fewer lose the weak LLRs to rounding, more let posteriors run into the
    limit. But receivers may be over- or underconfident by large factors. So s is not fixed but solves

        mean over the received LLRs of min(s |llr|, 60) = 4 + 56 R^2,   R = K' / number of received LLRs,

    which is about what s = 5 gives at the SNR that the rate needs: at the SNRs where errors are counted, s stays near
    its best value whatever the scale of the LLRs. The limit in the mean keeps the strong bits of 256QAM, ten times
    above the weak ones that decide, from setting the scale.
    """
    _check_precision(precision)
    if not 1 <= num_iterations < 2**31:
        raise bad_value("num_iterations", num_iterations, "1 or more")
    if num_threads < 1:
        raise bad_value("num_threads", num_threads, "1 or more")
    if vector_bytes is None:
        vector_bytes = native.native_vector_bytes()
    elif vector_bytes not in _VECTOR_BYTES:
        raise bad_value("vector_bytes", vector_bytes, ", ".join(map(str, _VECTOR_BYTES)))
    crc_table = octet_table(stop_crc) if stop_crc is not None else None
    if getattr(llr, "is_cuda", False):
        if stop_crc is not None:
            raise bad_value("stop_crc on a GPU", stop_crc, "None")
        return _decode_on_device(llr, code, num_iterations, early_stop, precision, soft)
    received = np.ascontiguousarray(llr, dtype=np.float32)
    _check_shape(received.shape, code)
    batch, length = received.shape[0], code.num_columns * code.lifting_size
    bits = np.empty((batch, code.num_info_bits), np.uint8)
    parity_ok = np.empty(batch, np.bool_)
    iterations = np.empty(batch, np.int32)
    scales, counts = np.empty(batch, np.float32), np.empty(batch, np.float32)
    posterior = np.empty((batch, length + INPUT_LANES), np.float32) if soft else None
    message_bytes = _MESSAGE_BYTES[precision]
    lanes = vector_bytes // message_bytes
    library = native.load_library(precision, vector_bytes)
    arrays = (received, bits, parity_ok, iterations, scales, counts)
    places = [(array.ctypes.data, array.strides[0]) for array in arrays]

    def decode_part(start: int, end: int) -> int:
        """Decode some of the blocks. Returns the first whose LLRs are not finite, or -1."""
        frames = frames_per_group(code, lanes, end - start, FRAME_COUNTS[precision])
        plan = make_plan(code, lanes, message_bytes, frames)
        llr_at, bits_at, ok_at, iterations_at, scales_at, counts_at = (
            address + start * stride for address, stride in places
        )
        bad_frame = library.function(f"decode_{frames}", *_KERNEL_ARGUMENTS)(
            llr_at,
            bits_at,
            ok_at,
            iterations_at,
            end - start,
            num_iterations,
            int(early_stop),
            *plan.addresses,
            _workspace(plan.workspace_bytes),
            scales_at,
            counts_at,
            posterior[start:].ctypes.data if posterior is not None else None,
            length + INPUT_LANES,
            None if crc_table is None else crc_table.ctypes.data,
            0 if stop_crc is None else crc_length(stop_crc),
        )
        return start + bad_frame if bad_frame >= 0 else -1

    bad_frames = [bad for bad in in_parts(decode_part, batch, num_threads) if bad >= 0]
    if bad_frames:
        allowed = "finite numbers"
        raise bad_value(
            f"llr of code block {first_block + bad_frames[0]}", "NaN, infinity or a sum beyond float32", allowed
        )
    num_received = counts.astype(np.int32)
    if posterior is None:
        return LdpcDecision(bits, parity_ok, iterations, num_received)
    _clear_unused(posterior, code)
    punctured = NUM_PUNCTURED_COLUMNS * code.lifting_size
    info_llr, coded_llr = posterior[:, : code.num_info_bits].copy(), posterior[:, punctured:length].copy()
    return LdpcDecision(bits, parity_ok, iterations, num_received, info_llr, coded_llr)


def _decode_on_device(
    llr: Any, code: LdpcCode, num_iterations: int, early_stop: bool, precision: Precision, soft: bool
) -> LdpcDecision:
    from ran.phy.ldpc.cuda import decode_tensor

    _check_shape(tuple(llr.shape), code)
    bits, parity_ok, iterations, num_received, posterior = decode_tensor(
        llr, code, num_iterations, early_stop=early_stop, precision=precision, with_posterior=soft
    )
    info_llr: Any = None
    coded_llr: Any = None
    if posterior is not None:
        _clear_unused(posterior, code)
        info_llr = posterior[:, : code.num_info_bits]
        coded_llr = posterior[:, NUM_PUNCTURED_COLUMNS * code.lifting_size :]
    decided: list[Any] = [bits, parity_ok, iterations, num_received, info_llr, coded_llr]
    return LdpcDecision(*decided)


def _clear_unused(posterior: Any, code: LdpcCode) -> None:
    """0 for fillers and for the parity columns of rows that are left out, in [batch, columns x Z]."""
    posterior[:, code.num_info_bits : code.num_systematic_bits] = 0
    z, rows = code.lifting_size, {row for row, _ in served_rows(code)}
    for row in range(NUM_CORE_ROWS, code.rows[-1] + 1):
        if row not in rows:
            start = (code.num_info_columns + row) * z
            posterior[:, start : start + z] = 0


def _check_shape(shape: tuple[int, ...], code: LdpcCode) -> None:
    if len(shape) != 2 or shape[1] != code.num_coded_bits:
        raise bad_value("shape of llr", shape, f"[batch, {code.num_coded_bits}]")


def _check_precision(precision: str) -> None:
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, get_args(Precision))


_POINTER, _INTEGER = ctypes.c_void_p, ctypes.c_int64
_KERNEL_ARGUMENTS = (*[_POINTER] * 4, *[_INTEGER] * 3, *[_POINTER] * 11, _INTEGER, _POINTER, _INTEGER)


_of_thread = threading.local()


def _workspace(num_bytes: int) -> int:
    """Address of at least so many bytes of this thread's own, aligned to 64."""
    buffer = getattr(_of_thread, "buffer", None)
    if buffer is None or buffer.size < num_bytes + 64:
        buffer = np.empty(num_bytes + 64, np.uint8)
        _of_thread.buffer = buffer
    return buffer.ctypes.data + -buffer.ctypes.data % 64
