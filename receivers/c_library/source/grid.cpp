#include "receiver.h"

namespace ran6g {

void read_row(const Grid &grid, int antenna, int symbol, int first, int n, float *re, float *im) {
    size_t at = antenna * grid.antenna_stride + symbol * grid.symbol_stride + first;
    const float factor = grid.factor;
    if (grid.is_bf16) {
        // a pair of bfloat16 is a word with the real part in its lower half
        const unsigned char *row = static_cast<const unsigned char *>(grid.data) + 4 * at;
        for (int k = 0; k < n; k++) {
            uint32_t word;
            std::memcpy(&word, row + 4 * k, 4);
            uint32_t low = word << 16, high = word & 0xffff0000u;
            float a, b;
            std::memcpy(&a, &low, 4);
            std::memcpy(&b, &high, 4);
            re[k] = a * factor;
            im[k] = b * factor;
        }
    } else {
        const float *row = static_cast<const float *>(grid.data) + 2 * at;
        int k = 0;
#if defined(__AVX512F__)
        const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
        const __m512 scale = _mm512_set1_ps(factor);
        for (; k + 16 <= n; k += 16) {
            __m512 a = _mm512_loadu_ps(row + 2 * k), b = _mm512_loadu_ps(row + 2 * k + 16);
            _mm512_storeu_ps(re + k, _mm512_mul_ps(scale, _mm512_permutex2var_ps(a, even, b)));
            _mm512_storeu_ps(im + k, _mm512_mul_ps(scale, _mm512_permutex2var_ps(a, odd, b)));
        }
#endif
        for (; k < n; k++) {
            re[k] = row[2 * k] * factor;
            im[k] = row[2 * k + 1] * factor;
        }
    }
}

bool largest_entry(const Layout &layout, const Grid &grid, float *largest) {
    // magnitudes of floats are ordered as their bits are
    uint32_t most = 0;
    for (int r = 0; r < layout.num_rx; r++)
        for (int s = 0; s < layout.num_symbols; s++) {
            size_t at = r * grid.antenna_stride + s * grid.symbol_stride;
            uint32_t of_row = 0;
            if (grid.is_bf16) {
                const unsigned char *row = static_cast<const unsigned char *>(grid.data) + 4 * at;
                for (int k = 0; k < layout.num_subcarriers; k++) {
                    uint32_t word;
                    std::memcpy(&word, row + 4 * k, 4);
                    uint32_t low = (word << 16) & 0x7fffffffu, high = word & 0x7fff0000u;
                    uint32_t larger = low > high ? low : high;
                    of_row = larger > of_row ? larger : of_row;
                }
            } else {
                const float *row = static_cast<const float *>(grid.data) + 2 * at;
                for (int k = 0; k < 2 * layout.num_subcarriers; k++) {
                    uint32_t word;
                    std::memcpy(&word, row + k, 4);
                    word &= 0x7fffffffu;
                    of_row = word > of_row ? word : of_row;
                }
            }
            most = of_row > most ? of_row : most;
        }
    std::memcpy(largest, &most, 4);
    return most < 0x7f800000u;
}

}  // namespace ran6g
