// Matrix products with few rows: the matrix is kept in panels of LANES columns, next to one another.
#pragma once

#include "vector.h"

namespace ran6g {

// Rows of the left factor that are worked on at once: their sums stay in registers.
constexpr int ROWS_AT_ONCE = LANES == 16 ? 8 : 4;

// Number of floats of a packed complex matrix [k][n].
inline size_t packed_size(int k, int n) { return static_cast<size_t>(padded(n)) * k * 2; }

// Packs planar parts [k][n] into panels [panel][k][re, im][LANES]; columns beyond n are 0.
inline void pack(const float *re, const float *im, int k, int n, float *out) {
    for (int p = 0; p < padded(n); p += LANES)
        for (int i = 0; i < k; i++)
            for (int j = 0; j < LANES; j++) {
                bool inside = p + j < n;
                size_t at = (static_cast<size_t>(p / LANES) * k + i) * 2 * LANES + j;
                out[at] = inside ? re[static_cast<size_t>(i) * n + p + j] : 0;
                out[at + LANES] = inside ? im[static_cast<size_t>(i) * n + p + j] : 0;
            }
}

// One panel: sums over k of a[k][row] b[k][column] for R rows. a: [k][a_stride] with the real parts at `a`, the
// imaginary at `a + a_imag`. where: rows of the panel, null for all k in order. Row r of the result at out + r *
// out_stride, real parts; imaginary at out_imag further.
template <int R>
inline void panel_product(const float *a, int a_stride, int a_imag, const float *panel, const int32_t *where, int k,
                          float *out, int out_stride, int out_imag) {
    vf re[R], im[R];
    for (int r = 0; r < R; r++) re[r] = im[r] = vf{};
    for (int i = 0; i < k; i++) {
        const float *b = panel + static_cast<size_t>(where ? where[i] : i) * 2 * LANES;
        vf br = load(b), bi = load(b + LANES);
        for (int r = 0; r < R; r++) {
            float ar = a[r], ai = a[a_imag + r];
            re[r] += ar * br;
            im[r] += ar * bi;
            re[r] -= ai * bi;
            im[r] += ai * br;
        }
        a += a_stride;
    }
    for (int r = 0; r < R; r++) {
        store(out + static_cast<size_t>(r) * out_stride, re[r]);
        store(out + static_cast<size_t>(r) * out_stride + out_imag, im[r]);
    }
}

// The same for any number of rows.
inline void panel_rows(const float *a, int a_stride, int a_imag, int rows, const float *panel, const int32_t *where,
                       int k, float *out, int out_stride, int out_imag) {
    for (int r = 0; r < rows; r += ROWS_AT_ONCE) {
        const float *from = a + r;
        float *to = out + static_cast<size_t>(r) * out_stride;
        switch (rows - r) {
            case 1: panel_product<1>(from, a_stride, a_imag, panel, where, k, to, out_stride, out_imag); break;
            case 2: panel_product<2>(from, a_stride, a_imag, panel, where, k, to, out_stride, out_imag); break;
            case 3: panel_product<3>(from, a_stride, a_imag, panel, where, k, to, out_stride, out_imag); break;
#if defined(__AVX512F__)
            case 4: panel_product<4>(from, a_stride, a_imag, panel, where, k, to, out_stride, out_imag); break;
            case 5: panel_product<5>(from, a_stride, a_imag, panel, where, k, to, out_stride, out_imag); break;
            case 6: panel_product<6>(from, a_stride, a_imag, panel, where, k, to, out_stride, out_imag); break;
            case 7: panel_product<7>(from, a_stride, a_imag, panel, where, k, to, out_stride, out_imag); break;
#endif
            default:
                panel_product<ROWS_AT_ONCE>(from, a_stride, a_imag, panel, where, k, to, out_stride, out_imag);
        }
    }
}

// Real product c[m][n] = a[m][k] b[k][n] of row-major matrices, n a multiple of ROW.
inline void product(const float *a, int a_stride, const float *b, int b_stride, int m, int k, int n, float *c,
                    int c_stride) {
    for (int j = 0; j < n; j += ROW)
        for (int i = 0; i < m; i += 4) {
            int rows = m - i < 4 ? m - i : 4;
            vf sums[4][PER_ROW] = {};
            const float *row[4];
            for (int r = 0; r < 4; r++) row[r] = a + static_cast<size_t>(i + (r < rows ? r : 0)) * a_stride;
            for (int p = 0; p < k; p++)
                for (int v = 0; v < PER_ROW; v++) {
                    vf column = load(b + static_cast<size_t>(p) * b_stride + j + v * LANES);
                    for (int r = 0; r < 4; r++) sums[r][v] += row[r][p] * column;
                }
            for (int r = 0; r < rows; r++)
                for (int v = 0; v < PER_ROW; v++)
                    store(c + static_cast<size_t>(i + r) * c_stride + j + v * LANES, sums[r][v]);
        }
}

}  // namespace ran6g
