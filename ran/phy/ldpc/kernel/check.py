"""Serving one row of the base graph: the inner loop of the decoder, where nearly all time is spent."""

from __future__ import annotations

from math import inf

from llvmlite import ir

from ran.phy.ldpc.arithmetic import INT8_CHECK_LIMIT, OWN_PARITY_LIMIT
from ran.phy.ldpc.kernel.context import Context
from ran.phy.ldpc.simd import I16, I64, POINTER, broadcast, counted_loop, element, i64, load_element, splat

# Above this many columns the inputs of a check wait in the slots they will be written to. The compiler would keep them,
# and more, on the stack, at twice the time.
_MAX_DEGREE_IN_REGISTERS = 10


def check_kernel(context: Context, degree: int, own_parity: bool) -> ir.Function:
    """void check(slots, reads, writes, messages, num_blocks, length, channel, parity, correction): serve a row."""
    lanes = context.lanes
    function, b = context.function(
        f"check_{degree}_{'own' if own_parity else 'shared'}",
        ir.VoidType(),
        *(POINTER, POINTER, POINTER, POINTER, I64, I64, POINTER, POINTER, context.correction),
    )
    function.attributes.add("noinline")
    slots, reads, writes, messages, num_blocks, length, channel, parity, correction = function.args
    correction = broadcast(b, correction, lanes.lanes)
    write = [load_offset(b, writes, i64(edge)) for edge in range(degree)]
    with counted_loop(b, num_blocks) as block:
        position = b.mul(block, i64(lanes.lanes))
        message = b.mul(block, i64(lanes.lanes * degree))
        block_reads = element(b, reads, b.mul(block, i64(degree)), I16)
        inputs = [lanes.load(b, channel, position)] if own_parity else []
        for edge in range(degree):
            posterior = lanes.load(b, slots, load_offset(b, block_reads, i64(edge)))
            old = lanes.load(b, messages, b.add(message, i64(edge * lanes.lanes)), aligned=True)
            inputs.append(lanes.subtract(b, posterior, old))
            if degree > _MAX_DEGREE_IN_REGISTERS:
                lanes.store(b, inputs[-1], slots, b.add(write[edge], position), aligned=True)
        smallest = lanes.magnitude(b, inputs[0])
        if context.precision == "int8":
            limit = splat(lanes.vector, INT8_CHECK_LIMIT)
            smallest = lanes.smaller(b, smallest, limit)
        else:
            limit = splat(lanes.vector, inf)
        second, sign = limit, inputs[0]
        for value in inputs[1:]:
            magnitude = lanes.magnitude(b, value)
            second = lanes.smaller(b, second, lanes.larger(b, smallest, magnitude))
            smallest = lanes.smaller(b, smallest, magnitude)
            sign = lanes.exclusive_or(b, sign, value)
        for_others = lanes.negated_where(b, lanes.normalised(b, smallest, correction), sign)
        for_smallest = lanes.negated_where(b, lanes.normalised(b, second, correction), sign)
        for i, value in enumerate(inputs):
            if degree > _MAX_DEGREE_IN_REGISTERS:
                value = lanes.load(b, slots, b.add(write[i], position), aligned=True)
            is_smallest = lanes.equal(b, lanes.magnitude(b, value), smallest)
            new = lanes.negated_where(b, b.select(is_smallest, for_smallest, for_others), value)
            edge = i - own_parity
            if edge < 0:
                decision = lanes.add(b, lanes.limited(b, value, OWN_PARITY_LIMIT), new)
                lanes.store(b, decision, parity, position, aligned=True)
            else:
                lanes.store(b, new, messages, b.add(message, i64(edge * lanes.lanes)), aligned=True)
                lanes.store(b, lanes.add(b, value, new), slots, b.add(write[edge], position), aligned=True)
    for edge in range(degree):
        lanes.store(b, lanes.load(b, slots, write[edge], aligned=True), slots, b.add(write[edge], length))
    b.ret_void()
    return function


def load_offset(builder: ir.IRBuilder, table: ir.Value, index: ir.Value) -> ir.Value:
    """An entry of `Plan.reads`, `Plan.writes` or `Plan.checks`, which are uint16, as int64."""
    return builder.zext(load_element(builder, table, index, I16), I64)
