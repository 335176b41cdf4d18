#include "network.h"

namespace ran6g {
namespace {

// Two rows of values as inputs of a pointwise convolution.
template <class In> void put(float *to, size_t stride, vf first, vf second) {
    if constexpr (In::PER_STEP == 2) {
        store_pairs(reinterpret_cast<uint32_t *>(to), first, second);
    } else {
        store(to, first);
        store(to + stride, second);
    }
}

// Nodes beyond the last are zeros again.
void clear_rest(float *row, const NodeShape &shape) {
    for (int n = shape.num_nodes; n < shape.width; n++) row[n] = 0;
}

}  // namespace

Planes planes_of(Arena &arena, const NodeShape &shape, int channels) {
    size_t rows = static_cast<size_t>(shape.num_rows + 2) * channels;
    return {arena.array<float>(rows * shape.stride()), channels, shape.stride()};
}

size_t Network::num_weights(int c, int num_blocks) {
    size_t enter = NUM_FEATURES * (TAPS + 1) + static_cast<size_t>(c) * (NUM_FEATURES + 1);
    size_t block = c * (TAPS + 1) + 2 * 2 * c * (c + 1) + c * (2 * c + 1);
    return enter + num_blocks * block + NUM_OUTPUTS * (c + 1);
}

Pointwise Network::pointwise(const float *&weights, int inputs, int outputs, Arena &arena) const {
    const size_t size = static_cast<size_t>(inputs) * outputs;
    Pointwise out = {arena.array<float>(size), arena.array<float>(outputs), arena.array<uint32_t>(size / 2 + 1), inputs,
                     outputs};
    for (int o = 0; o < outputs && !arena.counting(); o++) {
        const size_t group = static_cast<size_t>(o / TILE_OUTPUTS);
        const float *of_output = weights + o * inputs;
        for (int i = 0; i < inputs; i++)
            out.weights[(group * inputs + i) * TILE_OUTPUTS + o % TILE_OUTPUTS] = of_output[i];
        for (int i = 0; inputs % 2 == 0 && i < inputs; i += 2)
            out.pairs[(group * inputs + i) / 2 * TILE_OUTPUTS + o % TILE_OUTPUTS] =
                as_bfloat16(of_output[i]) >> 16 | as_bfloat16(of_output[i + 1]);
        out.bias[o] = weights[outputs * inputs + o];
    }
    weights += (inputs + 1) * outputs;
    return out;
}

Network::Depthwise Network::depthwise(const float *&weights, int channels, int dilation, Arena &arena) const {
    Depthwise out = {arena.array<float>(static_cast<size_t>(channels) * TAPS), arena.array<float>(channels), dilation};
    if (!arena.counting()) {
        std::memcpy(out.weights, weights, sizeof(float) * channels * TAPS);
        std::memcpy(out.bias, weights + channels * TAPS, sizeof(float) * channels);
    }
    weights += channels * (TAPS + 1);
    return out;
}

void Network::open(const float *weights, int c, int num_blocks, const int32_t *dilations, bool bfloat16,
                   Arena &arena) {
    num_channels_ = c;
    bfloat16_ = bfloat16 && HAS_BFLOAT16;
    num_blocks_ = num_blocks;
    enter_depthwise_ = depthwise(weights, NUM_FEATURES, 1, arena);
    enter_ = pointwise(weights, NUM_FEATURES, c, arena);
    for (int b = 0; b < num_blocks; b++) {
        ResidualBlock &block = blocks_[b];
        block.depthwise = depthwise(weights, c, dilations[b], arena);
        block.spread = pointwise(weights, c, 2 * c, arena);
        block.over_antennas = pointwise(weights, c, 2 * c, arena);
        block.merge = pointwise(weights, 2 * c, c, arena);
        // what is common begins the sums of every antenna
        for (int o = 0; o < 2 * c && !arena.counting(); o++) block.over_antennas.bias[o] += block.spread.bias[o];
    }
    leave_ = pointwise(weights, c, NUM_OUTPUTS, arena);
}

RowScratch Network::scratch_of(Arena &arena, const NodeShape &shape, int num_channels) {
    const size_t width = shape.width, most = num_channels > NUM_FEATURES ? num_channels : NUM_FEATURES + 1;
    return {arena.array<float>(num_channels * width), arena.array<float>(most * width),
            arena.array<float>(2 * num_channels * width), arena.array<float>(2 * num_channels * width)};
}

// Channels `first` on of the weights, from all channels of the planes, as inputs of a pointwise convolution.
template <class In>
void Network::convolve(const Depthwise &d, const Planes &from, int row, int first, int channels, int width,
                       float *out) {
    const int reach = 2 * d.dilation;
    auto value = [&](int c, int n) {
        const float *w = d.weights + (first + c) * TAPS;
        const float *above = from.at(row - 1, c) - reach + n, *own = from.at(row, c) - reach + n;
        const float *below = from.at(row + 1, c) - reach + n;
        vf one = splat(d.bias[first + c]), two = {}, three = {};
        for (int i = 0; i < 5; i++) {
            one += w[i] * load(above + i * d.dilation);
            two += w[5 + i] * load(own + i * d.dilation);
            three += w[10 + i] * load(below + i * d.dilation);
        }
        return one + (two + three);
    };
    int c = 0;
    for (; c + 2 <= channels; c += 2)
        for (int n = 0; n < width; n += LANES)
            put<In>(out + static_cast<size_t>(c / In::PER_STEP) * width + n, width, value(c, n), value(c + 1, n));
    for (; c < channels; c++)
        for (int n = 0; n < width; n += LANES) store(out + static_cast<size_t>(c) * width + n, value(c, n));
}

void Network::enter(int row, const NodeShape &shape, const Activations &a, const RowScratch &scratch) const {
    const int width = shape.width;
    const Depthwise &d = enter_depthwise_;
    float *shared = scratch.depthwise + OWN_FEATURES * static_cast<size_t>(width);
    convolve<Float32Inputs>(d, a.shared, row, OWN_FEATURES, SHARED_FEATURES, width, shared);
    for (int r = 0; r < shape.num_rx; r++) {
        convolve<Float32Inputs>(d, a.own[r], row, 0, OWN_FEATURES, width, scratch.depthwise);
        const Planes &to = a.now[r];
        pointwise_row<Float32Inputs, false, false>(enter_, false, scratch.depthwise, width, {}, to.at(row, 0), to.stride,
                                                   shape.vectors());
        for (int c = 0; c < num_channels_; c++) clear_rest(to.at(row, c), shape);
    }
}

template <class In>
void Network::run_block(int stage, int row, const NodeShape &shape, const Activations &a,
                        const RowScratch &scratch) const {
    typedef const typename In::Value *Inputs;
    constexpr bool PAIRS = In::PER_STEP == 2;
    const ResidualBlock &block = blocks_[stage - 1];
    const int width = shape.width, c = num_channels_, vectors = shape.vectors();
    // the planes change places from block to block
    const Planes *from = stage % 2 ? a.now : a.next, *to = stage % 2 ? a.next : a.now;
    const float share = 1.0f / static_cast<float>(shape.num_rx);
    auto mean = [&](int channel, int n) {
        vf total = load(from[0].at(row, channel) + n);
        for (int r = 1; r < shape.num_rx; r++) total += load(from[r].at(row, channel) + n);
        return total * share;
    };
    for (int i = 0; i < c; i += 2)
        for (int n = 0; n < width; n += LANES)
            put<In>(scratch.mean + static_cast<size_t>(i / In::PER_STEP) * width + n, width, mean(i, n), mean(i + 1, n));
    pointwise_row<In, false, false>(block.over_antennas, false, reinterpret_cast<Inputs>(scratch.mean), width, {},
                                    scratch.common, width, vectors);
    for (int r = 0; r < shape.num_rx; r++) {
        convolve<In>(block.depthwise, from[r], row, 0, c, width, scratch.depthwise);
        pointwise_row<In, true, PAIRS>(block.spread, true, reinterpret_cast<Inputs>(scratch.depthwise), width,
                                       {scratch.common, static_cast<size_t>(width)}, scratch.hidden, width, vectors);
        float *out = to[r].at(row, 0);
        pointwise_row<In, false, false>(block.merge, false, reinterpret_cast<Inputs>(scratch.hidden), width,
                                        {from[r].at(row, 0), static_cast<size_t>(from[r].stride)}, out, to[r].stride,
                                        vectors);
        if (stage == num_blocks_)
            pointwise_row<Float32Inputs, false, false>(
                leave_, false, out, to[r].stride, {},
                a.out + (static_cast<size_t>(r) * shape.num_rows + row) * NUM_OUTPUTS * width, width, vectors);
        for (int i = 0; i < c; i++) clear_rest(to[r].at(row, i), shape);
    }
}

void Network::run(int stage, int row, const NodeShape &shape, const Activations &a, const RowScratch &scratch) const {
    if (stage == 0) return enter(row, shape, a, scratch);
#if defined(__AVX512BF16__)
    if (bfloat16_) return run_block<Bfloat16Inputs>(stage, row, shape, a, scratch);
#endif
    run_block<Float32Inputs>(stage, row, shape, a, scratch);
}

}  // namespace ran6g
