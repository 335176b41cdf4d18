"""The decoder kernels against a plain numpy decoder, between vector widths, and against Sionna on the AWGN channel."""

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.phy.crc import crc, crc_length, crc_ok
from ran.phy.ldpc import LIFTING_SIZES, LdpcCode, RateMatching, decode, encode, native, select_lifting_size
from ran.phy.ldpc.arithmetic import (
    FLOAT32_FACTOR,
    FLOAT32_OFFSET_RATE,
    FLOAT32_OFFSET_SLOPE,
    INT8_CHECK_LIMIT,
    INT8_LIMIT,
    INT8_MEAN_MAGNITUDE,
    KNOWN,
    NUM_SCALE_STEPS,
)
from ran.phy.ldpc.base_graph import NUM_CORE_ROWS
from ran.phy.ldpc.plan import int8_rounding

WIDTHS = (16, 32, 64)
# Base graph, lifting size, filler bits, rows. Lengths below, at and off multiples of all vector widths; fillers that
# end within a column and, with base graph 2, that make up whole columns.
CODES = [
    (1, 384, 0, 46),
    (1, 384, 100, 7),
    (1, 15, 3, 20),
    (1, 96, 0, 13),
    (2, 72, 0, 42),
    (2, 208, 210, 25),
    (2, 7, 28, 30),
    (2, 2, 0, 42),
    (2, 36, 40, 4),
]


def make_code(base_graph, z, num_filler, num_rows):
    return LdpcCode(base_graph, z, (22 if base_graph == 1 else 10) * z - num_filler, tuple(range(num_rows)))


def received(code, batch, seed, effort=1.0):
    """Bits and their LLRs after an AWGN channel near the SNR that the rate needs; a larger effort means more noise."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (batch, code.num_info_bits)).astype(np.uint8)
    coded = encode(bits, code)
    rate = code.num_info_bits / code.num_coded_bits
    noise_var = effort * 0.55 / (2.0 ** (2 * rate) - 1)
    y = 1 - 2.0 * coded + np.sqrt(noise_var) * rng.normal(size=coded.shape)
    return bits, (2 * y / noise_var).astype(np.float32)


def int8_messages(code, llr):
    """Scaling to int8 as `decode` documents it, by bisection, from an even sample of vectors of 16 LLRs."""
    z, columns = code.lifting_size, code.num_columns
    info, parity = llr[: max(0, code.num_info_bits - 2 * z)], llr[code.filler_range[1] :]
    runs = [run for run in (info, parity) if run.size]
    step = 16 * max(1, sum(run.size for run in runs) // 512)
    sample = [run[i : i + 16] for run in runs for i in range(0, run.size // 16 * 16, step)]
    magnitude = np.abs(np.concatenate(sample or runs)).astype(np.float64)
    magnitude = magnitude[magnitude > 0]
    rate = min(1.0, code.num_info_bits / sum(np.count_nonzero(run) for run in runs))
    target = INT8_MEAN_MAGNITUDE[0] + INT8_MEAN_MAGNITUDE[1] * rate**2
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * magnitude, INT8_LIMIT).mean() < target else (low, middle)
    full = np.zeros(columns * z, np.int64)
    full[2 * z :] = np.clip(np.rint(llr * np.float32(low)), -INT8_LIMIT, INT8_LIMIT)
    return full


def float32_messages(code, llr):
    """LLRs in steps: the scale as `decode` documents it, by Newton's method with sums in the order of the kernels."""
    z = code.lifting_size
    info, parity = llr[: max(0, code.num_info_bits - 2 * z)], llr[code.filler_range[1] :]
    runs = [np.abs(run) for run in (info, parity) if run.size]
    step = 16 * max(1, sum(run.size for run in runs) // 512)

    def total(values, distance=16, with_rest=True):
        lanes, rest = np.zeros(16, np.float32), np.float32(0)
        for run in values:
            whole = run.size // 16 * 16
            for i in range(0, whole, distance):
                lanes = lanes + run[i : i + 16]
            for value in run[whole:] if with_rest else ():
                rest = rest + value
        while lanes.size > 1:
            lanes = lanes[: lanes.size // 2] + lanes[lanes.size // 2 :]
        return lanes[0] + rest

    magnitude, count = total(runs), total([(run != 0).astype(np.float32) for run in runs])
    first, second = map(np.float32, INT8_MEAN_MAGNITUDE)
    rate = min(np.float32(code.num_info_bits) / count, np.float32(1))
    target, limit = first + second * (rate * rate), np.float32(INT8_LIMIT)
    scale = target * count / magnitude
    for _ in range(NUM_SCALE_STEPS):
        threshold = limit / scale
        sampled = total([(run != 0).astype(np.float32) for run in runs], step, False)
        clipped = total([(run > threshold).astype(np.float32) for run in runs], step, False)
        unclipped = total([np.where(run > threshold, np.float32(0), run) for run in runs], step, False)
        missing = target * sampled - limit * clipped
        if missing > 0 and unclipped > 0:
            scale = missing / unclipped
    return np.concatenate([np.zeros(2 * z, np.float32), llr * scale])


def reference(llr, code, num_iterations, precision):
    """Layered min-sum of one code block in plain numpy: bits, whether all checks hold, iterations."""
    z, is_int8 = code.lifting_size, precision == "int8"
    if is_int8:
        posterior, known, limit = int8_messages(code, llr), 127, INT8_CHECK_LIMIT
    else:
        posterior, known, limit = float32_messages(code, llr), KNOWN["float32"], np.float32(np.inf)
        start, end = code.filler_range
        rate = np.float32(code.num_info_bits) / np.float32(np.count_nonzero(np.delete(llr, np.s_[start:end])))
        offset = np.clip((np.float32(FLOAT32_OFFSET_RATE) - rate) * np.float32(FLOAT32_OFFSET_SLOPE), 0, 1)
    posterior[code.num_info_bits : code.num_systematic_bits] = known
    posterior = posterior.reshape(-1, z)
    # The parity column of an extension row is in that row alone, so its input is always what was received. In int8 that
    # counts less than the largest message when the parity bit is decided.
    channel, own_limit = posterior.copy(), 3 * INT8_CHECK_LIMIT // 4 - 1

    def saturate(value):
        return np.clip(value, -128, 127) if is_int8 else value

    edges = code.edges
    rows = [np.flatnonzero(edges.row == row) for row in code.rows]
    shifts = [-(-np.arange(z) - shift) % z for shift in edges.shift]
    message = np.zeros((edges.row.size, z), posterior.dtype)
    for iteration in range(1, num_iterations + 1):
        for members in rows:
            places = [(edges.column[e], shifts[e]) for e in members]
            inputs = saturate(np.stack([posterior[place] for place in places]) - message[members])
            own = edges.row[members[0]] >= NUM_CORE_ROWS
            if own:
                inputs[-1] = channel[places[-1]]
            magnitude = np.minimum(np.abs(inputs), limit)
            ordered = np.sort(magnitude, axis=0)
            smallest = np.arange(len(members))[:, None] == np.argmin(magnitude, axis=0)
            size = np.where(smallest, ordered[1], ordered[0])
            if is_int8:
                size = size - (size + int8_rounding(code)) // 4
            else:
                size = np.maximum(size - offset, 0) * np.float32(FLOAT32_FACTOR)
            negative = np.signbit(inputs)
            flip = np.logical_xor.reduce(negative, axis=0) ^ negative
            message[members] = np.where(flip, -size, size)
            for place, value in zip(places, saturate(inputs + message[members]), strict=True):
                posterior[place] = value
            if own and is_int8:
                posterior[places[-1]] = np.clip(inputs[-1], -own_limit, own_limit) + message[members[-1]]
        hard = np.signbit(posterior)
        checks = [np.logical_xor.reduce([hard[edges.column[e], shifts[e]] for e in members]) for members in rows]
        if not np.any(checks):
            return hard.ravel()[: code.num_info_bits], True, iteration
    return hard.ravel()[: code.num_info_bits], False, num_iterations


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("parameters", CODES)
def test_equals_plain_numpy(parameters, precision):
    code = make_code(*parameters)
    _, llr = received(code, 3, seed=5)
    decision = decode(llr, code, 6, precision=precision)
    for frame in range(3):
        bits, ok, iterations = reference(llr[frame], code, 6, precision)
        assert decision.iterations[frame] == iterations
        assert decision.parity_ok[frame] == ok
        assert np.array_equal(decision.bits[frame], bits)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("base_graph", [1, 2])
def test_all_lifting_sizes_agree_between_vector_widths(base_graph, precision):
    decoded = total = 0
    for z in LIFTING_SIZES:
        code = make_code(base_graph, z, z // 3, 10)
        bits, llr = received(code, 5, seed=z, effort=0.7)
        wide, *others = (decode(llr, code, 8, precision=precision, vector_bytes=width) for width in WIDTHS[::-1])
        for narrow in others:
            assert np.array_equal(wide.bits, narrow.bits)
            assert np.array_equal(wide.parity_ok, narrow.parity_ok)
            assert np.array_equal(wide.iterations, narrow.iterations)
        decoded += np.sum(np.all(wide.bits == bits, axis=1))
        total += len(bits)
    assert decoded > 0.9 * total


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_block_is_decoded_the_same_in_any_batch(precision):
    """Short blocks share vectors; what their neighbours do must not matter, nor when those stop."""
    code = make_code(2, 15, 0, 20)
    _, llr = received(code, 11, seed=1, effort=1.2)
    together = decode(llr, code, 12, precision=precision)
    assert 0 < together.parity_ok.sum() < 11
    for frame in range(11):
        alone = decode(llr[frame : frame + 1], code, 12, precision=precision)
        assert np.array_equal(alone.bits[0], together.bits[frame])
        assert alone.iterations[0] == together.iterations[frame]
        assert alone.parity_ok[0] == together.parity_ok[frame]


def test_early_stop_returns_a_code_word_and_when_it_was_found():
    code = make_code(2, 52, 0, 20)
    bits, llr = received(code, 40, seed=2)
    stopped = decode(llr, code, 25)
    assert stopped.parity_ok.any()
    for frame in np.flatnonzero(stopped.parity_ok)[:5]:
        at = int(stopped.iterations[frame])
        exact = decode(llr[frame : frame + 1], code, at, early_stop=False)
        assert exact.parity_ok[0]
        assert np.array_equal(exact.bits[0], stopped.bits[frame])
        if at > 1:
            assert not decode(llr[frame : frame + 1], code, at - 1, early_stop=False).parity_ok[0]
    full = decode(llr, code, 25, early_stop=False)
    assert (full.iterations == 25).all()
    assert np.array_equal(full.bits[full.parity_ok], bits[full.parity_ok])


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_scale_of_the_llrs_does_not_matter(precision):
    code = make_code(1, 24, 10, 12)
    _, llr = received(code, 20, seed=3)
    expected = decode(llr, code, 10, precision=precision)
    for factor in (2.0**-12, 0.25, 2.0**10):
        decision = decode(llr * np.float32(factor), code, 10, precision=precision)
        assert np.array_equal(decision.bits, expected.bits)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("parameters", CODES)
def test_soft_output(parameters, precision):
    """Signs are the decisions, the values those of the plain decoder in the scale of the LLRs, in any vector width."""
    code = make_code(*parameters)
    _, llr = received(code, 5, seed=9, effort=0.8)
    plain = decode(llr, code, 6, precision=precision)
    decision = decode(llr, code, 6, precision=precision, soft=True)
    assert plain.info_llr is None
    assert np.array_equal(decision.bits, plain.bits)
    assert np.array_equal(np.signbit(decision.info_llr), decision.bits)
    start, end = code.filler_range
    assert np.array_equal(decision.coded_llr[:, :start], decision.info_llr[:, 2 * code.lifting_size :])
    assert not decision.coded_llr[:, start:end].any()
    assert plain.parity_ok.any()
    good = decision.parity_ok
    assert np.array_equal(np.signbit(decision.coded_llr[good]), encode(decision.bits[good], code))
    for width in WIDTHS:
        other = decode(llr, code, 6, precision=precision, soft=True, vector_bytes=width)
        assert np.array_equal(other.info_llr, decision.info_llr)
        assert np.array_equal(other.coded_llr, decision.coded_llr)
    # What decoding adds agrees with what was sent more often than not, and the scale is kept: most LLRs grow.
    growth = np.abs(decision.coded_llr[good]) >= 0.99 * np.minimum(np.abs(llr[good]), np.abs(llr).mean())
    assert growth[:, :start].mean() > 0.9


def test_soft_output_of_rows_left_out_is_zero():
    code = LdpcCode(2, 20, 190, (0, 1, 2, 3, 6, 9))
    _, llr = received(code, 2, seed=10)
    decision = decode(llr, code, 5, soft=True)
    columns = decision.coded_llr.reshape(2, -1, 20)
    unused = [10 + row - 2 for row in (4, 5, 7, 8)]
    assert not columns[:, unused].any()
    assert columns[:, 10 + 6 - 2].any()
    assert not decode(np.zeros_like(llr), code, 2, soft=True).coded_llr.any()


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("num_threads", [2, 3, 50])
def test_threads_decide_the_same(num_threads, precision):
    code = make_code(2, 15, 0, 20)
    _, llr = received(code, 23, seed=1, effort=1.2)
    alone = decode(llr, code, 12, precision=precision, soft=True)
    shared = decode(llr, code, 12, precision=precision, soft=True, num_threads=num_threads)
    for name in ("bits", "parity_ok", "iterations", "info_llr", "coded_llr"):
        assert np.array_equal(getattr(shared, name), getattr(alone, name))
    llr[[9, 20], 5] = np.nan
    with pytest.raises(InputError, match="code block 9"):
        decode(llr, code, 12, precision=precision, num_threads=num_threads)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(("z", "polynomial"), [(88, "24B"), (15, "16"), (7, "11")])
def test_stops_by_crc_when_the_information_is_right(z, polynomial, precision):
    code = make_code(2, z, 1, 40)
    rng = np.random.default_rng(z)
    message = rng.integers(0, 2, (60, code.num_info_bits - crc_length(polynomial))).astype(np.uint8)
    bits = np.concatenate([message, crc(message, polynomial)], axis=1)
    llr = (2 * (1 - 2.0 * encode(bits, code) + 1.1 * rng.normal(size=(60, code.num_coded_bits)))).astype(np.float32)
    by_parity = decode(llr, code, 20, precision=precision)
    by_crc = decode(llr, code, 20, precision=precision, stop_crc=polynomial)
    assert np.sum(by_crc.iterations < by_parity.iterations) > 5
    # What is decided after each number of iterations, block by block.
    steps = [decode(llr, code, number, precision=precision, early_stop=False) for number in range(1, 21)]
    done = np.stack([step.parity_ok | crc_ok(step.bits, polynomial) for step in steps])
    assert np.array_equal(by_crc.parity_ok, done.any(axis=0))
    assert np.array_equal(by_crc.iterations, np.where(done.any(axis=0), np.argmax(done, axis=0) + 1, 20))


def test_what_was_not_sent_is_not_looked_at():
    code = make_code(1, 30, 45, 9)
    _, llr = received(code, 4, seed=4)
    expected = decode(llr, code, 5)
    start, end = code.filler_range
    llr[:, start:end] = np.nan
    assert np.array_equal(decode(llr, code, 5).bits, expected.bits)
    assert decode(np.zeros_like(llr), code, 5, early_stop=False).bits.shape == (4, code.num_info_bits)
    assert decode(llr[:0], code, 5).bits.shape == (0, code.num_info_bits)


def qpsk(base_graph, z, num_info_bits, rate, esn0_db, num_blocks, seed):
    """Code, bits and LLRs of a rate-matched block over AWGN with Gray-mapped QPSK."""
    code = LdpcCode(base_graph, z, num_info_bits)
    matching = RateMatching(code, 2 * round(num_info_bits / rate / 2), 2)
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (num_blocks, num_info_bits)).astype(np.uint8)
    sent = 1 - 2.0 * matching.select(encode(bits, code))
    noise_var = 10 ** (-esn0_db / 10)  # of a bit of amplitude 1: half the noise on half the energy
    llr = (2 / noise_var * (sent + np.sqrt(noise_var) * rng.normal(size=sent.shape))).astype(np.float32)
    return code.with_sent_columns(matching.sent_columns), matching, bits, llr


# Es/N0 at which cuPHY's table has a block error rate of 0.1, 10 iterations, QPSK on AWGN; we allow 0.15 dB.
PUBLISHED = [
    (1, 1 / 3, -0.766),
    (1, 1 / 2, 1.53),
    (1, 2 / 3, 3.45),
    (1, 11 / 12, 6.87),
    (2, 1 / 5, -3.18),
    (2, 1 / 2, 1.56),
    (2, 5 / 6, 5.55),
]


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(("base_graph", "rate", "esn0_db"), PUBLISHED)
def test_block_error_rate_of_long_blocks(base_graph, rate, esn0_db, precision):
    systematic = (22 if base_graph == 1 else 10) * 384
    code, matching, bits, llr = qpsk(base_graph, 384, systematic, rate, esn0_db + 0.15, 400, seed=6)
    llr = matching.combine(llr)[:, : code.num_coded_bits]
    decision = decode(llr, code, 10, precision=precision)
    error_rate = np.mean(np.any(decision.bits != bits, axis=1))
    assert error_rate <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 400)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(
    ("base_graph", "rate", "esn0_db"), [(1, 1 / 3, -0.5), (1, 1 / 2, 1.8), (1, 0.8, 5.4), (2, 0.2, -2.8)]
)
def test_no_error_floor(base_graph, rate, esn0_db, precision):
    """0.4 dB above the waterfall, where 1 block in 50 to 100 fails if check messages may be a quarter larger."""
    systematic = (22 if base_graph == 1 else 10) * 384
    code, matching, bits, llr = qpsk(base_graph, 384, systematic, rate, esn0_db, 1000, seed=8)
    decision = decode(matching.combine(llr)[:, : code.num_coded_bits], code, 20, precision=precision)
    assert np.sum(np.any(decision.bits != bits, axis=1)) <= 1
    assert np.mean(decision.parity_ok) > 0.98


def test_not_worse_than_sionna():
    """Layered int8 min-sum against Sionna's sum-product decoder in float32 on the same LLRs."""
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

    num_info_bits, num_blocks, num_iterations = 500, 300, 10
    lifting_size = select_lifting_size(2, num_info_bits, num_info_bits)
    code, matching, bits, llr = qpsk(2, lifting_size, num_info_bits, 1 / 2, 1.6, num_blocks, seed=7)
    encoder = LDPC5GEncoder(num_info_bits, matching.num_output_bits, num_bits_per_symbol=2)
    decoder = LDPC5GDecoder(encoder, num_iter=num_iterations, return_infobits=True)
    theirs = np.any(decoder(torch.from_numpy(-llr)).numpy() != bits, axis=1)
    decision = decode(matching.combine(llr)[:, : code.num_coded_bits], code, num_iterations)
    ours = np.any(decision.bits != bits, axis=1)
    assert 20 < theirs.sum() < 280
    # Paired: the difference counts blocks that only one of the two gets wrong.
    allowance = 2 * np.sqrt(np.sum(ours != theirs))
    assert ours.sum() <= theirs.sum() + allowance


def test_bad_input():
    code = make_code(2, 10, 0, 42)
    llr = np.ones((3, code.num_coded_bits), np.float32)
    with pytest.raises(InputError, match=r"shape of llr: got \(3, 499\); allowed: \[batch, 500\]"):
        decode(llr[:, 1:], code, 5)
    with pytest.raises(InputError, match="num_iterations: got 0"):
        decode(llr, code, 0)
    with pytest.raises(InputError, match=r"precision: got 'int16'.*did you mean 'int8'"):
        decode(llr, code, 5, precision="int16")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="num_threads: got 0; allowed: 1 or more"):
        decode(llr, code, 5, num_threads=0)
    with pytest.raises(InputError, match="CRC polynomial: got '24D'"):
        decode(llr, code, 5, stop_crc="24D")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="vector_bytes: got 8; allowed: 16, 32, 64"):
        decode(llr, code, 5, vector_bytes=8)
    for precision in ("int8", "float32"):
        for value in (np.nan, np.inf, -np.inf):
            damaged = llr.copy()
            damaged[1, 123] = value
            with pytest.raises(InputError, match="code block 1"):
                decode(damaged, code, 5, precision=precision)


def test_width_fits_the_cpu():
    assert native.native_vector_bytes() in WIDTHS
