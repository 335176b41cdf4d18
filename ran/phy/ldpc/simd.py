"""Vector types and loops of LLVM IR: what the decoder kernels are written in.

The kernels are generated as LLVM IR with llvmlite, which numba brings along, and not as numba functions: LLVM does not
vectorise saturating int8 arithmetic out of plain loops well (15 times slower), explicit vector types inside numba need
its type inference on top, and an object file from LLVM is small, can be kept on disk, and runs without the interpreter
lock. LLVM lowers the vector types to AVX-512, AVX2, SSE or NEON, so that no compiler is needed at installation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import ir

from ran.phy.ldpc.arithmetic import FLOAT32_FACTOR

I1, I8, I16, I32, I64 = (ir.IntType(n) for n in (1, 8, 16, 32, 64))
F32 = ir.FloatType()
POINTER = ir.PointerType()


def i64(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


def splat(vector: ir.VectorType, value: float) -> ir.Constant:
    """A constant vector with the same value in every lane."""
    return ir.Constant(vector, [value] * vector.count)


def broadcast(builder: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """A vector with a scalar known at run time in every lane."""
    vector = ir.VectorType(scalar.type, lanes)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, I32(0))
    return builder.shuffle_vector(first, undefined, splat(ir.VectorType(I32, lanes), 0))


def intrinsic(builder: ir.IRBuilder, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    """Call an LLVM intrinsic by its full name."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [arg.type for arg in args]), name)
    return builder.call(function, args)


def element(builder: ir.IRBuilder, base: ir.Value, index: ir.Value, of: ir.Type) -> ir.Value:
    """Address of element `index` of an array of `of`."""
    return builder.gep(base, [index], source_etype=of)


def load_element(builder: ir.IRBuilder, base: ir.Value, index: ir.Value, of: ir.Type) -> ir.Value:
    return builder.load(element(builder, base, index, of), typ=of)


@contextmanager
def counted_loop(
    builder: ir.IRBuilder,
    stop: ir.Value,
    start: ir.Value | None = None,
    step: int | ir.Value = 1,
    leave: ir.Block | None = None,
) -> Iterator[ir.Value]:
    """`for i in range(start, stop, step)` around the code emitted inside; yields i (int64).

    leave: the block to go on with; a caller that hands one in can branch to it from inside, as `break` does.
    """
    begin = builder.block
    head, body = builder.append_basic_block("head"), builder.append_basic_block("body")
    done = leave if leave is not None else builder.append_basic_block("done")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    index.add_incoming(start if start is not None else i64(0), begin)
    builder.cbranch(builder.icmp_signed("<", index, stop), body, done)
    builder.position_at_end(body)
    yield index
    index.add_incoming(builder.add(index, i64(step) if isinstance(step, int) else step), builder.block)
    builder.branch(head)
    builder.position_at_end(done)


class Lanes(ABC):
    """A SIMD register of one element type and the few operations that message passing needs."""

    def __init__(self, scalar: ir.Type, lanes: int) -> None:
        self.scalar = scalar
        self.lanes = lanes
        self.vector = ir.VectorType(scalar, lanes)

    @property
    def num_bytes(self) -> int:
        return self.lanes * (1 if self.scalar == I8 else 4)

    def load(self, builder: ir.IRBuilder, base: ir.Value, index: ir.Value, *, aligned: bool = False) -> ir.Value:
        align = self.num_bytes if aligned else self.num_bytes // self.lanes
        return builder.load(element(builder, base, index, self.scalar), align=align, typ=self.vector)

    def store(
        self, builder: ir.IRBuilder, value: ir.Value, base: ir.Value, index: ir.Value, *, aligned: bool = False
    ) -> None:
        align = self.num_bytes if aligned else self.num_bytes // self.lanes
        builder.store(value, element(builder, base, index, self.scalar), align=align)

    def negative(self, builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
        """One bit per lane, set where the sign bit is, as int64."""
        as_integer = self.as_integer(builder, value)
        is_negative = builder.icmp_signed("<", as_integer, ir.Constant(as_integer.type, None))
        return builder.zext(builder.bitcast(is_negative, ir.IntType(self.lanes)), I64)

    @abstractmethod
    def as_integer(self, builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
        """The lanes as integers of the same width."""


class Int8Lanes(Lanes):
    """Saturating int8 messages."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__(I8, num_bytes)
        self._suffix = f"v{num_bytes}i8"

    def _binary(self, builder: ir.IRBuilder, name: str, a: ir.Value, b: ir.Value) -> ir.Value:
        return intrinsic(builder, f"llvm.{name}.{self._suffix}", self.vector, a, b)

    def add(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._binary(builder, "sadd.sat", a, b)

    def subtract(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._binary(builder, "ssub.sat", a, b)

    def magnitude(self, builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
        """|a| as an unsigned number: |-128| is 128, so that no value needs special care."""
        return intrinsic(builder, f"llvm.abs.{self._suffix}", self.vector, a, I1(0))

    def smaller(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._binary(builder, "umin", a, b)

    def larger(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return self._binary(builder, "umax", a, b)

    def equal(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.icmp_unsigned("==", a, b)

    def normalised(self, builder: ir.IRBuilder, a: ir.Value, rounding: ir.Value) -> ir.Value:
        """a - floor((a + rounding) / 4): 0.75 a rounded down for rounding 3, to the nearest for 2."""
        quarter = builder.lshr(builder.add(a, rounding), splat(self.vector, 2))
        return builder.sub(a, quarter)

    def limited(self, builder: ir.IRBuilder, a: ir.Value, limit: int) -> ir.Value:
        """a where it is within +-limit, else the nearer end."""
        a = self._binary(builder, "smin", a, splat(self.vector, limit))
        return self._binary(builder, "smax", a, splat(self.vector, -limit))

    def exclusive_or(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.xor(a, b)

    def negated_where(self, builder: ir.IRBuilder, value: ir.Value, sign: ir.Value) -> ir.Value:
        """value, or -value in lanes where `sign` is negative."""
        zero = ir.Constant(self.vector, None)
        negative = builder.icmp_signed("<", sign, zero)
        return builder.select(negative, builder.sub(zero, value), value)

    def as_integer(self, builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
        return value


class Float32Lanes(Lanes):
    """float32 messages."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__(F32, num_bytes // 4)
        self._integer = ir.VectorType(I32, self.lanes)

    def add(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.fadd(a, b)

    def subtract(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.fsub(a, b)

    def magnitude(self, builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
        return intrinsic(builder, f"llvm.fabs.v{self.lanes}f32", self.vector, a)

    def smaller(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.select(builder.fcmp_ordered("<", a, b), a, b)

    def larger(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    def equal(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        return builder.fcmp_ordered("==", a, b)

    def normalised(self, builder: ir.IRBuilder, a: ir.Value, offset: ir.Value) -> ir.Value:
        """`FLOAT32_FACTOR` times what a exceeds the offset by, or 0."""
        excess = builder.fsub(a, offset)
        excess = self.larger(builder, excess, ir.Constant(self.vector, None))
        return builder.fmul(excess, splat(self.vector, FLOAT32_FACTOR))

    def limited(self, builder: ir.IRBuilder, a: ir.Value, limit: int) -> ir.Value:
        """a: float32 messages need no limit."""
        return a

    def exclusive_or(self, builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        """Of the bit patterns; only the sign bit of the result means something."""
        return builder.bitcast(builder.xor(self.as_integer(builder, a), self.as_integer(builder, b)), self.vector)

    def negated_where(self, builder: ir.IRBuilder, value: ir.Value, sign: ir.Value) -> ir.Value:
        """value, or -value in lanes where `sign` is negative."""
        bit = builder.and_(self.as_integer(builder, sign), splat(self._integer, 0x80000000))
        return builder.bitcast(builder.xor(self.as_integer(builder, value), bit), self.vector)

    def as_integer(self, builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
        return builder.bitcast(value, self._integer)


#: What a kernel works with.
MessageLanes = Int8Lanes | Float32Lanes
