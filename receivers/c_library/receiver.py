"""The C library as a receiver."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from receivers.c_library import model_file
from receivers.c_library.build import built_library, sources
from receivers.c_library.library import Handle, LlrFormat, StatusError, multiplies_bfloat16
from receivers.c_library.network_arrays import Precision
from receivers.classical.blind import Blind
from receivers.classical.lmmse import Lmmse
from receivers.interface import Receiver, SlotObservation, Truth
from receivers.neural.receiver import NeuralReceiver

# Code of the library for a grid that is not finite.
_NOT_FINITE = 7


class CLibrary(Receiver):
    """`lmmse`, `blind` or a small network as compiled C++: the library that `ran export --target c-library` writes.

    Needs a C++ compiler, once: what it builds is kept. LLRs are those of the receiver of that name up to rounding, of
    `neural` with `reject_bursts: false`.

    algorithm: the receiver. detector: of several layers, "lmmse" or "ep"; None for the receiver's default.
    prior_delay_spread_ns, prior_max_doppler_hz: of `lmmse`. max_cfo_hz, num_iterations: of `blind`; weights have their
    own. weights: of `neural`, of the architecture soft-pilots; for slots of one layer. precision: of what its network
    multiplies; "bfloat16" is faster where the processor has AVX-512 BF16, and float32 elsewhere, as `notes` then say.
    num_threads: that share a slot. llr_format: numbers that LLRs pass through.
    llr_scale: of int8 LLRs, which are LLRs times this, rounded and held between -127 and 127.
    """

    name = "c-library"

    def __init__(
        self,
        algorithm: Literal["lmmse", "blind", "neural"] = "lmmse",
        detector: Literal["lmmse", "ep"] | None = None,
        prior_delay_spread_ns: float = 300.0,
        prior_max_doppler_hz: float = 300.0,
        max_cfo_hz: float = 200.0,
        num_iterations: int = 3,
        num_threads: int = 1,
        llr_format: LlrFormat = "float32",
        llr_scale: float = 8.0,
        weights: str = "pusch-small",
        precision: Precision = "float32",
    ) -> None:
        if algorithm not in ("lmmse", "blind", "neural"):
            raise ValueError(f"algorithm: got {algorithm!r}; allowed: lmmse, blind, neural")
        if not 1 <= num_threads <= 16:
            raise ValueError(f"num_threads: got {num_threads}; allowed: 1 to 16")
        if llr_format not in ("float32", "float16", "int8"):
            raise ValueError(f"llr_format: got {llr_format!r}; allowed: float32, float16, int8")
        if not 1e-6 < llr_scale < 1e6:
            raise ValueError(f"llr_scale: got {llr_scale}; allowed: above 1e-6, below 1e6")
        self.algorithm = algorithm
        self.detector = detector
        self.prior_delay_spread_ns = prior_delay_spread_ns
        self.prior_max_doppler_hz = prior_max_doppler_hz
        self.max_cfo_hz = max_cfo_hz
        self.num_iterations = num_iterations
        self.num_threads = num_threads
        self.llr_format: LlrFormat = llr_format
        self.llr_scale = llr_scale
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision: got {precision!r}; allowed: float32, bfloat16")
        self.weights = weights
        self.precision: Precision = precision
        chosen: dict[str, Any] = {} if detector is None else {"detector": detector}
        #: The readable receiver whose model file the library works by.
        self.reference: model_file.Readable
        if algorithm == "lmmse":
            self.reference = Lmmse(prior_delay_spread_ns, prior_max_doppler_hz, **chosen)
        elif algorithm == "blind":
            self.reference = Blind(max_cfo_hz, num_iterations, **chosen)
        else:
            self.reference = NeuralReceiver(weights, reject_bursts=False)
        self._handles: dict[tuple, Handle] = {}
        self._dmrs: tuple[Tensor, NDArray[np.float32]] | None = None

    @classmethod
    def of(cls, receiver: model_file.Readable, precision: Precision = "float32") -> CLibrary:
        """The library in the place of a readable receiver with whatever options."""
        made = cls("lmmse", precision=precision)
        made.reference = receiver
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": {}, "_dmrs": None}

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for path in sources():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        if isinstance(self.reference, NeuralReceiver):
            digest.update(self.reference.fingerprint().encode())
        return digest.hexdigest()

    @property
    def computed_precision(self) -> Precision:
        """What its network multiplies on this machine."""
        asked = self.precision == "bfloat16" and isinstance(self.reference, NeuralReceiver)
        return "bfloat16" if asked and multiplies_bfloat16(built_library()) else "float32"

    @property
    def notes(self) -> tuple[str, ...]:
        if self.precision == self.computed_precision:
            return ()
        why = "this processor has no AVX-512 BF16"
        if not isinstance(self.reference, NeuralReceiver):
            why = "only networks are computed in it"
        return (f"precision: got {self.precision}, computed in {self.computed_precision}; {why}",)

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        self.reference.check(bits_per_symbol, num_layers, num_rx_ant)

    def check_slot(self, observation: SlotObservation) -> None:
        self.reference.check_slot(observation)
        model_file.check(self.reference, observation)

    def handle(self, observation: SlotObservation) -> Handle:
        """The library's receiver for slots like these, made when first asked for."""
        o = observation
        mask, times = o.data_mask.cpu().numpy().tobytes(), o.symbol_times_s.cpu().numpy().tobytes()
        kind = (o.layout, o.y.shape[1], o.bits_per_symbol, o.layer_amplitude, o.layer_to_user, o.subcarrier_spacing_hz)
        key = (*kind, o.data_mask.shape, mask, times)
        if key not in self._handles:
            if len(self._handles) >= 16:
                self._handles.clear()
            model = model_file.model_bytes(self.reference, o, self.precision)
            self._handles[key] = Handle(built_library(), model, self.num_threads, self.llr_format, self.llr_scale)
        return self._handles[key]

    def _dmrs_of(self, observation: SlotObservation) -> NDArray[np.float32]:
        # the slots of a batch, and often those of many batches, have the same pilots
        if self._dmrs is None or self._dmrs[0] is not observation.pilots:
            self._dmrs = observation.pilots, model_file.dmrs_values(observation)
        return self._dmrs[1]

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        handle, dmrs = self.handle(observation), self._dmrs_of(observation)
        scale = self.llr_scale if self.llr_format == "int8" else 1.0
        y, noise = observation.y.cpu().numpy(), observation.noise_var.cpu().numpy()
        out = []
        for slot, noise_var in zip(y, noise, strict=True):
            try:
                llr = handle(slot, float(noise_var), dmrs).llr
            except StatusError as error:
                if error.status != _NOT_FINITE:
                    raise
                # as the readable receivers: no numbers from no numbers, for the simulator to name the drop
                a = handle.about
                llr = np.full((a.num_data_re, a.num_layers, a.bits_per_symbol), np.nan, np.float32)
            assert llr is not None
            out.append(torch.from_numpy(llr.astype(np.float32) / np.float32(scale)).transpose(0, 1))
        return torch.stack(out).contiguous().to(observation.y.device)
