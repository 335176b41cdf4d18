"""Rate matching and its inverse as LLVM IR, with scrambling on the way: every bit and every LLR is touched once.

What is interleaved stays in the caches for the length of a code block, so that only coded bits or LLRs pass through
memory. `segments` is int64 [n, 3] as in `ran.phy.ldpc.rate_matching.RateMatching.segments`. Scrambling sequences are
bytes of 0 and 1; sequences of zeros leave everything as it is.
"""

from __future__ import annotations

from llvmlite import ir

from ran.phy.ldpc.simd import F32, I1, I8, I32, I64, POINTER, counted_loop, element, i64, intrinsic, load_element, splat

#: Bits per symbol that the functions exist for.
BITS_PER_SYMBOL = (1, 2, 4, 6, 8, 10)
# Bits are taken 32 symbols at a time, LLRs 16: half and whole registers of 64 bytes, which LLVM splits where they are
# narrower.
_BIT_SYMBOLS, _LLR_SYMBOLS = 32, 16
_BYTES, _HALF = ir.VectorType(I8, 64), ir.VectorType(I8, _BIT_SYMBOLS)
_FLOATS, _WORDS = ir.VectorType(F32, _LLR_SYMBOLS), ir.VectorType(I32, _LLR_SYMBOLS)
_OCTETS = ir.VectorType(I8, _LLR_SYMBOLS)


def matching_functions(module: ir.Module) -> None:
    """Add `select_Q` and `recover_Q` for each Q of `BITS_PER_SYMBOL`."""
    for q in BITS_PER_SYMBOL:
        _select(module, q)
        _recover(module, q)


def _function(module: ir.Module, name: str, *args: ir.Type) -> tuple[ir.Function, ir.IRBuilder]:
    function = ir.Function(module, ir.FunctionType(I64, args), name)
    function.attributes.add("nounwind")
    for arg in function.args:
        if arg.type == POINTER:
            arg.add_attribute("noalias")
    return function, ir.IRBuilder(function.append_basic_block("entry"))


def _segment(b: ir.IRBuilder, segments: ir.Value, index: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    at = b.mul(index, i64(3))
    start, position, length = (load_element(b, segments, b.add(at, i64(i)), I64) for i in range(3))
    return start, position, length


def _copy(b: ir.IRBuilder, source: ir.Value, target: ir.Value, count: ir.Value) -> None:
    intrinsic(b, "llvm.memcpy.p0.p0.i64", ir.VoidType(), target, source, count, I1(0))


def _shuffled(b: ir.IRBuilder, sources: list[ir.Value], wanted: list[int]) -> ir.Value:
    """A vector whose lane i is lane `wanted[i]` of the sources put side by side."""
    width = sources[0].type.count
    indices = ir.VectorType(I32, width)
    mask = [place if place < 2 * width else 0 for place in wanted]
    result = b.shuffle_vector(sources[0], sources[min(1, len(sources) - 1)], ir.Constant(indices, mask))
    for number in range(2, len(sources)):
        own = range(number * width, (number + 1) * width)
        mask = [width + place - own.start if place in own else lane for lane, place in enumerate(wanted)]
        result = b.shuffle_vector(result, sources[number], ir.Constant(indices, mask))
    return result


def _select(module: ir.Module, q: int) -> None:
    """int64 select_Q(coded, scrambling, out, scratch, batch, count, batch_stride, row_stride, out_stride, size,
    num_users, user_stride, block_stride, segments, num_segments).

    coded: `count` code blocks of each of `batch` transport blocks, rows of bytes. out: of each transport block its
    blocks' `size` sent bits one after the other, interleaved (TS 38.212 §5.4.2.2) and scrambled by what stands in
    `scrambling` for user batch % num_users and the block. scratch: `size` bytes.
    """
    function, b = _function(module, f"select_{q}", *(POINTER,) * 4, *(I64,) * 9, POINTER, I64)
    coded, scrambling, out, scratch, batch, count, batch_stride, row_stride, out_stride, size = function.args[:10]
    num_users, user_stride, block_stride, segments, num_segments = function.args[10:]
    run = b.udiv(size, i64(q))
    is_run = b.icmp_signed("==", num_segments, i64(1))
    _, only, _ = _segment(b, segments, i64(0))
    with counted_loop(b, batch) as transport_block, counted_loop(b, count) as block:
        row = b.add(b.mul(transport_block, batch_stride), b.mul(block, row_stride))
        source = element(b, coded, row, I8)
        user = b.urem(transport_block, num_users)
        turns = element(b, scrambling, b.add(b.mul(user, user_stride), b.mul(block, block_stride)), I8)
        target = element(b, out, b.add(b.mul(transport_block, out_stride), b.mul(block, size)), I8)
        with b.if_then(b.not_(is_run)), counted_loop(b, num_segments) as index:
            start, position, length = _segment(b, segments, index)
            _copy(b, element(b, source, position, I8), element(b, scratch, start, I8), length)
        rows = b.select(is_run, element(b, source, only, I8), scratch)
        whole = b.and_(run, i64(-_BIT_SYMBOLS)) if q in (2, 4, 6, 8) else i64(0)
        if q in (2, 4, 6, 8):
            with counted_loop(b, whole, step=_BIT_SYMBOLS) as i:
                halves = [
                    b.load(element(b, rows, b.add(b.mul(run, i64(bit)), i), I8), align=1, typ=_HALF) for bit in range(q)
                ]
                side_by_side = ir.Constant(ir.VectorType(I32, 64), list(range(64)))
                pairs = [b.shuffle_vector(*halves[j : j + 2], side_by_side) for j in range(0, q, 2)]
                for number in range(q // 2):
                    places = range(64 * number, 64 * number + 64)
                    # byte p of the result is bit p % q of symbol p // q
                    bits = _shuffled(b, pairs, [_BIT_SYMBOLS * (p % q) + p // q for p in places])
                    at = b.add(b.mul(i, i64(q)), i64(64 * number))
                    turn = b.load(element(b, turns, at, I8), align=1, typ=_BYTES)
                    b.store(b.xor(bits, turn), element(b, target, at, I8), align=1)
        with counted_loop(b, run, start=whole) as i:
            for bit in range(q):
                at = b.add(b.mul(i, i64(q)), i64(bit))
                value = load_element(b, rows, b.add(b.mul(run, i64(bit)), i), I8)
                b.store(b.xor(value, load_element(b, turns, at, I8)), element(b, target, at, I8))
    b.ret(i64(0))


def _recover(module: ir.Module, q: int) -> None:
    """int64 recover_Q(llr, scrambling, out, scratch, batch, count, llr_stride, batch_stride, row_stride, size,
    num_users, user_stride, block_stride, segments, num_segments, num_copied, gaps, num_gaps).

    The inverse of `select_Q` for LLRs, float32: `llr` as its `out`, `out` as its `coded`. The first `num_copied`
    segments overwrite what is there, the others are added to it. gaps int64 [num_gaps, 2], start and length: where
    zeros are written. scratch: `size` floats.
    """
    function, b = _function(module, f"recover_{q}", *(POINTER,) * 4, *(I64,) * 9, POINTER, I64, I64, POINTER, I64)
    llr, scrambling, out, scratch, batch, count, llr_stride, batch_stride, row_stride, size = function.args[:10]
    num_users, user_stride, block_stride, segments, num_segments, num_copied, gaps, num_gaps = function.args[10:]
    run = b.udiv(size, i64(q))
    whole = b.and_(run, i64(-_LLR_SYMBOLS))
    with counted_loop(b, batch) as transport_block, counted_loop(b, count) as block:
        source = element(b, llr, b.add(b.mul(transport_block, llr_stride), b.mul(block, size)), F32)
        user = b.urem(transport_block, num_users)
        turns = element(b, scrambling, b.add(b.mul(user, user_stride), b.mul(block, block_stride)), I8)
        target = element(b, out, b.add(b.mul(transport_block, batch_stride), b.mul(block, row_stride)), F32)
        with counted_loop(b, whole, step=_LLR_SYMBOLS) as i:
            first = b.mul(i, i64(q))
            parts = []
            for number in range(q):
                at = b.add(first, i64(_LLR_SYMBOLS * number))
                value = b.load(element(b, source, at, F32), align=4, typ=_WORDS)
                turn = b.zext(b.load(element(b, turns, at, I8), align=1, typ=_OCTETS), _WORDS)
                parts.append(b.bitcast(b.xor(value, b.shl(turn, splat(_WORDS, 31))), _FLOATS))
            for bit in range(q):
                values = _shuffled(b, parts, [q * symbol + bit for symbol in range(_LLR_SYMBOLS)])
                b.store(values, element(b, scratch, b.add(b.mul(run, i64(bit)), i), F32), align=4)
        with counted_loop(b, run, start=whole) as i:
            for bit in range(q):
                at = b.add(b.mul(i, i64(q)), i64(bit))
                turn = b.shl(b.zext(load_element(b, turns, at, I8), I32), I32(31))
                value = b.xor(load_element(b, source, at, I32), turn)
                b.store(value, element(b, scratch, b.add(b.mul(run, i64(bit)), i), I32))
        with counted_loop(b, num_gaps) as index:
            at = b.mul(index, i64(2))
            start, length = (load_element(b, gaps, b.add(at, i64(i)), I64) for i in range(2))
            zeros = element(b, target, start, F32)
            intrinsic(b, "llvm.memset.p0.i64", ir.VoidType(), zeros, I8(0), b.mul(length, i64(4)), I1(0))
        with counted_loop(b, num_segments) as index:
            start, position, length = _segment(b, segments, index)
            part, to = element(b, scratch, start, F32), element(b, target, position, F32)
            with b.if_else(b.icmp_signed("<", index, num_copied)) as (copied, added):
                with copied:
                    _copy(b, part, to, b.mul(length, i64(4)))
                with added:
                    _add(b, part, to, length)
    b.ret(i64(0))


def _add(b: ir.IRBuilder, part: ir.Value, to: ir.Value, length: ir.Value) -> None:
    """Add `length` floats to those at `to`."""
    whole = b.and_(length, i64(-_LLR_SYMBOLS))
    with counted_loop(b, whole, step=_LLR_SYMBOLS) as i:
        left, right = (b.load(element(b, base, i, F32), align=4, typ=_FLOATS) for base in (to, part))
        b.store(b.fadd(left, right), element(b, to, i, F32), align=4)
    with counted_loop(b, length, start=whole) as i:
        total = b.fadd(load_element(b, to, i, F32), load_element(b, part, i, F32))
        b.store(total, element(b, to, i, F32))
