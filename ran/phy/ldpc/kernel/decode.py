"""The decoder around the check kernel: iterations, early stopping, hard decisions.

Per check: t = posterior - old message for each column, the two smallest magnitudes and the product of signs over all t,
then new message = the smallest magnitude of the others, tempered (`Lanes.normalised`), with the product of their signs,
posterior = t + new message.
Posteriors are updated row by row, so that each row works with what the rows before it found (layered scheduling).
"""

from __future__ import annotations

from llvmlite import ir

from ran.phy.ldpc.arithmetic import FLOAT32_OFFSET_RATE, FLOAT32_OFFSET_SLOPE, KNOWN
from ran.phy.ldpc.kernel.check import check_kernel, load_offset
from ran.phy.ldpc.kernel.context import Context, header_field, row_entry
from ran.phy.ldpc.kernel.crc import crc_holds
from ran.phy.ldpc.kernel.intake import input_scale, load_frames
from ran.phy.ldpc.kernel.posterior import store_posterior
from ran.phy.ldpc.plan import CHECK_KERNELS, FRAME_COUNTS, INPUT_LANES, Field
from ran.phy.ldpc.simd import (
    F32,
    I8,
    I16,
    I32,
    I64,
    POINTER,
    Float32Lanes,
    Int8Lanes,
    broadcast,
    counted_loop,
    element,
    i64,
    intrinsic,
    load_element,
    splat,
)

DECODE_ARGUMENTS = (*(POINTER,) * 4, *(I64,) * 3, *(POINTER,) * 11, I64, POINTER, I64)


def build_module(precision: str, vector_bytes: int) -> str:
    """LLVM IR with a function `decode_N` for each N of `plan.FRAME_COUNTS`.

    int64 decode_N(llr, bits, ok, iterations, batch, max_iterations, early_stop, header, rows, reads, writes,
    checks, columns, runs, workspace, scales, counts, posterior, posterior_stride, crc_table, crc_length): arrays as
    in `LdpcDecision`, `Plan` and `intake.load_frames`, the workspace aligned to 64 bytes; posterior as in
    `posterior.store_posterior` or null, its stride in floats; crc_table as in `kernel.crc` or null. Returns -1, or
    the index of a frame whose LLRs are not finite.
    """
    lanes = Int8Lanes(vector_bytes) if precision == "int8" else Float32Lanes(vector_bytes)
    context = Context(ir.Module(f"ldpc_{precision}_{vector_bytes}"), lanes, precision)
    checks = [check_kernel(context, degree, own_parity) for degree, own_parity in CHECK_KERNELS]
    iterate = iteration(context, checks)
    scale = input_scale(context)
    crc = crc_holds(context.module)
    for frames in FRAME_COUNTS[precision]:
        _decode(
            context,
            frames,
            iterate,
            load_frames(context, frames, scale),
            syndrome(context, frames),
            store_bits(context, frames),
            store_posterior(context, frames),
            crc,
        )
    return str(context.module)


def iteration(context: Context, checks: list[ir.Function]) -> ir.Function:
    """void iteration(header, rows, reads, writes, workspace, correction): serve all rows once."""
    lanes = context.lanes
    function, b = context.function("iteration", ir.VoidType(), *(POINTER,) * 5, context.correction)
    function.attributes.add("noinline")
    header, rows, reads, writes, workspace, correction = function.args
    num_blocks, length = header_field(b, header, Field.NUM_BLOCKS), header_field(b, header, Field.COLUMN_LENGTH)
    slots, messages, channel, parity = (
        context.area(b, header, workspace, field)
        for field in (Field.SLOT_BYTES, Field.MESSAGE_BYTES, Field.CHANNEL_BYTES, Field.PARITY_BYTES)
    )
    row_length = b.mul(num_blocks, i64(lanes.lanes))
    with counted_loop(b, header_field(b, header, Field.NUM_ROWS)) as row:
        kernel, first, _, own = row_entry(b, rows, row)
        arguments = (
            slots,
            element(b, reads, b.mul(first, num_blocks), I16),
            element(b, writes, first, I16),
            element(b, messages, b.mul(first, row_length), context.scalar),
            num_blocks,
            length,
            element(b, channel, own, context.scalar),
            element(b, parity, b.mul(row, row_length), context.scalar),
            correction,
        )
        after = b.append_basic_block("after")
        switch = b.switch(kernel, after)
        for i, check in enumerate(checks):
            case = b.append_basic_block(check.name)
            switch.add_case(i64(i), case)
            b.position_at_end(case)
            b.call(check, arguments)
            b.branch(after)
        b.position_at_end(after)
    b.ret_void()
    return function


def syndrome(context: Context, frames: int) -> ir.Function:
    """int64 syndrome(header, rows, checks, workspace, wanted): frames, as bits, of which a check fails.

    Stops looking once every wanted frame has failed.
    """
    lanes = context.lanes
    function, b = context.function(f"syndrome_{frames}", I64, POINTER, POINTER, POINTER, POINTER, I64)
    header, rows, checks, workspace, wanted = function.args
    num_blocks = header_field(b, header, Field.NUM_BLOCKS)
    last_block = b.sub(num_blocks, i64(1))
    unused = b.sub(i64(lanes.lanes), header_field(b, header, Field.LAST_BLOCK_LANES))
    every_lane = i64((1 << lanes.lanes) - 1 if lanes.lanes < 64 else -1)
    last_lanes = b.lshr(every_lane, unused)
    slots = context.area(b, header, workspace, Field.SLOT_BYTES)
    parity = context.area(b, header, workspace, Field.PARITY_BYTES)
    row_length = b.mul(num_blocks, i64(lanes.lanes))
    failed, signs = b.alloca(I64), b.alloca(lanes.vector)
    b.store(i64(0), failed)
    done = function.append_basic_block("decided")
    with counted_loop(b, header_field(b, header, Field.NUM_ROWS), leave=done) as row:
        _, first, degree, own = row_entry(b, rows, row)
        has_own = b.icmp_signed(">=", own, i64(0))
        own_parity = element(b, parity, b.mul(row, row_length), context.scalar)
        row_checks = element(b, checks, b.mul(first, num_blocks), I16)
        with counted_loop(b, num_blocks) as block:
            position = b.mul(block, i64(lanes.lanes))
            own_value = lanes.load(b, own_parity, position, aligned=True)
            b.store(b.select(has_own, own_value, ir.Constant(lanes.vector, None)), signs)
            block_checks = element(b, row_checks, b.mul(block, degree), I16)
            with counted_loop(b, degree) as edge:
                value = lanes.load(b, slots, load_offset(b, block_checks, edge))
                b.store(lanes.exclusive_or(b, b.load(signs, typ=lanes.vector), value), signs)
            odd = lanes.negative(b, b.load(signs, typ=lanes.vector))
            valid = b.select(b.icmp_signed("==", block, last_block), last_lanes, every_lane)
            b.store(b.or_(b.load(failed, typ=I64), b.and_(odd, valid)), failed)
        # Lanes of the same frame are `frames` apart.
        fold, width = b.load(failed, typ=I64), lanes.lanes // 2
        while width >= frames:
            fold = b.or_(fold, b.lshr(fold, i64(width)))
            width //= 2
        fold = b.and_(fold, i64((1 << frames) - 1))
        b.store(fold, failed)
        proceed = b.append_basic_block("next_row")
        still_good = b.and_(wanted, b.not_(fold))
        b.cbranch(b.icmp_signed("==", still_good, i64(0)), done, proceed)
        b.position_at_end(proceed)
    b.ret(b.load(failed, typ=I64))
    return function


def store_bits(context: Context, frames: int) -> ir.Function:
    """void store_bits(header, columns, workspace, odd, frame, bits): K' hard decisions of a frame of the group.

    odd: whether the iteration that would come next, counting from 0, is an odd one.
    """
    function, b = context.function(f"store_bits_{frames}", ir.VoidType(), POINTER, POINTER, POINTER, I64, I64, POINTER)
    header, columns, workspace, odd, frame, bits = function.args
    length, num_bits = header_field(b, header, Field.COLUMN_LENGTH), header_field(b, header, Field.NUM_INFO_BITS)
    slots = context.area(b, header, workspace, Field.SLOT_BYTES)
    scratch = context.area(b, header, workspace, Field.BITS_BYTES)
    word = I32 if context.precision == "float32" else {1: I8, 2: I16, 4: I32}[frames]
    words = ir.VectorType(word, INPUT_LANES)
    sign_bit = 31 if context.precision == "float32" else 7
    shift_by = b.add(i64(sign_bit), b.mul(frame, i64(8)))
    shift_by = b.trunc(shift_by, word) if word is not I64 else shift_by
    shift_by = broadcast(b, shift_by, INPUT_LANES)

    def copy(count: ir.Value, source: ir.Value, target: ir.Value) -> None:
        with counted_loop(b, count, step=INPUT_LANES) as i:
            at = element(b, slots, b.add(source, b.mul(i, i64(frames))), context.scalar)
            value = b.and_(b.lshr(b.load(at, align=1, typ=words), shift_by), splat(words, 1))
            value = value if word is I8 else b.trunc(value, ir.VectorType(I8, INPUT_LANES))
            b.store(value, element(b, scratch, b.add(target, i), I8), align=1)

    z = b.udiv(length, i64(frames))
    done = function.append_basic_block("all_bits")
    with counted_loop(b, header_field(b, header, Field.NUM_COLUMNS), leave=done) as column:
        at = b.mul(column, i64(5))
        shift, even_slot, odd_slot, first_bit = (
            b.sext(load_element(b, columns, b.add(at, i64(i)), I32), I64) for i in range(1, 5)
        )
        inside = b.append_basic_block("inside")
        b.cbranch(b.icmp_signed(">=", first_bit, num_bits), done, inside)
        b.position_at_end(inside)
        slot = b.select(b.icmp_signed("!=", odd, i64(0)), odd_slot, even_slot)
        shifted_bits = b.udiv(shift, i64(frames))
        # Ascending, so that what runs over the end is overwritten by what belongs there.
        copy(shifted_bits, b.add(slot, b.sub(length, shift)), first_bit)
        copy(b.sub(z, shifted_bits), slot, b.add(first_bit, shifted_bits))
    _copy_bytes(b, scratch, bits, num_bits)
    b.ret_void()
    return function


def _copy_bytes(b: ir.IRBuilder, source: ir.Value, target: ir.Value, count: ir.Value) -> None:
    name = "llvm.memcpy.p0.p0.i64"
    intrinsic(b, name, ir.VoidType(), target, source, count, ir.IntType(1)(0))


def _offset(b: ir.IRBuilder, num_info_bits: ir.Value, count: ir.Value) -> ir.Value:
    """The offset of float32 messages at the code rate at hand; see `arithmetic.FLOAT32_OFFSET_SLOPE`."""
    over = b.fsub(F32(FLOAT32_OFFSET_RATE), b.fdiv(num_info_bits, count))
    offset = b.fmul(over, F32(FLOAT32_OFFSET_SLOPE))
    offset = b.select(b.fcmp_ordered("<", offset, F32(1.0)), offset, F32(1.0))
    return b.select(b.fcmp_ordered(">", offset, F32(0.0)), offset, F32(0.0))


def _decode(
    context: Context,
    frames: int,
    iterate: ir.Function,
    load_frames: ir.Function,
    syndrome: ir.Function,
    store_bits: ir.Function,
    store_posterior: ir.Function,
    crc: ir.Function,
) -> None:
    """The exported function; see `build_module`."""
    function, b = context.function(f"decode_{frames}", I64, *DECODE_ARGUMENTS, public=True)
    llr, bits, ok, iterations, batch, max_iterations, early_stop = function.args[:7]
    header, rows, reads, writes, checks, columns, runs, workspace = function.args[7:15]
    scales, counts, posterior, posterior_stride, crc_table, crc_length = function.args[15:]
    num_bits, num_edges, num_blocks = (
        header_field(b, header, field) for field in (Field.NUM_INFO_BITS, Field.NUM_EDGES, Field.NUM_BLOCKS)
    )
    channel = context.area(b, header, workspace, Field.CHANNEL_BYTES)
    # Punctured bits are 0 for the whole call, fillers are known.
    with counted_loop(b, header_field(b, header, Field.FILLER_START)) as i:
        b.store(ir.Constant(context.scalar, 0), element(b, channel, i, context.scalar))
    filler = element(b, channel, header_field(b, header, Field.FILLER_START), context.scalar)
    with counted_loop(b, header_field(b, header, Field.FILLER_LENGTH)) as i:
        b.store(ir.Constant(context.scalar, KNOWN[context.precision]), element(b, filler, i, context.scalar))

    least = b.sitofp(num_bits, F32)
    wants_posterior = b.icmp_unsigned("!=", b.ptrtoint(posterior, I64), i64(0))
    has_crc = b.icmp_unsigned("!=", b.ptrtoint(crc_table, I64), i64(0))
    pending, still_wrong = b.alloca(I64), b.alloca(I64)
    always_look = b.icmp_signed("!=", early_stop, i64(0))
    with counted_loop(b, batch, step=frames) as first:
        bad = b.call(load_frames, (llr, first, batch, header, runs, columns, workspace, scales, counts))
        with b.if_then(b.icmp_signed(">=", bad, i64(0)), likely=False):
            b.ret(bad)
        if context.precision == "int8":
            correction = b.trunc(header_field(b, header, Field.ROUNDING), I8)
        else:
            correction = _offset(b, least, load_element(b, counts, first, F32))
        left = b.sub(batch, first)
        everyone = i64((1 << frames) - 1)
        some = b.sub(b.shl(i64(1), left), i64(1))
        b.store(b.select(b.icmp_signed(">=", left, i64(frames)), everyone, some), pending)
        group_done = b.append_basic_block("group_done")
        with counted_loop(b, max_iterations, leave=group_done) as iteration:
            is_odd = b.and_(iteration, i64(1))
            table = b.mul(is_odd, b.mul(num_edges, num_blocks))
            row_writes = element(b, writes, b.mul(is_odd, num_edges), I16)
            b.call(iterate, (header, rows, element(b, reads, table, I16), row_writes, workspace, correction))
            number = b.add(iteration, i64(1))
            is_last = b.icmp_signed("==", number, max_iterations)
            with b.if_then(b.or_(is_last, always_look)):
                waiting = b.load(pending, typ=I64)
                failed = b.call(syndrome, (header, rows, element(b, checks, table, I16), workspace, waiting))
                b.store(failed, still_wrong)
                next_odd = b.and_(number, i64(1))
                for frame in range(frames):
                    mask = i64(1 << frame)
                    index = b.add(first, i64(frame))
                    row_of_bits = element(b, bits, b.mul(index, num_bits), I8)
                    waits = b.icmp_signed("!=", b.and_(waiting, mask), i64(0))
                    fails = b.icmp_signed("!=", b.and_(failed, mask), i64(0))
                    with b.if_then(b.and_(has_crc, b.and_(waits, fails)), likely=False):
                        b.call(store_bits, (header, columns, workspace, next_odd, i64(frame), row_of_bits))
                        holds = b.call(crc, (row_of_bits, num_bits, crc_table, crc_length))
                        with b.if_then(b.icmp_signed("!=", holds, i64(0)), likely=False):
                            b.store(b.and_(b.load(still_wrong, typ=I64), b.not_(mask)), still_wrong)
                    good = b.icmp_signed("==", b.and_(b.load(still_wrong, typ=I64), mask), i64(0))
                    with b.if_then(b.and_(waits, b.or_(good, is_last))):
                        b.call(store_bits, (header, columns, workspace, next_odd, i64(frame), row_of_bits))
                        with b.if_then(wants_posterior, likely=False):
                            target = element(b, posterior, b.mul(index, posterior_stride), F32)
                            scale = load_element(b, scales, index, F32)
                            arguments = (header, rows, columns, workspace, next_odd, i64(frame), scale, target)
                            b.call(store_posterior, arguments)
                        # Checks that hold over fewer LLRs than there are unknowns say nothing.
                        is_enough = b.fcmp_ordered(">=", load_element(b, counts, index, F32), least)
                        b.store(b.zext(b.and_(good, is_enough), I8), element(b, ok, index, I8))
                        b.store(b.trunc(number, I32), element(b, iterations, index, I32))
                b.store(b.and_(waiting, b.load(still_wrong, typ=I64)), pending)
                nothing_left = b.icmp_signed("==", b.load(pending, typ=I64), i64(0))
                more = b.append_basic_block("more")
                b.cbranch(nothing_left, group_done, more)
                b.position_at_end(more)
    b.ret(i64(-1))
