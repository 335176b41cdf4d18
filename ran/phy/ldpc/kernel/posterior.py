"""LLRs after decoding, for receivers that iterate."""

from __future__ import annotations

from llvmlite import ir

from ran.phy.ldpc.arithmetic import OWN_PARITY_LIMIT
from ran.phy.ldpc.kernel.context import Context, header_field, row_entry
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
    load_element,
    splat,
)

_FLOATS = ir.VectorType(F32, INPUT_LANES)


def store_posterior(context: Context, frames: int) -> ir.Function:
    """void store_posterior(header, rows, columns, workspace, odd, frame, scale, target): posteriors of a frame.

    target float32 [columns x Z + 16]: LLRs of all columns that take part, divided by the scale of the frame; elsewhere,
    fillers included, it holds nothing of use. odd: whether the iteration that would come next is an odd one.
    """
    function, b = context.function(f"store_posterior_{frames}", ir.VoidType(), *(POINTER,) * 4, I64, I64, F32, POINTER)
    function.attributes.add("noinline")
    header, rows, columns, workspace, odd, frame, scale, target = function.args
    is_int8 = context.precision == "int8"
    length, num_blocks = header_field(b, header, Field.COLUMN_LENGTH), header_field(b, header, Field.NUM_BLOCKS)
    slots, channel, parity = (
        context.area(b, header, workspace, field)
        for field in (Field.SLOT_BYTES, Field.CHANNEL_BYTES, Field.PARITY_BYTES)
    )
    z = b.udiv(length, i64(frames))
    step = b.select(b.fcmp_ordered(">", scale, F32(0.0)), b.fdiv(F32(1.0), scale), F32(0.0))
    steps = broadcast(b, step, INPUT_LANES)
    word = {1: I8, 2: I16, 4: I32}[frames]
    words = ir.VectorType(word, INPUT_LANES)
    if is_int8 and frames > 1:
        to_top = b.mul(b.sub(i64(frames - 1), frame), i64(8))
        to_top = broadcast(b, b.trunc(to_top, word), INPUT_LANES)

    def load(base: ir.Value, start: ir.Value, i: ir.Value) -> ir.Value:
        """Messages i ... i + 15 of this frame from `start` on, as floats."""
        at = element(b, base, b.add(start, b.mul(i, i64(frames))), context.scalar)
        if not is_int8:
            return b.load(at, align=1, typ=_FLOATS)
        value = b.load(at, align=1, typ=words)
        if frames > 1:
            value = b.ashr(b.shl(value, to_top), splat(words, 8 * (frames - 1)))
        return b.sitofp(value, _FLOATS)

    def store(value: ir.Value, at: ir.Value) -> None:
        b.store(b.fmul(value, steps), element(b, target, at, F32), align=4)

    def copy(count: ir.Value, source: ir.Value, to: ir.Value) -> None:
        with counted_loop(b, count, step=INPUT_LANES) as i:
            store(load(slots, source, i), b.add(to, i))

    # All ascending, so that what runs over the end is overwritten by what belongs there.
    with counted_loop(b, header_field(b, header, Field.NUM_COLUMNS)) as column:
        at = b.mul(column, i64(5))
        shift, even_slot, odd_slot, first_bit = (
            b.sext(load_element(b, columns, b.add(at, i64(i)), I32), I64) for i in range(1, 5)
        )
        slot = b.select(b.icmp_signed("!=", odd, i64(0)), odd_slot, even_slot)
        shifted_bits = b.udiv(shift, i64(frames))
        copy(shifted_bits, b.add(slot, b.sub(length, shift)), first_bit)
        copy(b.sub(z, shifted_bits), slot, b.add(first_bit, shifted_bits))
    row_length = b.mul(num_blocks, i64(context.lanes.lanes))
    with counted_loop(b, header_field(b, header, Field.NUM_ROWS)) as row:
        _, _, _, own = row_entry(b, rows, row)
        with b.if_then(b.icmp_signed(">=", own, i64(0))):
            first_bit = b.udiv(own, i64(frames))
            decisions = b.mul(row, row_length)
            with counted_loop(b, z, step=INPUT_LANES) as i:
                value = load(parity, decisions, i)
                if is_int8:
                    # What was limited for the decision counts fully here.
                    received = load(channel, own, i)
                    value = b.fadd(value, b.fsub(received, _limited(b, received, OWN_PARITY_LIMIT)))
                store(value, b.add(first_bit, i))
    b.ret_void()
    return function


def _limited(b: ir.IRBuilder, value: ir.Value, limit: float) -> ir.Value:
    upper, lower = splat(_FLOATS, limit), splat(_FLOATS, -limit)
    value = b.select(b.fcmp_ordered("<", value, upper), value, upper)
    return b.select(b.fcmp_ordered(">", value, lower), value, lower)
