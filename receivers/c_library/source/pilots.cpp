#include "pilots.h"

namespace ran6g {

MeanDelay mean_delay(const Layout &s, const Grid &grid, float *scratch) {
    const int width = padded(s.num_pilots), n = s.num_pilots;
    float *zr = scratch, *zi = zr + width, *pr = zi + width, *pi = pr + width;
    float *row_r = pi + width, *row_i = row_r + padded(s.num_subcarriers);
    double re = 0, im = 0, energy = 0;
    for (int c = 0; c < s.num_combs; c++) {
        int layer = 0;
        while (s.comb_of[layer] != c) layer++;
        for (int r = 0; r < s.num_rx; r++)
            for (int d = 0; d < s.num_dmrs_symbols; d++) {
                const float *sent = grid.dmrs + 2 * (static_cast<size_t>(layer) * s.num_dmrs_symbols + d) * n;
                read_row(grid, r, s.dmrs_symbols[d], 0, s.num_subcarriers, row_r, row_i);
                pick(s.pilot_subcarriers[c], n, row_r, row_i, pr, pi);
                for (int i = 0; i < n; i++) {
                    float br = sent[2 * i], bi = sent[2 * i + 1];
                    zr[i] = pr[i] * br + pi[i] * bi;
                    zi[i] = pi[i] * br - pr[i] * bi;
                }
                float sum_r = 0, sum_i = 0, sum_e = 0;
#pragma GCC unroll 1
                for (int i = 0; i + 2 < n; i++) {
                    float a = zr[i + 2] * zr[i] + zi[i + 2] * zi[i], b = zi[i + 2] * zr[i] - zr[i + 2] * zi[i];
                    pr[i] = a;
                    pi[i] = b;
                }
                vf vr = {}, vim = {}, ve = {};
                int i = 0;
                for (; i + LANES <= n - 2; i += LANES) {
                    vf a = load(pr + i), b = load(pi + i);
                    vr += a;
                    vim += b;
                    ve += a * a + b * b;
                }
                sum_r = sum(vr);
                sum_i = sum(vim);
                sum_e = sum(ve);
                for (; i < n - 2; i++) {
                    sum_r += pr[i];
                    sum_i += pi[i];
                    sum_e += pr[i] * pr[i] + pi[i] * pi[i];
                }
                re += sum_r;
                im += sum_i;
                energy += sum_e;
            }
    }
    double step = s.pilot_subcarriers[0][2] - s.pilot_subcarriers[0][0];
    if (!(energy > 0)) return {0, 0};
    return {-std::atan2(im, re) / (2 * M_PI * step), std::sqrt((re * re + im * im) / energy)};
}

}  // namespace ran6g
