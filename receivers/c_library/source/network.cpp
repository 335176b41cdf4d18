#include "network.h"

namespace ran6g {
namespace {

// Vectors of nodes that a tile of a pointwise convolution has: with four outputs, its sums stay in registers.
constexpr int TILE = LANES == 16 ? 7 : 3;
constexpr int OUTPUTS = 4;

// Four outputs at V vectors of nodes, from `bias`, or from `base` [output][base_stride] where it is given.
template <int V, bool RELU>
inline void tile(const float *weights, const float *bias, int inputs, const float *in, size_t in_stride,
                 const float *base, size_t base_stride, float *out, size_t out_stride) {
    vf sums[OUTPUTS][V];
    for (int o = 0; o < OUTPUTS; o++)
        for (int v = 0; v < V; v++) {
            sums[o][v] = bias ? splat(bias[o]) : vf{};
            if (base) sums[o][v] += load(base + o * base_stride + v * LANES);
        }
    for (int i = 0; i < inputs; i++) {
        const float *w = weights + i * OUTPUTS, *x = in + i * in_stride;
        vf columns[V];
        for (int v = 0; v < V; v++) columns[v] = load(x + v * LANES);
        for (int o = 0; o < OUTPUTS; o++)
            for (int v = 0; v < V; v++) sums[o][v] += w[o] * columns[v];
    }
    for (int o = 0; o < OUTPUTS; o++)
        for (int v = 0; v < V; v++) {
            vf x = sums[o][v];
            store(out + o * out_stride + v * LANES, RELU ? max(x, vf{}) : x);
        }
}

template <bool RELU>
void pointwise_rows(const float *weights, const float *bias, int inputs, int outputs, const float *in,
                    size_t in_stride, const float *base, size_t base_stride, float *out, size_t out_stride,
                    int vectors) {
    for (int v = 0; v < vectors; v += TILE) {
        const int at = v * LANES;
        for (int o = 0; o < outputs; o += OUTPUTS) {
            const float *w = weights + static_cast<size_t>(o) * inputs, *b = bias ? bias + o : nullptr;
            const float *start = base ? base + o * base_stride + at : nullptr;
            float *to = out + o * out_stride + at;
            switch (vectors - v) {
                case 1: tile<1, RELU>(w, b, inputs, in + at, in_stride, start, base_stride, to, out_stride); break;
                case 2: tile<2, RELU>(w, b, inputs, in + at, in_stride, start, base_stride, to, out_stride); break;
#if defined(__AVX512F__)
                case 3: tile<3, RELU>(w, b, inputs, in + at, in_stride, start, base_stride, to, out_stride); break;
                case 4: tile<4, RELU>(w, b, inputs, in + at, in_stride, start, base_stride, to, out_stride); break;
                case 5: tile<5, RELU>(w, b, inputs, in + at, in_stride, start, base_stride, to, out_stride); break;
                case 6: tile<6, RELU>(w, b, inputs, in + at, in_stride, start, base_stride, to, out_stride); break;
#endif
                default: tile<TILE, RELU>(w, b, inputs, in + at, in_stride, start, base_stride, to, out_stride);
            }
        }
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

Network::Pointwise Network::pointwise(const float *&weights, int inputs, int outputs, Arena &arena) const {
    Pointwise out = {arena.array<float>(static_cast<size_t>(inputs) * outputs), arena.array<float>(outputs), inputs,
                     outputs};
    for (int o = 0; o < outputs && !arena.counting(); o++) {
        for (int i = 0; i < inputs; i++)
            out.weights[(static_cast<size_t>(o / OUTPUTS) * inputs + i) * OUTPUTS + o % OUTPUTS] = weights[o * inputs + i];
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

void Network::open(const float *weights, int c, int num_blocks, const int32_t *dilations, Arena &arena) {
    num_channels_ = c;
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
    const size_t width = shape.width, most = num_channels > NUM_FEATURES ? num_channels : NUM_FEATURES;
    return {arena.array<float>(num_channels * width), arena.array<float>(most * width),
            arena.array<float>(2 * num_channels * width), arena.array<float>(2 * num_channels * width),
            arena.array<float>(SHARED_FEATURES * width)};
}

// Channels `first` on of the weights, from all channels of the planes.
void Network::convolve(const Depthwise &d, const Planes &from, int row, int first, int channels, int width,
                       float *out) {
    for (int c = 0; c < channels; c++) {
        const float *w = d.weights + (first + c) * TAPS, bias = d.bias[first + c];
        const float *above = from.at(row - 1, c) - 2 * d.dilation, *own = from.at(row, c) - 2 * d.dilation;
        const float *below = from.at(row + 1, c) - 2 * d.dilation;
        float *to = out + static_cast<size_t>(c) * width;
        for (int n = 0; n < width; n += LANES) {
            vf one = splat(bias), two = {}, three = {};
            for (int i = 0; i < 5; i++) {
                const int at = n + i * d.dilation;
                one += w[i] * load(above + at);
                two += w[5 + i] * load(own + at);
                three += w[10 + i] * load(below + at);
            }
            store(to + n, one + (two + three));
        }
    }
}

void Network::enter(int row, const NodeShape &shape, const Activations &a, const RowScratch &scratch) const {
    const int width = shape.width;
    const Depthwise &d = enter_depthwise_;
    float *shared = scratch.depthwise + OWN_FEATURES * static_cast<size_t>(width);
    convolve(d, a.shared, row, OWN_FEATURES, SHARED_FEATURES, width, shared);
    for (int r = 0; r < shape.num_rx; r++) {
        convolve(d, a.own[r], row, 0, OWN_FEATURES, width, scratch.depthwise);
        const Planes &to = a.now[r];
        pointwise_rows<false>(enter_.weights, enter_.bias, NUM_FEATURES, num_channels_, scratch.depthwise, width,
                              nullptr, 0, to.at(row, 0), to.stride, shape.vectors());
        for (int c = 0; c < num_channels_; c++) clear_rest(to.at(row, c), shape);
    }
}

void Network::run(int stage, int row, const NodeShape &shape, const Activations &a, const RowScratch &scratch) const {
    if (stage == 0) return enter(row, shape, a, scratch);
    const ResidualBlock &block = blocks_[stage - 1];
    const int width = shape.width, c = num_channels_, vectors = shape.vectors();
    // the planes change places from block to block
    const Planes *from = stage % 2 ? a.now : a.next, *to = stage % 2 ? a.next : a.now;
    const float *mean = from[0].at(row, 0);
    size_t mean_stride = from[0].stride;
    if (shape.num_rx > 1) {
        const float share = 1.0f / static_cast<float>(shape.num_rx);
        for (int i = 0; i < c; i++)
            for (int n = 0; n < width; n += LANES) {
                vf total = load(from[0].at(row, i) + n);
                for (int r = 1; r < shape.num_rx; r++) total += load(from[r].at(row, i) + n);
                store(scratch.mean + static_cast<size_t>(i) * width + n, total * share);
            }
        mean = scratch.mean;
        mean_stride = width;
    }
    pointwise_rows<false>(block.over_antennas.weights, block.over_antennas.bias, c, 2 * c, mean, mean_stride, nullptr,
                          0, scratch.common, width, vectors);
    for (int r = 0; r < shape.num_rx; r++) {
        convolve(block.depthwise, from[r], row, 0, c, width, scratch.depthwise);
        pointwise_rows<true>(block.spread.weights, nullptr, c, 2 * c, scratch.depthwise, width, scratch.common, width,
                             scratch.hidden, width, vectors);
        float *out = to[r].at(row, 0);
        pointwise_rows<false>(block.merge.weights, block.merge.bias, 2 * c, c, scratch.hidden, width,
                              from[r].at(row, 0), from[r].stride, out, to[r].stride, vectors);
        if (stage == num_blocks_)
            pointwise_rows<false>(leave_.weights, leave_.bias, c, NUM_OUTPUTS, out, to[r].stride, nullptr, 0,
                                  a.out + (static_cast<size_t>(r) * shape.num_rows + row) * NUM_OUTPUTS * width, width,
                                  vectors);
        for (int i = 0; i < c; i++) clear_rest(to[r].at(row, i), shape);
    }
}

}  // namespace ran6g
