// Convolutions of kernel size 1 over rows of nodes, in tiles whose sums stay in registers: in float32, or with inputs and
// weights rounded to bfloat16 and sums in float32 where the processor multiplies such pairs (AVX-512 BF16).
#pragma once

#include "vector.h"

namespace ran6g {

// Outputs of a tile, which has up to TILE vectors of nodes; weights are kept as [output / 4][input][4].
constexpr int TILE_OUTPUTS = 4;

struct Pointwise {
    float *weights, *bias;
    uint32_t *pairs;  // [output / 4][input / 2][4]: weights of two inputs as bfloat16, the first in the lower half
    int inputs, outputs;
};

// What sums begin with beside the bias: rows [output][stride], or nothing.
struct Base {
    const float *rows;
    size_t stride;
};

// A number as the nearest bfloat16, ties to even, as the upper half of a float32.
inline uint32_t as_bfloat16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
}

#if defined(__AVX512BF16__)
constexpr bool HAS_BFLOAT16 = true;

// Two rows of values as pairs, the first in the lower halves.
inline void store_pairs(uint32_t *to, vf first, vf second) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(order, both));
}

struct Bfloat16Inputs {
    static constexpr int PER_STEP = 2, TILE = 4;
    typedef uint32_t Value;
    typedef __m512bh Column;
    static const uint32_t *weights(const Pointwise &p) { return p.pairs; }
    static Column load(const uint32_t *at) { return (__m512bh)_mm512_loadu_si512(at); }
    static Column spread(uint32_t weight) { return (__m512bh)_mm512_set1_epi32(static_cast<int>(weight)); }
    static vf multiply_add(vf sum, Column x, Column w) { return (vf)_mm512_dpbf16_ps((__m512)sum, x, w); }
};
#else
constexpr bool HAS_BFLOAT16 = false;
inline void store_pairs(uint32_t *, vf, vf) {}
#endif

struct Float32Inputs {
    static constexpr int PER_STEP = 1, TILE = LANES == 16 ? 7 : 3;
    typedef float Value;
    typedef vf Column;
    static const float *weights(const Pointwise &p) { return p.weights; }
    static Column load(const float *at) { return ran6g::load(at); }
    static Column spread(float weight) { return splat(weight); }
    static vf multiply_add(vf sum, Column x, Column w) { return sum + x * w; }
};

// Four outputs at V vectors of nodes. Out: float rows, or with PAIRS rows of pairs of outputs.
template <class In, int V, bool RELU, bool PAIRS>
inline void tile(const typename In::Value *weights, const float *bias, int steps, const typename In::Value *in,
                 size_t in_stride, Base base, void *out, size_t out_stride) {
    vf sums[TILE_OUTPUTS][V];
    for (int o = 0; o < TILE_OUTPUTS; o++)
        for (int v = 0; v < V; v++) {
            sums[o][v] = bias ? splat(bias[o]) : vf{};
            if (base.rows) sums[o][v] += load(base.rows + o * base.stride + v * LANES);
        }
    for (int i = 0; i < steps; i++) {
        const typename In::Value *w = weights + i * TILE_OUTPUTS, *x = in + i * in_stride;
        typename In::Column columns[V];
        for (int v = 0; v < V; v++) columns[v] = In::load(x + v * LANES);
        for (int o = 0; o < TILE_OUTPUTS; o++) {
            const typename In::Column weight = In::spread(w[o]);
            for (int v = 0; v < V; v++) sums[o][v] = In::multiply_add(sums[o][v], columns[v], weight);
        }
    }
    for (int o = 0; o < TILE_OUTPUTS; o++)
        for (int v = 0; v < V; v++) sums[o][v] = RELU ? max(sums[o][v], vf{}) : sums[o][v];
    for (int o = 0; o < TILE_OUTPUTS; o += PAIRS ? 2 : 1)
        for (int v = 0; v < V; v++) {
            if constexpr (PAIRS)
                store_pairs(static_cast<uint32_t *>(out) + o / 2 * out_stride + v * LANES, sums[o][v], sums[o + 1][v]);
            else
                store(static_cast<float *>(out) + o * out_stride + v * LANES, sums[o][v]);
        }
}

// All outputs of a row of nodes. without_bias: where `base` has it already.
template <class In, bool RELU, bool PAIRS>
void pointwise_row(const Pointwise &p, bool without_bias, const typename In::Value *in, size_t in_stride, Base base,
                   void *out, size_t out_stride, int vectors) {
    const int steps = p.inputs / In::PER_STEP;
    for (int v = 0; v < vectors; v += In::TILE) {
        const int at = v * LANES;
        for (int o = 0; o < p.outputs; o += TILE_OUTPUTS) {
            const typename In::Value *w = In::weights(p) + static_cast<size_t>(o) * steps, *x = in + at;
            const float *b = without_bias ? nullptr : p.bias + o;
            const Base start = {base.rows ? base.rows + o * base.stride + at : nullptr, base.stride};
            // pairs of outputs and floats take the same room
            void *to = static_cast<float *>(out) + (PAIRS ? o / 2 : o) * out_stride + at;
            switch (vectors - v < In::TILE ? vectors - v : In::TILE) {
                case 1: tile<In, 1, RELU, PAIRS>(w, b, steps, x, in_stride, start, to, out_stride); break;
                case 2: tile<In, 2, RELU, PAIRS>(w, b, steps, x, in_stride, start, to, out_stride); break;
                case 3: tile<In, 3, RELU, PAIRS>(w, b, steps, x, in_stride, start, to, out_stride); break;
#if defined(__AVX512F__)
                case 4: tile<In, 4, RELU, PAIRS>(w, b, steps, x, in_stride, start, to, out_stride); break;
                case 5: tile<In, 5, RELU, PAIRS>(w, b, steps, x, in_stride, start, to, out_stride); break;
                case 6: tile<In, 6, RELU, PAIRS>(w, b, steps, x, in_stride, start, to, out_stride); break;
                default: tile<In, 7, RELU, PAIRS>(w, b, steps, x, in_stride, start, to, out_stride);
#endif
            }
        }
    }
}

}  // namespace ran6g
