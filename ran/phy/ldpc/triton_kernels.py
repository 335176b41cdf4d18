"""The decoder as Triton kernels: the same numbers as the native kernels, bit for bit.

One program decodes one code block at a time, a lane for each of the Z bits of a column; its posteriors and messages
live in memory that stays in the caches of the GPU. Between two rows of the base graph the lanes of a program wait for
one another, since the next row reads what this one wrote in other lanes. Within a row every place is read and written
once and what is written depends on what was read there, so that nothing can overtake.

All float operations are single ones in the order of the native kernels: launch with `enable_fp_fusion=False`, or
products and sums become fused and are rounded once instead of twice.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ran.phy.ldpc import arithmetic

_INT8_LIMIT = tl.constexpr(float(arithmetic.INT8_LIMIT))
_MEAN_CONSTANT = tl.constexpr(arithmetic.INT8_MEAN_MAGNITUDE[0])
_MEAN_SQUARE = tl.constexpr(arithmetic.INT8_MEAN_MAGNITUDE[1])
_NUM_SCALE_STEPS = tl.constexpr(arithmetic.NUM_SCALE_STEPS)
_FLOAT32_LIMIT = tl.constexpr(arithmetic.FLOAT32_LIMIT)
_MAX_SCALE = tl.constexpr(arithmetic.MAX_SCALE)
_INT8_CHECK_LIMIT = tl.constexpr(arithmetic.INT8_CHECK_LIMIT)
_OWN_PARITY_LIMIT = tl.constexpr(arithmetic.OWN_PARITY_LIMIT)
_INT8_KNOWN = tl.constexpr(arithmetic.KNOWN["int8"])
_OFFSET_SLOPE = tl.constexpr(arithmetic.FLOAT32_OFFSET_SLOPE)
_OFFSET_RATE = tl.constexpr(arithmetic.FLOAT32_OFFSET_RATE)
_FLOAT32_FACTOR = tl.constexpr(arithmetic.FLOAT32_FACTOR)
_FLOAT32_KNOWN = tl.constexpr(arithmetic.KNOWN["float32"])
# Adding and subtracting 1.5 x 2^23 rounds a small float32 to the nearest integer, halves to the even one.
_ROUNDER = tl.constexpr(12582912.0)
_INFINITY = tl.constexpr(float("inf"))
_INPUT_LANES = tl.constexpr(16)


@triton.jit
def input_scales(
    llr, scales, num_received, runs, batch, stride, num_runs, sample_step, num_info_bits, FRAMES: tl.constexpr
):
    """Of each frame: the factor that brings it to steps, negative where an LLR is not finite, and how many are not 0.

    scales, num_received [batch] float32.
    A program looks after FRAMES frames with 16 lanes each: sums in the order of the native kernel.
    """
    frame = tl.program_id(0) * FRAMES + tl.arange(0, FRAMES)
    inside = frame < batch
    source = llr + tl.minimum(frame, batch - 1).to(tl.int64) * stride
    lane = tl.arange(0, _INPUT_LANES)[None, :]
    wide = source[:, None]
    magnitudes = tl.zeros([FRAMES, _INPUT_LANES], tl.float32)
    counts = tl.zeros([FRAMES, _INPUT_LANES], tl.float32)
    rest_magnitude = tl.zeros([FRAMES], tl.float32)
    rest_count = tl.zeros([FRAMES], tl.float32)
    for run in range(num_runs):
        start = tl.load(runs + 3 * run)
        length = tl.load(runs + 3 * run + 2)
        whole = length // _INPUT_LANES * _INPUT_LANES
        for i in tl.range(0, whole, _INPUT_LANES, loop_unroll_factor=8):
            size = tl.abs(tl.load(wide + (start + i + lane)))
            magnitudes = magnitudes + size
            counts = counts + (size != 0.0).to(tl.float32)
        for i in range(whole, length):
            size = tl.abs(tl.load(source + (start + i)))
            rest_magnitude = rest_magnitude + size
            rest_count = rest_count + (size != 0.0).to(tl.float32)
    magnitude = _total(magnitudes, FRAMES) + rest_magnitude
    count = _total(counts, FRAMES) + rest_count
    finite = magnitude < _INFINITY
    tl.store(num_received + frame, count, mask=inside)
    usable = finite & (magnitude > 0.0)
    count = tl.where(usable, count, 1.0)
    rate = tl.minimum(tl.div_rn(num_info_bits + tl.zeros([FRAMES], tl.float32), count), 1.0)
    target = _MEAN_CONSTANT + _MEAN_SQUARE * (rate * rate)
    factor = tl.div_rn(target * count, tl.where(usable, magnitude, 1.0))
    for _ in range(_NUM_SCALE_STEPS):
        threshold = tl.div_rn(tl.full([FRAMES], _INT8_LIMIT, tl.float32), factor)[:, None]
        sampled = tl.zeros([FRAMES, _INPUT_LANES], tl.float32)
        clipped = tl.zeros([FRAMES, _INPUT_LANES], tl.float32)
        unclipped = tl.zeros([FRAMES, _INPUT_LANES], tl.float32)
        for run in range(num_runs):
            start = tl.load(runs + 3 * run)
            whole = tl.load(runs + 3 * run + 2) // _INPUT_LANES * _INPUT_LANES
            for i in range(0, whole, sample_step):
                size = tl.abs(tl.load(wide + (start + i + lane)))
                is_clipped = size > threshold
                sampled = sampled + (size != 0.0).to(tl.float32)
                clipped = clipped + is_clipped.to(tl.float32)
                unclipped = unclipped + tl.where(is_clipped, 0.0, size)
        missing = target * _total(sampled, FRAMES) - _INT8_LIMIT * _total(clipped, FRAMES)
        rest = _total(unclipped, FRAMES)
        possible = (missing > 0.0) & (rest > 0.0)
        factor = tl.where(possible, tl.div_rn(missing, tl.where(possible, rest, 1.0)), factor)
    scale = tl.where(usable, tl.minimum(factor, _MAX_SCALE), 0.0)
    tl.store(scales + frame, tl.where(finite, scale, -1.0), mask=inside)


@triton.jit
def _total(lanes, FRAMES: tl.constexpr):
    """[FRAMES, 16] -> [FRAMES]: the upper half of the lanes added to the lower half, until one is left."""
    low, high = tl.split(tl.permute(tl.reshape(lanes, [FRAMES, 2, 8]), (0, 2, 1)))
    low, high = tl.split(tl.permute(tl.reshape(low + high, [FRAMES, 2, 4]), (0, 2, 1)))
    low, high = tl.split(tl.permute(tl.reshape(low + high, [FRAMES, 2, 2]), (0, 2, 1)))
    low, high = tl.split(low + high)
    return low + high


@triton.jit
def decode_blocks(
    llr,
    scales,
    counts,
    bits,
    parity_ok,
    iterations,
    posterior,
    slots,
    messages,
    parity,
    rows,
    edges,
    columns,
    batch,
    llr_stride,
    posterior_stride,
    lifting_size,
    num_info_bits,
    num_systematic_bits,
    num_columns,
    num_rows,
    num_edges,
    num_slot_bits,
    rounding,
    max_iterations,
    EARLY_STOP: tl.constexpr,
    IS_INT8: tl.constexpr,
    WITH_POSTERIOR: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Decode frames program_id, program_id + number of programs, ...

    llr, bits, parity_ok, iterations: as in `decoder.decode`. posterior [batch, posterior_stride] float32: LLRs after
    decoding of all columns, in steps of the messages. scales, counts: what `input_scales` gives.
    slots, messages, parity: memory of the messages' type for each program: [all columns, Z], [edges, Z], [rows, Z].
    rows int32 [rows, 3]: first edge, edges, start of its own parity column in a slot or -1. edges int32 [edges, 2]:
    start of the column, shift. columns int32 [columns]: starts of the columns that take part.
    """
    lane = tl.arange(0, BLOCK)
    in_column = lane < lifting_size
    program = tl.program_id(0).to(tl.int64)
    slots = slots + program * num_slot_bits
    messages = messages + program * num_edges * lifting_size
    parity = parity + program * num_rows * lifting_size
    punctured = 2 * lifting_size
    frame = program
    while frame < batch:
        scale = tl.load(scales + frame)
        if IS_INT8:
            correction = rounding
        else:
            correction = _offset(num_info_bits, tl.load(counts + frame))
        source = llr + frame * llr_stride
        # The frame before may still be read.
        tl.debug_barrier()
        for column in range(num_columns):
            position = tl.load(columns + column) + lane
            is_filler = (position >= num_info_bits) & (position < num_systematic_bits)
            sent = in_column & (position >= punctured) & (is_filler == 0)
            value = tl.load(source + (position - punctured), mask=sent, other=0.0)
            scaled = value * scale
            if IS_INT8:
                scaled = tl.where(scaled < _INT8_LIMIT, scaled, _INT8_LIMIT)
                scaled = tl.where(scaled > -_INT8_LIMIT, scaled, -_INT8_LIMIT)
                message = ((scaled + _ROUNDER) - _ROUNDER).to(tl.int32)
                message = tl.where(is_filler, _INT8_KNOWN, message)
                tl.store(slots + position, message.to(tl.int8), mask=in_column)
            else:
                scaled = tl.where(scaled < _FLOAT32_LIMIT, scaled, _FLOAT32_LIMIT)
                scaled = tl.where(scaled > -_FLOAT32_LIMIT, scaled, -_FLOAT32_LIMIT)
                tl.store(slots + position, tl.where(is_filler, _FLOAT32_KNOWN, scaled), mask=in_column)
        tl.debug_barrier()
        iteration = 0
        lanes_with_messages = 0
        failed = 1
        while (iteration < max_iterations) & (failed != 0):
            _iterate(
                slots,
                messages,
                parity,
                rows,
                edges,
                lane,
                lanes_with_messages,
                lifting_size,
                num_rows,
                correction,
                IS_INT8,
            )
            iteration += 1
            lanes_with_messages = lifting_size
            if EARLY_STOP:
                failed = _syndrome(slots, parity, rows, edges, lane, in_column, lifting_size, num_rows, IS_INT8, BLOCK)
        if not EARLY_STOP:
            failed = _syndrome(slots, parity, rows, edges, lane, in_column, lifting_size, num_rows, IS_INT8, BLOCK)
        # Checks that hold over fewer LLRs than there are unknowns say nothing.
        is_enough = tl.load(counts + frame) >= num_info_bits
        tl.store(parity_ok + frame, tl.where(is_enough, 1 - failed, 0))
        tl.store(iterations + frame, iteration)
        for column in range(num_columns):
            start = tl.load(columns + column)
            position = start + lane
            value = tl.load(slots + position, mask=in_column, other=0)
            if start < num_info_bits:
                wanted = in_column & (position < num_info_bits)
                negative = _negative(_widened(value, IS_INT8), IS_INT8)
                tl.store(bits + frame * num_info_bits + position, negative.to(tl.int8), mask=wanted)
            if WITH_POSTERIOR:
                tl.store(posterior + frame * posterior_stride + position, value.to(tl.float32), mask=in_column)
        if WITH_POSTERIOR:
            tl.debug_barrier()
            for row in range(num_rows):
                own = tl.load(rows + 3 * row + 2)
                mask = lane < tl.where(own >= 0, lifting_size, 0)
                channel = _widened(tl.load(slots + own + lane, mask=mask, other=0), IS_INT8)
                decided = _widened(tl.load(parity + row * lifting_size + lane, mask=mask, other=0), IS_INT8)
                if IS_INT8:
                    # What was limited for the decision counts fully here.
                    decided = decided + (channel - _limited_own(channel))
                tl.store(posterior + frame * posterior_stride + own + lane, decided.to(tl.float32), mask=mask)
        frame += tl.num_programs(0)


@triton.jit
def _iterate(
    slots,
    messages,
    parity,
    rows,
    edges,
    lane,
    lanes_with_messages,
    lifting_size,
    num_rows,
    correction,
    IS_INT8: tl.constexpr,
):
    """Serve all rows once; the arithmetic is that of `kernel.check`.

    lanes_with_messages: 0 in the first iteration, when all messages are 0, then Z.
    """
    in_column = lane < lifting_size
    has_message = lane < lanes_with_messages
    for row in range(num_rows):
        first = tl.load(rows + 3 * row)
        end = first + tl.load(rows + 3 * row + 1)
        own = tl.load(rows + 3 * row + 2)
        has_own = lane < tl.where(own >= 0, lifting_size, 0)
        channel = _widened(tl.load(slots + own + lane, mask=has_own, other=0), IS_INT8)
        if IS_INT8:
            limit = tl.full(lane.shape, _INT8_CHECK_LIMIT, tl.int32)
        else:
            limit = tl.full(lane.shape, _INFINITY, tl.float32)
        second = limit
        smallest = tl.where(has_own, _smaller(tl.abs(channel), limit), limit)
        sign = _negative(channel, IS_INT8)
        for edge in range(first, end):
            at = _place(edges, edge, lane, lifting_size)
            value = _input(slots + at, messages + edge * lifting_size + lane, in_column, has_message, IS_INT8)
            magnitude = tl.abs(value)
            second = _smaller(second, tl.where(smallest > magnitude, smallest, magnitude))
            smallest = _smaller(smallest, magnitude)
            sign = sign ^ _negative(value, IS_INT8)
        for_others = _normalised(smallest, correction, IS_INT8)
        for_smallest = _normalised(second, correction, IS_INT8)
        for edge in range(first, end):
            at = _place(edges, edge, lane, lifting_size)
            value = _input(slots + at, messages + edge * lifting_size + lane, in_column, has_message, IS_INT8)
            new = tl.where(tl.abs(value) == smallest, for_smallest, for_others)
            new = _negated_where(new, sign ^ _negative(value, IS_INT8), IS_INT8)
            if IS_INT8:
                tl.store(messages + edge * lifting_size + lane, new.to(tl.int8), mask=in_column)
                tl.store(slots + at, _saturated(value + new).to(tl.int8), mask=in_column)
            else:
                tl.store(messages + edge * lifting_size + lane, new, mask=in_column)
                tl.store(slots + at, value + new, mask=in_column)
        new = tl.where(tl.abs(channel) == smallest, for_smallest, for_others)
        new = _negated_where(new, sign ^ _negative(channel, IS_INT8), IS_INT8)
        if IS_INT8:
            decided = _saturated(_limited_own(channel) + new).to(tl.int8)
        else:
            decided = channel + new
        tl.store(parity + row * lifting_size + lane, decided, mask=has_own)
        tl.debug_barrier()


@triton.jit
def _syndrome(
    slots,
    parity,
    rows,
    edges,
    lane,
    in_column,
    lifting_size,
    num_rows,
    IS_INT8: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """1 where a check fails, else 0."""
    odd = tl.zeros([BLOCK], tl.int32)
    for row in range(num_rows):
        first = tl.load(rows + 3 * row)
        end = first + tl.load(rows + 3 * row + 1)
        has_own = lane < tl.where(tl.load(rows + 3 * row + 2) >= 0, lifting_size, 0)
        own = tl.load(parity + row * lifting_size + lane, mask=has_own, other=0)
        sign = _negative(_widened(own, IS_INT8), IS_INT8)
        for edge in range(first, end):
            value = tl.load(slots + _place(edges, edge, lane, lifting_size), mask=in_column, other=0)
            sign = sign ^ _negative(_widened(value, IS_INT8), IS_INT8)
        odd = odd | sign
    return tl.max(odd, axis=0)


@triton.jit
def _place(edges, edge, lane, lifting_size):
    """Where the lanes of a check find their bits of a column."""
    bit = lane + tl.load(edges + 2 * edge + 1)
    return tl.load(edges + 2 * edge) + tl.where(bit >= lifting_size, bit - lifting_size, bit)


@triton.jit
def _input(slot, message, in_column, has_message, IS_INT8: tl.constexpr):
    """Posterior without what this check said before."""
    old = _widened(tl.load(message, mask=has_message, other=0), IS_INT8)
    value = _widened(tl.load(slot, mask=in_column, other=0), IS_INT8) - old
    if IS_INT8:
        value = _saturated(value)
    return value


@triton.jit
def _widened(value, IS_INT8: tl.constexpr):
    """Messages in the type that is calculated with."""
    if IS_INT8:
        value = value.to(tl.int32)
    return value


@triton.jit
def _saturated(value):
    return tl.minimum(tl.maximum(value, -128), 127)


@triton.jit
def _limited_own(value):
    return tl.minimum(tl.maximum(value, -_OWN_PARITY_LIMIT), _OWN_PARITY_LIMIT)


@triton.jit
def _smaller(a, b):
    return tl.where(a < b, a, b)


@triton.jit
def _offset(num_info_bits, count):
    """Of float32 messages at the code rate at hand; see `arithmetic.FLOAT32_OFFSET_SLOPE`."""
    offset = (_OFFSET_RATE - tl.div_rn(num_info_bits + count * 0.0, count)) * _OFFSET_SLOPE
    offset = tl.where(offset < 1.0, offset, 1.0)
    return tl.where(offset > 0.0, offset, 0.0)


@triton.jit
def _normalised(magnitude, correction, IS_INT8: tl.constexpr):
    """What a check passes on: see `plan.int8_rounding` and `arithmetic.FLOAT32_FACTOR`."""
    if IS_INT8:
        result = magnitude - ((magnitude + correction) >> 2)
    else:
        excess = magnitude - correction
        result = tl.where(excess > 0.0, excess, 0.0) * _FLOAT32_FACTOR
    return result


@triton.jit
def _negative(value, IS_INT8: tl.constexpr):
    """1 where the sign bit is set, else 0, as int32. In float32 the bit counts, also of -0."""
    if IS_INT8:
        result = (value < 0).to(tl.int32)
    else:
        result = (value.to(tl.int32, bitcast=True) < 0).to(tl.int32)
    return result


@triton.jit
def _negated_where(value, negative, IS_INT8: tl.constexpr):
    """value, or -value where `negative` is 1. In float32 by its sign bit, since 0 - 0 would lose the sign."""
    if IS_INT8:
        result = tl.where(negative != 0, -value, value)
    else:
        result = (value.to(tl.int32, bitcast=True) ^ (negative << 31)).to(tl.float32, bitcast=True)
    return result
