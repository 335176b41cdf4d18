"""Encoding, rate matching and CRC as LLVM IR: loops over bytes that numpy would need many passes for."""

from __future__ import annotations

from llvmlite import ir

from ran.phy.ldpc.kernel.crc import bits_crc
from ran.phy.ldpc.kernel.matching import matching_functions
from ran.phy.ldpc.simd import I1, I8, I32, I64, POINTER, counted_loop, element, i64, intrinsic, load_element

#: Width of the vectors; LLVM splits them where registers are narrower.
VECTOR_BYTES = 64
_VECTOR = ir.VectorType(I8, VECTOR_BYTES)


def build_module() -> str:
    """LLVM IR with `encode`, `crc`, and `select_Q` and `recover_Q` of `kernel.matching`; see the functions."""
    module = ir.Module("transmit")
    _encode(module)
    matching_functions(module)
    bits_crc(module)
    return str(module)


def _function(module: ir.Module, name: str, *args: ir.Type) -> tuple[ir.Function, ir.IRBuilder]:
    function = ir.Function(module, ir.FunctionType(I64, args), name)
    function.attributes.add("nounwind")
    for arg in function.args:
        if arg.type == POINTER:
            arg.add_attribute("noalias")
    return function, ir.IRBuilder(function.append_basic_block("entry"))


def _copy(b: ir.IRBuilder, source: ir.Value, target: ir.Value, count: ir.Value) -> None:
    intrinsic(b, "llvm.memcpy.p0.p0.i64", ir.VoidType(), target, source, count, I1(0))


def _encode(module: ir.Module) -> None:
    """int64 encode(bits, coded, batch, num_bits, num_columns, skipped, z, stride, sums, num_sums, sources, memory).

    bits [batch, num_bits] -> coded [batch, num_columns - skipped, z], one byte each. memory holds columns of `stride`
    bytes, the first num_columns of the code and then intermediate ones, each with its z bytes twice, so that a cyclic
    shift is a place to read from; where the information columns end is 0. sums int32 [num_sums, 3]: start of a column,
    first source and one past the last: the column becomes the sum of what stands at `sources` int32.
    """
    function, b = _function(module, "encode", POINTER, POINTER, *(I64,) * 6, POINTER, I64, POINTER, POINTER)
    bits, coded, batch, num_bits, num_columns, skipped, z, stride, sums, num_sums, sources, memory = function.args
    num_output = b.mul(b.sub(num_columns, skipped), z)
    with counted_loop(b, batch) as block:
        info = element(b, bits, b.mul(block, num_bits), I8)
        out = element(b, coded, b.mul(block, num_output), I8)
        num_info_columns = b.udiv(b.sub(b.add(num_bits, z), i64(1)), z)
        with counted_loop(b, num_info_columns) as column:
            first = b.mul(column, z)
            rest = b.sub(num_bits, first)
            target = element(b, memory, b.mul(column, stride), I8)
            _copy(b, element(b, info, first, I8), target, b.select(b.icmp_signed("<", rest, z), rest, z))
            _repeat(b, target, z)
        with counted_loop(b, num_sums) as index:
            at = b.mul(index, i64(3))
            start, begin, end = (b.sext(load_element(b, sums, b.add(at, i64(i)), I32), I64) for i in range(3))
            target = element(b, memory, start, I8)
            with counted_loop(b, z, step=VECTOR_BYTES) as i:
                entry = b.block
                head, body = b.append_basic_block("sources"), b.append_basic_block("add")
                done = b.append_basic_block("added")
                b.branch(head)
                b.position_at_end(head)
                source, total = b.phi(I64), b.phi(_VECTOR)
                source.add_incoming(begin, entry)
                total.add_incoming(ir.Constant(_VECTOR, None), entry)
                b.cbranch(b.icmp_signed("<", source, end), body, done)
                b.position_at_end(body)
                place = b.add(b.sext(load_element(b, sources, source, I32), I64), i)
                value = b.load(element(b, memory, place, I8), align=1, typ=_VECTOR)
                total.add_incoming(b.xor(total, value), body)
                source.add_incoming(b.add(source, i64(1)), body)
                b.branch(head)
                b.position_at_end(done)
                b.store(total, element(b, target, i, I8), align=1)
            _repeat(b, target, z)
        with counted_loop(b, num_columns, start=skipped) as column:
            source = element(b, memory, b.mul(column, stride), I8)
            _copy(b, source, element(b, out, b.mul(b.sub(column, skipped), z), I8), z)
    b.ret(i64(0))


def _repeat(b: ir.IRBuilder, column: ir.Value, z: ir.Value) -> None:
    """Write the z bytes of a column once more behind themselves."""
    with counted_loop(b, z, step=VECTOR_BYTES) as i:
        value = b.load(element(b, column, i, I8), align=1, typ=_VECTOR)
        b.store(value, element(b, column, b.add(z, i), I8), align=1)
