"""From received LLRs to messages: scaling to int8, interleaving of frames, layout of columns."""

from __future__ import annotations

from math import inf

from llvmlite import ir

from ran.phy.ldpc.arithmetic import FLOAT32_LIMIT, INT8_LIMIT, INT8_MEAN_MAGNITUDE, MAX_SCALE, NUM_SCALE_STEPS
from ran.phy.ldpc.kernel.context import Context, header_field, run_entry
from ran.phy.ldpc.plan import INPUT_LANES, Field
from ran.phy.ldpc.simd import (
    F32,
    I8,
    I16,
    I32,
    I64,
    POINTER,
    broadcast,
    counted_loop,
    element,
    i64,
    intrinsic,
    load_element,
    splat,
)

_INPUT_VECTOR = ir.VectorType(F32, INPUT_LANES)


def input_scale(context: Context) -> ir.Function:
    """float input_scale(llr, header, runs, count): factor for the LLRs of a frame; negative where one is not finite.

    count: float32, gets the number of LLRs that are used and not 0.

    The factor s solves mean(min(s |llr|, limit)) = target by Newton's method, which on this concave function starts at
    s = 0 and ascends: s = (n target - limit clipped) / (sum of |llr| that are not clipped).
    """
    function, b = context.function("input_scale", F32, *(POINTER,) * 4)
    llr, header, runs, num_received = function.args
    num_runs = header_field(b, header, Field.NUM_RUNS)
    magnitudes, counts, factor = _Sum(b), _Sum(b), b.alloca(F32)

    with counted_loop(b, num_runs) as run:
        start, _, length = run_entry(b, runs, run)
        values = element(b, llr, start, F32)
        whole = b.and_(length, i64(-INPUT_LANES))
        with counted_loop(b, whole, step=INPUT_LANES) as i:
            size = _magnitude(b, b.load(element(b, values, i, F32), align=4, typ=_INPUT_VECTOR))
            magnitudes.add(size)
            counts.add_where(b.fcmp_unordered("!=", size, ir.Constant(_INPUT_VECTOR, None)))
        with counted_loop(b, length, start=whole) as i:
            size = _magnitude(b, load_element(b, values, i, F32))
            magnitudes.add(size)
            counts.add_where(b.fcmp_unordered("!=", size, F32(0.0)))
    magnitude, count = magnitudes.total(), counts.total()
    b.store(count, num_received)
    finite = b.fcmp_ordered("<", magnitude, F32(inf))
    with b.if_then(b.not_(finite), likely=False):
        b.ret(F32(-1.0))
    with b.if_then(b.fcmp_ordered("==", magnitude, F32(0.0)), likely=False):
        b.ret(F32(0.0))
    info_bits = b.sitofp(header_field(b, header, Field.NUM_INFO_BITS), F32)
    rate = intrinsic(b, "llvm.minnum.f32", F32, b.fdiv(info_bits, count), F32(1.0))
    constant, square = (F32(value) for value in INT8_MEAN_MAGNITUDE)
    target = b.fadd(constant, b.fmul(square, b.fmul(rate, rate)))
    b.store(b.fdiv(b.fmul(target, count), magnitude), factor)

    # An even sample of whole vectors is enough here.
    sampled, clipped, unclipped = _Sum(b), _Sum(b), _Sum(b)
    settled = function.append_basic_block("settled")
    with counted_loop(b, i64(NUM_SCALE_STEPS), leave=settled):
        threshold = broadcast(b, b.fdiv(F32(INT8_LIMIT), b.load(factor, typ=F32)), INPUT_LANES)
        for total in (sampled, clipped, unclipped):
            total.clear()
        with counted_loop(b, num_runs) as run:
            start, _, length = run_entry(b, runs, run)
            values = element(b, llr, start, F32)
            whole = b.and_(length, i64(-INPUT_LANES))
            with counted_loop(b, whole, step=header_field(b, header, Field.SAMPLE_STEP)) as i:
                size = _magnitude(b, b.load(element(b, values, i, F32), align=4, typ=_INPUT_VECTOR))
                is_clipped = b.fcmp_ordered(">", size, threshold)
                sampled.add_where(b.fcmp_ordered("!=", size, ir.Constant(_INPUT_VECTOR, None)))
                clipped.add_where(is_clipped)
                unclipped.add(b.select(is_clipped, ir.Constant(_INPUT_VECTOR, None), size))
        missing = b.fsub(b.fmul(target, sampled.total()), b.fmul(F32(INT8_LIMIT), clipped.total()))
        rest = unclipped.total()
        possible = b.and_(b.fcmp_ordered(">", missing, F32(0.0)), b.fcmp_ordered(">", rest, F32(0.0)))
        before = b.load(factor, typ=F32)
        now = b.select(possible, b.fdiv(missing, rest), before)
        b.store(now, factor)
        # a step that changes nothing is followed by steps that change nothing
        moves = b.append_basic_block("moves")
        b.cbranch(b.fcmp_ordered("==", now, before), settled, moves)
        b.position_at_end(moves)
    b.ret(intrinsic(b, "llvm.minnum.f32", F32, b.load(factor, typ=F32), F32(MAX_SCALE)))
    return function


def _magnitude(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    suffix = f"v{INPUT_LANES}f32" if isinstance(value.type, ir.VectorType) else "f32"
    return intrinsic(builder, f"llvm.fabs.{suffix}", value.type, value)


class _Sum:
    """A float32 sum over vectors and single values, in the same order of addition on every CPU."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self._builder = builder
        self._vector, self._single = builder.alloca(_INPUT_VECTOR), builder.alloca(F32)
        self.clear()

    def clear(self) -> None:
        self._builder.store(ir.Constant(_INPUT_VECTOR, None), self._vector)
        self._builder.store(F32(0.0), self._single)

    def add(self, value: ir.Value) -> None:
        b = self._builder
        into = self._vector if isinstance(value.type, ir.VectorType) else self._single
        b.store(b.fadd(b.load(into, typ=value.type), value), into)

    def add_where(self, condition: ir.Value) -> None:
        is_vector = isinstance(condition.type, ir.VectorType)
        self.add(self._builder.uitofp(condition, _INPUT_VECTOR if is_vector else F32))

    def total(self) -> ir.Value:
        b = self._builder
        vector, lanes = b.load(self._vector, typ=_INPUT_VECTOR), INPUT_LANES
        while lanes > 1:
            lanes //= 2
            halves = (ir.Constant(ir.VectorType(I32, lanes), list(range(i, i + lanes))) for i in (0, lanes))
            low, high = (b.shuffle_vector(vector, vector, half) for half in halves)
            vector = b.fadd(low, high)
        return b.fadd(b.extract_element(vector, I32(0)), b.load(self._single, typ=F32))


def load_frames(context: Context, frames: int, input_scale: ir.Function) -> ir.Function:
    """int64 load_frames(llr, first, batch, header, runs, columns, workspace, scales, counts): prepare a group.

    Scales, quantises, interleaves, puts every column into its slot and clears the messages. Past the end of the batch
    the last frame is repeated. scales and counts [batch] float32 get the factor of each frame and its number of LLRs
    that are not 0. Returns -1, or the index of a frame that is not finite.
    """
    lanes = context.lanes
    function, b = context.function(f"load_frames_{frames}", I64, POINTER, I64, I64, *(POINTER,) * 6)
    llr, first, batch, header, runs, columns, workspace, factors, counts = function.args
    stride, length = header_field(b, header, Field.LLR_STRIDE), header_field(b, header, Field.COLUMN_LENGTH)
    slots, messages, channel = (
        context.area(b, header, workspace, field)
        for field in (Field.SLOT_BYTES, Field.MESSAGE_BYTES, Field.CHANNEL_BYTES)
    )
    last = b.sub(batch, i64(1))
    sources, scales = [], []
    for frame in range(frames):
        index = b.add(first, i64(frame))
        index = b.select(b.icmp_signed("<", index, last), index, last)
        source = element(b, llr, b.mul(index, stride), F32)
        scale = b.call(input_scale, (source, header, runs, element(b, counts, index, F32)))
        with b.if_then(b.fcmp_ordered("<", scale, F32(0.0)), likely=False):
            b.ret(index)
        b.store(scale, element(b, factors, index, F32))
        sources.append(source)
        scales.append(scale)
    wide = [broadcast(b, scale, INPUT_LANES) for scale in scales]
    with counted_loop(b, header_field(b, header, Field.NUM_RUNS)) as run:
        start, to, count = run_entry(b, runs, run)
        whole = b.and_(count, i64(-INPUT_LANES))
        with counted_loop(b, whole, step=INPUT_LANES) as i:
            at = b.add(start, i)
            values = [b.load(element(b, source, at, F32), align=4, typ=_INPUT_VECTOR) for source in sources]
            target = element(b, channel, b.add(to, b.mul(i, i64(frames))), context.scalar)
            b.store(_quantised(context, b, values, wide), target, align=1)
        with counted_loop(b, count, start=whole) as i:
            at = b.add(start, i)
            values = [load_element(b, source, at, F32) for source in sources]
            target = element(b, channel, b.add(to, b.mul(i, i64(frames))), context.scalar)
            b.store(_quantised(context, b, values, scales), target, align=1)
    with counted_loop(b, header_field(b, header, Field.NUM_COLUMNS)) as column:
        at = b.mul(column, i64(5))
        start, shift, slot = (b.sext(load_element(b, columns, b.add(at, i64(i)), I32), I64) for i in range(3))
        # The slot starts at the bit `shift` of the column and wraps around. The second copy overwrites what the first
        # ran over.
        with counted_loop(b, b.sub(length, shift), step=lanes.lanes) as i:
            value = lanes.load(b, channel, b.add(b.add(start, shift), i))
            lanes.store(b, value, slots, b.add(slot, i))
        wrapped = b.add(slot, b.sub(length, shift))
        with counted_loop(b, shift, step=lanes.lanes) as i:
            lanes.store(b, lanes.load(b, channel, b.add(start, i)), slots, b.add(wrapped, i))
        lanes.store(b, lanes.load(b, slots, slot, aligned=True), slots, b.add(slot, length))
    with counted_loop(b, header_field(b, header, Field.NUM_MESSAGES), step=lanes.lanes) as i:
        lanes.store(b, ir.Constant(lanes.vector, None), messages, i, aligned=True)
    b.ret(i64(-1))
    return function


def _quantised(context: Context, b: ir.IRBuilder, values: list[ir.Value], scales: list[ir.Value]) -> ir.Value:
    """Received LLRs of each frame, scalars or vectors, as messages; 2 or 4 frames make up a little-endian word."""
    is_vector = isinstance(values[0].type, ir.VectorType)

    def of(kind: ir.Type) -> ir.Type:
        return ir.VectorType(kind, INPUT_LANES) if is_vector else kind

    def constant(kind: ir.Type, value: float) -> ir.Constant:
        return splat(of(kind), value) if is_vector else ir.Constant(kind, value)

    def limited(scaled: ir.Value, limit: float) -> ir.Value:
        upper, lower = constant(F32, limit), constant(F32, -limit)
        scaled = b.select(b.fcmp_ordered("<", scaled, upper), scaled, upper)
        return b.select(b.fcmp_ordered(">", scaled, lower), scaled, lower)

    if context.precision == "float32":
        return limited(b.fmul(values[0], scales[0]), FLOAT32_LIMIT)
    word = {1: I8, 2: I16, 4: I32}[len(values)]
    suffix = f"v{INPUT_LANES}f32" if is_vector else "f32"
    joined = None
    for frame, (value, scale) in enumerate(zip(values, scales, strict=True)):
        scaled = limited(b.fmul(value, scale), INT8_LIMIT)
        rounded = b.fptosi(intrinsic(b, f"llvm.rint.{suffix}", of(F32), scaled), of(I32))
        if len(values) > 1:
            rounded = b.shl(b.and_(rounded, constant(I32, 255)), constant(I32, 8 * frame))
        joined = rounded if joined is None else b.or_(joined, rounded)
    return joined if word is I32 else b.trunc(joined, of(word))
