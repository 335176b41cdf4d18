"""The C library from Python, by ctypes."""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint32, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LlrFormat = Literal["float32", "float16", "int8"]
_FORMATS: dict[str, int] = {"float32": 0, "float16": 1, "int8": 2}


class Options(Structure):
    """ran6g_options."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("num_threads", c_uint32),
        ("llr_format", c_uint32),
        ("llr_max", c_int32),
        ("llr_scale", c_float),
    )


class Description(Structure):
    """ran6g_description."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("num_prb", c_uint32),
        ("num_rx_ant", c_uint32),
        ("num_layers", c_uint32),
        ("num_symbols", c_uint32),
        ("num_subcarriers", c_uint32),
        ("bits_per_symbol", c_uint32),
        ("num_data_re", c_uint32),
        ("num_dmrs_symbols", c_uint32),
        ("num_dmrs_values", c_uint32),
        ("dmrs_symbols", c_uint32 * 14),
        ("needs_noise_var", c_uint32),
        ("subcarrier_spacing_hz", c_double),
    )


class Slot(Structure):
    """ran6g_slot."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("grid_format", c_uint32),
        ("grid", c_void_p),
        ("antenna_stride", c_size_t),
        ("symbol_stride", c_size_t),
        ("dmrs", c_void_p),
        ("num_dmrs", c_size_t),
        ("noise_var", c_float),
    )


class Output(Structure):
    """ran6g_output."""

    _fields_ = (
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("channel", c_void_p),
        ("error_var", c_void_p),
        ("symbols", c_void_p),
        ("symbol_noise", c_void_p),
        ("llr", c_void_p),
        ("noise_var", c_float),
        ("sinr_db", c_float),
        ("layer_sinr_db", c_float * 4),
        ("timing_s", c_float),
        ("cfo_hz", c_float),
    )


@functools.cache
def load(path: Path) -> ctypes.CDLL:
    """The library with its functions declared."""
    library = ctypes.CDLL(str(path))
    library.ran6g_abi_version.restype = c_uint32
    library.ran6g_status_text.argtypes, library.ran6g_status_text.restype = (c_int32,), c_char_p
    library.ran6g_default_options.argtypes = (POINTER(Options),)
    library.ran6g_create.argtypes = (c_char_p, POINTER(Options), POINTER(c_void_p))
    library.ran6g_create_from_memory.argtypes = (c_char_p, c_size_t, POINTER(Options), POINTER(c_void_p))
    library.ran6g_describe.argtypes = (c_void_p, POINTER(Description))
    library.ran6g_multiplies_bfloat16.restype = c_uint32
    library.ran6g_process.argtypes = (c_void_p, POINTER(Slot), POINTER(Output))
    library.ran6g_destroy.argtypes, library.ran6g_destroy.restype = (c_void_p,), None
    return library


def multiplies_bfloat16(path: Path) -> bool:
    """Whether networks that may be computed in bfloat16 are, by this build on its processor."""
    return bool(load(path).ran6g_multiplies_bfloat16())


@dataclass(frozen=True)
class Result:
    """What the library says of a slot, as in ran6g_output; what was not asked for is None.

    channel [rx, layer, symbol, subcarrier] complex64, error_var [layer, symbol, subcarrier]; symbols [data RE, layer]
    complex64, symbol_noise [data RE, layer]; llr [data RE, layer, bit].
    """

    noise_var: float
    sinr_db: float
    layer_sinr_db: tuple[float, ...]
    timing_s: float
    cfo_hz: float
    channel: NDArray[np.complex64] | None = None
    error_var: NDArray[np.float32] | None = None
    symbols: NDArray[np.complex64] | None = None
    symbol_noise: NDArray[np.float32] | None = None
    llr: NDArray | None = None


class StatusError(ValueError):
    """A code other than RAN6G_OK. status: the code."""

    def __init__(self, library: ctypes.CDLL, what: str, status: int) -> None:
        self.status = status
        super().__init__(f"{what}: the C library returns {status}; {library.ran6g_status_text(status).decode()}")


class Handle:
    """One receiver of the library, for slots of one kind. Not for two threads at the same time."""

    def __init__(
        self,
        library: Path,
        model: bytes,
        num_threads: int = 1,
        llr_format: LlrFormat = "float32",
        llr_scale: float = 8.0,
        llr_max: int = 127,
    ) -> None:
        self._library = load(library)
        self._pointer = c_void_p()
        self._format = llr_format
        options = Options(ctypes.sizeof(Options), num_threads, _FORMATS[llr_format], llr_max, llr_scale)
        status = self._library.ran6g_create_from_memory(model, len(model), byref(options), byref(self._pointer))
        if status:
            raise StatusError(self._library, "model", status)
        self.about = Description(ctypes.sizeof(Description))
        self._library.ran6g_describe(self._pointer, byref(self.about))

    def __del__(self) -> None:
        if getattr(self, "_pointer", None):
            self._library.ran6g_destroy(self._pointer)
            self._pointer = c_void_p()

    def __call__(
        self, grid: NDArray, noise_var: float = 0.0, dmrs: NDArray[np.float32] | None = None, depth: str = "llr"
    ) -> Result:
        """One slot.

        grid [rx, symbol, subcarrier] complex64, or uint16 [rx, symbol, subcarrier, 2] for bfloat16.
        dmrs [layer, DM-RS symbol, pilot, 2]; None for that of the model file.
        depth: words among channel, symbols and llr. `StatusError` where the library refuses.
        """
        a = self.about
        grid = np.ascontiguousarray(grid)
        arrays: dict[str, NDArray] = {}
        if "channel" in depth:
            shape = (a.num_layers, a.num_symbols, a.num_subcarriers)
            arrays["channel"] = np.empty((a.num_rx_ant, *shape), np.complex64)
            arrays["error_var"] = np.empty(shape, np.float32)
        if "symbols" in depth:
            arrays["symbols"] = np.empty((a.num_data_re, a.num_layers), np.complex64)
            arrays["symbol_noise"] = np.empty((a.num_data_re, a.num_layers), np.float32)
        if "llr" in depth:
            arrays["llr"] = np.empty((a.num_data_re, a.num_layers, a.bits_per_symbol), self._format)
        is_bf16 = grid.dtype == np.uint16
        slot = Slot(ctypes.sizeof(Slot), int(is_bf16), grid.ctypes.data, 0, 0, None, 0, noise_var)
        if dmrs is not None:
            dmrs = np.ascontiguousarray(dmrs, np.float32)
            slot.dmrs, slot.num_dmrs = dmrs.ctypes.data, dmrs.size
        output = Output(ctypes.sizeof(Output))
        for name, array in arrays.items():
            setattr(output, name, array.ctypes.data)
        status = self._library.ran6g_process(self._pointer, byref(slot), byref(output))
        if status:
            raise StatusError(self._library, "slot", status)
        layers = tuple(output.layer_sinr_db)[: a.num_layers]
        return Result(output.noise_var, output.sinr_db, layers, output.timing_s, output.cfo_hz, **arrays)
