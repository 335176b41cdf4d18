"""From transport block to coded bits and back: CRC, segmentation, LDPC, rate matching (TS 38.212 §6.2, §7.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy import crc as crc_module
from ran.phy.crc import Polynomial
from ran.phy.harq import SoftBuffer
from ran.phy.ldpc import (
    LdpcCode,
    LdpcDecision,
    Precision,
    RateMatching,
    RedundancyVersion,
    decode,
    encode,
    select_lifting_size,
)
from ran.phy.ldpc.base_graph import BaseGraph

# LLRs after rate recovery that are held at once; more would be no faster.
_STEP_BYTES = 2**22
# TS 38.212 §5.2.2: largest code block of each base graph.
_MAX_BLOCK_BITS: dict[int, int] = {1: 8448, 2: 3840}


@dataclass(frozen=True)
class TransportBlockDecision:
    """What decoding a batch of transport blocks gave.

    bits [batch, tb_size] uint8. crc_ok [batch] bool: received, that is the transport block's own CRC holds and all its
    code blocks are right. The bits may be right before that, where the decoder runs out of iterations while parity bits
    are still wrong.
    code_block_ok [batch, C] bool: all parity checks of a code block hold, its CRC where it has one, and there was
    something to decode (as many LLRs other than 0 as it has bits). With `stop_crc` its CRC is enough, unless it is all
    zeros.
    iterations [batch, C] int32: decoder iterations run.
    own_crc_ok [batch] bool: the transport block's own CRC holds, whatever its code blocks say.
    coded_llr [batch, num_coded_bits] float32, where soft output was asked for: LLRs of the coded bits after decoding,
    what came in included.
    """

    bits: npt.NDArray[np.uint8]
    crc_ok: npt.NDArray[np.bool_]
    code_block_ok: npt.NDArray[np.bool_]
    iterations: npt.NDArray[np.int32]
    own_crc_ok: npt.NDArray[np.bool_]
    coded_llr: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TransportBlock:
    """The coding chain of one transport block without scrambling.

    tb_size: A, payload bits. num_coded_bits: G, bits that the allocation carries on all layers of the block.
    target_rate: R of the MCS, between 0 and 1; chooses the base graph. bits_per_symbol: Q_m. num_layers: 1 to 4.
    rv: redundancy version. tbs_lbrm: TBS_LBRM in bits, turns limited buffer rate matching on (TS 38.212 §5.4.2.1).

    Raises `InputError` for values that make no transport block.
    """

    tb_size: int
    num_coded_bits: int
    target_rate: float
    bits_per_symbol: int
    num_layers: int = 1
    rv: RedundancyVersion = 0
    tbs_lbrm: int | None = None

    def __post_init__(self) -> None:
        if self.tb_size < 1:
            raise bad_value("tb_size", self.tb_size, "1 or more")
        if not 0 < self.target_rate < 1:
            raise bad_value("target_rate", self.target_rate, "between 0 and 1")
        if not 1 <= self.num_layers <= 4:
            raise bad_value("num_layers", self.num_layers, "1 to 4")
        total = self.tb_size + crc_module.crc_length(self.crc_polynomial)
        if total % self.num_code_blocks:
            sizes = f"sizes of TS 38.214 §5.1.3.2, which divide evenly into {self.num_code_blocks} code blocks"
            raise bad_value("tb_size", self.tb_size, sizes)
        unit = self.bits_per_symbol * self.num_layers
        if self.num_coded_bits % unit or self.num_coded_bits < unit * self.num_code_blocks:
            allowed = f"multiples of bits_per_symbol x num_layers = {unit} from {unit * self.num_code_blocks}"
            raise bad_value("num_coded_bits", self.num_coded_bits, allowed)
        # Built now so that every bad value is refused here and not in the middle of a simulation.
        _ = self.rate_matchings

    @property
    def base_graph(self) -> BaseGraph:
        """TS 38.212 §7.2.2 and §6.2.2."""
        small = self.tb_size <= 292 or (self.tb_size <= 3824 and self.target_rate <= 0.67)
        return 2 if small or self.target_rate <= 0.25 else 1

    @property
    def crc_polynomial(self) -> Polynomial:
        """CRC of the transport block (TS 38.212 §7.2.1)."""
        return "24A" if self.tb_size > 3824 else "16"

    @cached_property
    def num_code_blocks(self) -> int:
        """C of TS 38.212 §5.2.2."""
        total = self.tb_size + crc_module.crc_length(self.crc_polynomial)
        largest = _MAX_BLOCK_BITS[self.base_graph]
        return 1 if total <= largest else -(-total // (largest - 24))

    @cached_property
    def code(self) -> LdpcCode:
        """The LDPC code of all code blocks, with only those rows whose parity is sent."""
        total = self.tb_size + crc_module.crc_length(self.crc_polynomial)
        num_info_bits = total // self.num_code_blocks + (24 if self.num_code_blocks > 1 else 0)
        lifting_size = select_lifting_size(self.base_graph, num_info_bits, total)
        mother = LdpcCode(self.base_graph, lifting_size, num_info_bits)
        return mother.with_sent_columns(self._sent_columns(mother))

    def _sent_columns(self, mother: LdpcCode) -> npt.NDArray[np.int64]:
        # What a longer output sends includes all that a shorter one does.
        return self._rate_matching(mother, max(self._output_sizes)).sent_columns

    @cached_property
    def rate_matchings(self) -> tuple[RateMatching, ...]:
        """Rate matching of each code block."""
        matchings = {size: self._rate_matching(self.code, size) for size in set(self._output_sizes)}
        return tuple(matchings[size] for size in self._output_sizes)

    @property
    def _output_sizes(self) -> list[int]:
        """E of each code block (TS 38.212 §5.4.2.1)."""
        c, unit = self.num_code_blocks, self.bits_per_symbol * self.num_layers
        units = self.num_coded_bits // unit
        num_short = c - units % c
        return [unit * (units // c)] * num_short + [unit * -(-units // c)] * (c - num_short)

    def _rate_matching(self, code: LdpcCode, size: int) -> RateMatching:
        buffer_bits = None
        if self.tbs_lbrm is not None:
            buffer_bits = min(code.num_mother_bits, 3 * self.tbs_lbrm // (2 * self.num_code_blocks))
        return RateMatching(code, size, self.bits_per_symbol, self.rv, buffer_bits)

    def with_rv(self, rv: RedundancyVersion | None) -> TransportBlock:
        """The same with another redundancy version; None for the one it has."""
        return self if rv is None or rv == self.rv else _with_rv(self, rv)

    @property
    def _mother_code(self) -> LdpcCode:
        return LdpcCode(self.base_graph, self.code.lifting_size, self.code.num_info_bits)

    @property
    def num_mother_bits(self) -> int:
        """Bits of the mother code of all code blocks."""
        return self.num_code_blocks * self._mother_code.num_mother_bits

    def new_soft_buffer(self, batch: int) -> SoftBuffer:
        """An empty soft buffer for a batch of such transport blocks, to hand to `decode` with each transmission."""
        if batch < 0:
            raise bad_value("batch", batch, "0 or more")
        mother = self._mother_code
        llr = np.zeros((batch, self.num_code_blocks, mother.num_mother_bits), np.float32)
        return SoftBuffer(self.tb_size, mother, llr)

    def encode(
        self,
        bits: npt.ArrayLike,
        *,
        rv: RedundancyVersion | None = None,
        scrambling: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Transport blocks [batch, tb_size] of 0 and 1 -> coded bits [batch, num_coded_bits] uint8.

        rv: redundancy version in place of the block's own.
        scrambling [num_users, num_coded_bits] uint8 of 0 and 1: added to the coded bits, to those of transport block i
            that of user i % num_users; by default none.
        """
        if rv is not None and rv != self.rv:
            return self.with_rv(rv).encode(bits, scrambling=scrambling)
        self._check_scrambling(scrambling)
        payload = np.asarray(bits, dtype=np.uint8)
        if payload.ndim != 2 or payload.shape[1] != self.tb_size:
            raise bad_value("shape of bits", payload.shape, f"[batch, {self.tb_size}]")
        c, batch = self.num_code_blocks, payload.shape[0]
        blocks = np.concatenate([payload, crc_module.crc(payload, self.crc_polynomial)], axis=1)
        blocks = blocks.reshape(batch * c, blocks.shape[1] // c)
        if c > 1:
            blocks = np.concatenate([blocks, crc_module.crc(blocks, "24B")], axis=1)
        coded = encode(blocks, self.code)
        return self._select(coded.reshape(batch, c, coded.shape[1]), scrambling)

    def decode(
        self,
        llr: npt.ArrayLike,
        num_iterations: int,
        *,
        early_stop: bool = True,
        precision: Precision = "int8",
        soft: bool = False,
        num_threads: int = 1,
        stop_crc: bool = False,
        soft_buffer: SoftBuffer | None = None,
        rv: RedundancyVersion | None = None,
        scrambling: npt.NDArray[np.uint8] | None = None,
    ) -> TransportBlockDecision:
        """LLRs [batch, num_coded_bits] float32, positive for bit 0 -> decision.

        A torch tensor on a CUDA device is combined and decoded there; the decision lies on the host.
        num_iterations: at most this many per code block. early_stop: stop a code block when its parity checks hold.
        precision, num_threads: see `ldpc.decode`. soft: also return LLRs of the coded bits after decoding.
        stop_crc: stop a code block also when its CRC holds, unless it is all zeros.
        soft_buffer: of `new_soft_buffer`: what this transmission brought is added to it, and what it then holds is
            decoded. A retransmission may have another allocation, modulation, number of layers and redundancy version:
            a TransportBlock of the same tb_size and target_rate. Another tb_size is refused.
        rv: redundancy version of this transmission in place of the block's own.
        scrambling [num_users, num_coded_bits] uint8 of 0 and 1: of the LLRs that come in, as in `encode`; on the host
            alone. Soft output is not scrambled.
        """
        if rv is not None and rv != self.rv:
            return self.with_rv(rv).decode(
                llr,
                num_iterations,
                early_stop=early_stop,
                precision=precision,
                soft=soft,
                num_threads=num_threads,
                stop_crc=stop_crc,
                soft_buffer=soft_buffer,
                scrambling=scrambling,
            )
        self._check_scrambling(scrambling)
        on_device = getattr(llr, "is_cuda", False)
        received: Any = cast(Any, llr).float() if on_device else np.asarray(llr, dtype=np.float32)
        if on_device and soft_buffer is not None:
            raise bad_value("llr with a soft buffer", "a tensor on a GPU", "arrays on the host")
        if on_device and scrambling is not None:
            raise bad_value("llr with scrambling", "a tensor on a GPU", "arrays on the host")
        if received.ndim != 2 or received.shape[1] != self.num_coded_bits:
            raise bad_value("shape of llr", tuple(received.shape), f"[batch, {self.num_coded_bits}]")
        how: dict[str, Any] = {
            "num_iterations": num_iterations,
            "early_stop": early_stop,
            "precision": precision,
            "soft": soft,
            "num_threads": num_threads,
            "stop_crc": ("24B" if self.num_code_blocks > 1 else self.crc_polynomial) if stop_crc else None,
        }
        if soft_buffer is not None:
            code, combined = self._combine_into(soft_buffer, received, scrambling)
            return self._decided(combined, code, 0, how)
        step = len(received) if on_device or soft or num_threads > 1 else self._step(scrambling)
        if step >= len(received):
            return self._decided(self._combine(received, scrambling), self.code, 0, how)
        combined = np.empty((step, self.num_code_blocks, self.code.num_coded_bits), np.float32)
        parts = []
        for first in range(0, len(received), step):
            part = received[first : first + step]
            self._recover(part, combined, scrambling, fresh=True)
            parts.append(self._decided(combined[: len(part)], self.code, first, how))
        return _joined(parts)

    def _step(self, scrambling: npt.NDArray[np.uint8] | None) -> int:
        """Transport blocks that are decoded together so that their LLRs stay in the caches, all users of a slot each
        time."""
        users = 1 if scrambling is None else len(scrambling)
        num_bytes = 4 * self.num_code_blocks * self.code.num_coded_bits * users
        return users * max(1, _STEP_BYTES // num_bytes)

    def _decided(self, combined: Any, code: LdpcCode, first: int, how: dict[str, Any]) -> TransportBlockDecision:
        """Decode LLRs [batch, C, coded bits] of transport blocks from number `first` on."""
        batch, c = combined.shape[:2]
        llr = combined.reshape(batch * c, combined.shape[-1])
        decision = decode(llr, code, **how, first_block=first * c)
        if getattr(llr, "is_cuda", False):
            decision = _on_host(decision)
        blocks, block_ok = decision.bits, decision.parity_ok
        if c > 1:
            block_ok = block_ok & crc_module.crc_ok(blocks, "24B")
            blocks = blocks[:, :-24]
        whole = blocks.reshape(batch, c * blocks.shape[1])
        after = decision.coded_llr
        own_crc_ok = crc_module.crc_ok(whole, self.crc_polynomial)
        return TransportBlockDecision(
            bits=np.ascontiguousarray(whole[:, : self.tb_size]),
            crc_ok=own_crc_ok & block_ok.reshape(batch, c).all(1),
            code_block_ok=block_ok.reshape(batch, c),
            iterations=decision.iterations.reshape(batch, c),
            own_crc_ok=own_crc_ok,
            coded_llr=None if after is None else self._select(after.reshape(batch, c, after.shape[-1])),
        )

    def _check_scrambling(self, scrambling: npt.NDArray[np.uint8] | None) -> None:
        if scrambling is None:
            return
        fits = scrambling.ndim == 2 and len(scrambling) and scrambling.shape[1] == self.num_coded_bits
        if not fits or scrambling.dtype != np.uint8 or not scrambling.flags.c_contiguous:
            given = f"{scrambling.dtype} {scrambling.shape}"
            raise bad_value("scrambling", given, f"uint8 [num_users, {self.num_coded_bits}], contiguous")

    def _select(self, coded: npt.NDArray[Any], scrambling: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[Any]:
        """[batch, C, coded bits] -> [batch, num_coded_bits]: rate matching, concatenation and scrambling of bits."""
        batch = coded.shape[0]
        out = np.empty((batch, self.num_coded_bits), coded.dtype)
        for matching, first, count, start in self._groups():
            wanted = coded[:, first : first + count, : matching.code.num_coded_bits]
            if coded.dtype == np.uint8:
                end = start + count * matching.num_output_bits
                own = None if scrambling is None else scrambling[:, start:end]
                matching.select_blocks(wanted, out[:, start:end], own)
                continue
            part = matching.select(wanted).reshape(batch, count * matching.num_output_bits)
            out[:, start : start + part.shape[1]] = part
        return out

    def _combine(self, received: Any, scrambling: npt.NDArray[np.uint8] | None = None) -> Any:
        """Inverse of `_select` for LLRs, an array or a tensor (which is not scrambled)."""
        if isinstance(received, np.ndarray):
            out = np.empty((len(received), self.num_code_blocks, self.code.num_coded_bits), np.float32)
            self._recover(received, out, scrambling, fresh=True)
            return out
        parts: list[Any] = []
        for matching, _, count, start in self._groups():
            size = matching.num_output_bits
            part = received[:, start : start + count * size].reshape(len(received), count, size)
            parts.append(matching.combine(part))
        if len(parts) == 1:
            return parts[0]
        import torch

        return torch.cat(parts, dim=1)

    def _recover(
        self,
        received: npt.NDArray[np.float32],
        out: npt.NDArray[np.float32],
        scrambling: npt.NDArray[np.uint8] | None,
        *,
        fresh: bool,
    ) -> None:
        """LLRs [batch, num_coded_bits] descrambled into `out` [batch, C, coded bits], or added to what it holds."""
        received = np.ascontiguousarray(received)
        for matching, first, count, start in self._groups():
            end = start + count * matching.num_output_bits
            own = None if scrambling is None else scrambling[:, start:end]
            place = out[: len(received), first : first + count, : matching.code.num_coded_bits]
            matching.recover_blocks(received[:, start:end], place, own, fresh=fresh)

    def _combine_into(
        self,
        soft_buffer: SoftBuffer,
        received: npt.NDArray[np.float32],
        scrambling: npt.NDArray[np.uint8] | None = None,
    ) -> tuple[LdpcCode, npt.NDArray[np.float32]]:
        """Add a transmission to a soft buffer. Returns the code to decode now, and its LLRs [batch, C, coded bits]."""
        soft_buffer.check_fits(self.tb_size, self.code, len(received))
        if not np.isfinite(received).all():
            # Refused before it can spoil what was received earlier.
            bad = int(np.flatnonzero(~np.isfinite(received).all(axis=1))[0])
            raise bad_value(f"llr of transport block {bad}", "NaN or infinity", "finite numbers")
        self._recover(received, soft_buffer.llr, scrambling, fresh=False)
        soft_buffer.sent_columns |= frozenset(self._sent_columns(soft_buffer.code).tolist())
        soft_buffer.num_transmissions += 1
        code = soft_buffer.code_in_use()
        return code, soft_buffer.llr[..., : code.num_coded_bits]

    def _groups(self) -> list[tuple[RateMatching, int, int, int]]:
        """Runs of code blocks of equal output length: rate matching, first block, number of blocks, first coded bit."""
        groups, first, start = [], 0, 0
        for matching, members in groupby(self.rate_matchings):
            count = len(list(members))
            groups.append((matching, first, count, start))
            first, start = first + count, start + count * matching.num_output_bits
        return groups


def _joined(parts: list[TransportBlockDecision]) -> TransportBlockDecision:
    """Decisions of consecutive transport blocks, without soft output."""
    names = ("bits", "crc_ok", "code_block_ok", "iterations", "own_crc_ok")
    return TransportBlockDecision(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _on_host(decision: LdpcDecision) -> LdpcDecision:
    fields: dict[str, Any] = vars(decision)
    moved: dict[str, Any] = {name: None if field is None else field.cpu().numpy() for name, field in fields.items()}
    return LdpcDecision(**moved)


@lru_cache(maxsize=64)
def _with_rv(block: TransportBlock, rv: RedundancyVersion) -> TransportBlock:
    return replace(block, rv=rv)
