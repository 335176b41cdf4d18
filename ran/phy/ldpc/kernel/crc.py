"""Remainders of CRC polynomials as LLVM IR, eight octets at a time; see `ran.phy.crc`.

Tables are uint32 [8, 256]: the remainder of an octet, times x^L, that has so many octets behind it.
"""

from __future__ import annotations

from llvmlite import ir

from ran.phy.ldpc.simd import I8, I32, I64, POINTER, counted_loop, element, i64, intrinsic, load_element

_WORD_BITS = 64


def _add_word(b: ir.IRBuilder, remainder: ir.Value, word: ir.Value, table: ir.Value, length: ir.Value) -> None:
    """Append 64 bits of a message, the first one highest, to the int64 stored at `remainder`.

    The remainder so far is added to their highest L bits.
    """
    word = b.xor(word, b.shl(b.load(remainder, typ=I64), b.sub(i64(_WORD_BITS), length)))
    total = None
    for behind in range(8):
        octet = b.and_(b.lshr(word, i64(8 * behind)), i64(255))
        part = load_element(b, table, b.add(octet, i64(256 * behind)), I32)
        total = part if total is None else b.xor(total, part)
    b.store(b.zext(total, I64), remainder)


def octets_crc(module: ir.Module) -> None:
    """int64 crc(octets, batch, num_octets, table, length, remainders): uint32 [batch] remainders of messages x^L."""
    function = ir.Function(module, ir.FunctionType(I64, (POINTER, I64, I64, POINTER, I64, POINTER)), "crc")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    octets, batch, num_octets, table, length, remainders = function.args
    remainder, first = b.alloca(I64), b.alloca(I64)
    rest = b.and_(num_octets, i64(7))
    with counted_loop(b, batch) as block:
        message = element(b, octets, b.mul(block, num_octets), I8)
        b.store(i64(0), first)
        with counted_loop(b, rest) as i:
            octet = b.zext(load_element(b, message, i, I8), I64)
            b.store(b.or_(b.shl(b.load(first, typ=I64), i64(8)), octet), first)
        b.store(i64(0), remainder)
        _add_word(b, remainder, b.load(first, typ=I64), table, length)
        with counted_loop(b, num_octets, start=rest, step=8) as i:
            word = b.load(element(b, message, i, I8), align=1, typ=I64)
            _add_word(b, remainder, intrinsic(b, "llvm.bswap.i64", I64, word), table, length)
        b.store(b.trunc(b.load(remainder, typ=I64), I32), element(b, remainders, block, I32))
    b.ret(i64(0))


def crc_holds(module: ir.Module) -> ir.Function:
    """int64 crc_holds(bits, num_bits, table, length): 1 where bits, a byte each, end in their CRC, else 0.

    0 for a message of zeros: its CRC is zero, so that it holds for what a decoder puts out where it knows nothing.
    """
    function = ir.Function(module, ir.FunctionType(I64, (POINTER, I64, POINTER, I64)), "crc_holds")
    function.linkage = "internal"
    b = ir.IRBuilder(function.append_basic_block("entry"))
    bits, num_bits, table, length = function.args
    remainder, first, ones = b.alloca(I64), b.alloca(I64), b.alloca(I64)
    vector = ir.VectorType(I8, _WORD_BITS)
    rest = b.and_(num_bits, i64(_WORD_BITS - 1))
    b.store(i64(0), first)
    with counted_loop(b, rest) as i:
        bit = b.zext(load_element(b, bits, i, I8), I64)
        b.store(b.or_(b.shl(b.load(first, typ=I64), i64(1)), bit), first)
    b.store(i64(0), remainder)
    b.store(b.load(first, typ=I64), ones)
    _add_word(b, remainder, b.load(first, typ=I64), table, length)
    with counted_loop(b, num_bits, start=rest, step=_WORD_BITS) as i:
        lanes = b.load(element(b, bits, i, I8), align=1, typ=vector)
        word = b.bitcast(b.icmp_unsigned("!=", lanes, ir.Constant(vector, None)), I64)
        b.store(b.or_(b.load(ones, typ=I64), word), ones)
        _add_word(b, remainder, intrinsic(b, "llvm.bitreverse.i64", I64, word), table, length)
    is_zero = b.icmp_signed("==", b.load(remainder, typ=I64), i64(0))
    has_ones = b.icmp_signed("!=", b.load(ones, typ=I64), i64(0))
    b.ret(b.zext(b.and_(is_zero, has_ones), I64))
    return function
