// Soft bits in the numbers asked for, written as [data RE][layer][bit].
#pragma once

#include "detect.h"

namespace ran6g {

inline uint16_t half_of(float x) {
#if defined(__F16C__)
    return static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT));
#else
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    uint32_t sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);
    if (rest < 0x38800000u) {
        // below the normal numbers: a multiple of 2^-24
        float magnitude;
        std::memcpy(&magnitude, &rest, 4);
        return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(magnitude * 16777216.0f)));
    }
    uint32_t even = rest >> 13 & 1u;
    return static_cast<uint16_t>(sign | ((rest + 0xfffu + even - 0x38000000u) >> 13));
#endif
}

template <int BITS> struct SoftBits {
    // llr [BITS][BLOCK]; codes: scratch of the same size.
    static void write(const float (*llr)[BLOCK], int32_t (*codes)[BLOCK], const Block &block, const DataRow &row,
                      int num_layers, int layer, int format, float scale, int most, void *out) {
        const size_t stride = static_cast<size_t>(num_layers) * BITS;
        const size_t start = static_cast<size_t>(row.start) * stride + static_cast<size_t>(layer) * BITS;
        if (format == RAN6G_LLR_FLOAT32) {
            put(static_cast<float *>(out) + start, stride, llr, block, row);
        } else if (format == RAN6G_LLR_FLOAT16) {
            for (int b = 0; b < BITS; b++)
                for (int k = 0; k < block.columns; k++) {
                    float x = llr[b][k];
                    // the largest finite number instead of an infinity
                    codes[b][k] = half_of(x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x);
                }
            put(static_cast<uint16_t *>(out) + start, stride, codes, block, row);
        } else {
            const vf limit = splat(static_cast<float>(most)), magic = splat(12582912.0f);
            for (int b = 0; b < BITS; b++)
                for (int k = 0; k < block.columns; k += LANES) {
                    vf x = max(min(load(&llr[b][k]) * scale, limit), -limit);
                    vi code = (vi)(x + magic) - (vi)magic;
                    std::memcpy(&codes[b][k], &code, sizeof(code));
                }
            bytes(static_cast<unsigned char *>(out) + start, stride, codes, block, row);
        }
    }

  private:
    template <class To, class From>
    static void put(To *out, size_t stride, const From (*values)[BLOCK], const Block &block, const DataRow &row) {
        if (!row.before) {
            out += stride * block.first;
            for (int k = block.low; k < block.high; k++)
                for (int b = 0; b < BITS; b++) out[k * stride + b] = static_cast<To>(values[b][k]);
            return;
        }
        for (int k = block.low; k < block.high; k++) {
            if (!row.mask[block.first + k]) continue;
            To *at = out + stride * row.before[block.first + k];
            for (int b = 0; b < BITS; b++) at[b] = static_cast<To>(values[b][k]);
        }
    }

    static uint32_t word(const int32_t (*codes)[BLOCK], int k, int first, int count) {
        uint32_t out = 0;
        for (int b = 0; b < count; b++) out |= (static_cast<uint32_t>(codes[first + b][k]) & 255u) << (8 * b);
        return out;
    }

    static void bytes(unsigned char *out, size_t stride, const int32_t (*codes)[BLOCK], const Block &block,
                      const DataRow &row) {
        if (row.before) {
            put(reinterpret_cast<int8_t *>(out), stride, codes, block, row);
            return;
        }
        // the bits of an RE as one or two words
        constexpr int LOW = BITS < 4 ? BITS : 4, HIGH = BITS - LOW;
        out += stride * block.first;
        if (stride == 4 && BITS == 4) {
            for (int k = block.low; k < block.high; k++) {
                uint32_t w = word(codes, k, 0, LOW);
                std::memcpy(out + 4 * k, &w, 4);
            }
            return;
        }
        for (int k = block.low; k < block.high; k++) {
            uint32_t w = word(codes, k, 0, LOW);
            std::memcpy(out + k * stride, &w, LOW);
            if (HIGH) {
                w = word(codes, k, LOW, HIGH);
                std::memcpy(out + k * stride + LOW, &w, HIGH);
            }
        }
    }
};

}  // namespace ran6g
