"""Remainders of CRC polynomials as LLVM IR, 64 bits at a time; see `ran.phy.crc`.

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


def _remainder(
    b: ir.IRBuilder, bits: ir.Value, num_bits: ir.Value, table: ir.Value, length: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Remainder of a message x^L, bits a byte each, and the bitwise or of its words of 64 bits."""
    remainder, first, ones = b.alloca(I64), b.alloca(I64), b.alloca(I64)
    vector = ir.VectorType(I8, _WORD_BITS)
    rest = b.and_(num_bits, i64(_WORD_BITS - 1))
    b.store(i64(0), first)
    with counted_loop(b, rest) as i:
        bit = b.zext(b.icmp_unsigned("!=", load_element(b, bits, i, I8), I8(0)), I64)
        b.store(b.or_(b.shl(b.load(first, typ=I64), i64(1)), bit), first)
    b.store(i64(0), remainder)
    b.store(b.load(first, typ=I64), ones)
    _add_word(b, remainder, b.load(first, typ=I64), table, length)
    with counted_loop(b, num_bits, start=rest, step=_WORD_BITS) as i:
        lanes = b.load(element(b, bits, i, I8), align=1, typ=vector)
        word = b.bitcast(b.icmp_unsigned("!=", lanes, ir.Constant(vector, None)), I64)
        b.store(b.or_(b.load(ones, typ=I64), word), ones)
        _add_word(b, remainder, intrinsic(b, "llvm.bitreverse.i64", I64, word), table, length)
    return b.load(remainder, typ=I64), b.load(ones, typ=I64)


def bits_crc(module: ir.Module) -> None:
    """int64 crc(bits, batch, num_bits, stride, table, length, remainders): uint32 [batch] remainders of messages x^L.

    bits: messages of num_bits bytes of 0 and 1, `stride` bytes from one to the next.
    """
    arguments = (POINTER, I64, I64, I64, POINTER, I64, POINTER)
    function = ir.Function(module, ir.FunctionType(I64, arguments), "crc")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    bits, batch, num_bits, stride, table, length, remainders = function.args
    of_message = _message_remainder(module)
    with counted_loop(b, batch) as block:
        found = b.call(of_message, (element(b, bits, b.mul(block, stride), I8), num_bits, table, length))
        b.store(b.trunc(found, I32), element(b, remainders, block, I32))
    b.ret(i64(0))


def _message_remainder(module: ir.Module) -> ir.Function:
    """int64 message_remainder(bits, num_bits, table, length): see `_remainder`; a function, so that what it keeps on
    the stack does not grow with the messages."""
    function = ir.Function(module, ir.FunctionType(I64, (POINTER, I64, POINTER, I64)), "message_remainder")
    function.linkage = "internal"
    b = ir.IRBuilder(function.append_basic_block("entry"))
    b.ret(_remainder(b, *function.args)[0])
    return function


def crc_holds(module: ir.Module) -> ir.Function:
    """int64 crc_holds(bits, num_bits, table, length): 1 where bits, a byte each, end in their CRC, else 0.

    0 for a message of zeros: its CRC is zero, so that it holds for what a decoder puts out where it knows nothing.
    """
    function = ir.Function(module, ir.FunctionType(I64, (POINTER, I64, POINTER, I64)), "crc_holds")
    function.linkage = "internal"
    b = ir.IRBuilder(function.append_basic_block("entry"))
    bits, num_bits, table, length = function.args
    remainder, ones = _remainder(b, bits, num_bits, table, length)
    is_zero = b.icmp_signed("==", remainder, i64(0))
    has_ones = b.icmp_signed("!=", ones, i64(0))
    b.ret(b.zext(b.and_(is_zero, has_ones), I64))
    return function
