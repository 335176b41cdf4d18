#include "lmmse.h"

#include <cstdio>

#include "pilots.h"

namespace ran6g {
namespace {

constexpr int MAX_ROWS = MAX_RX_ANT * MAX_GROUPS;

}  // namespace

ran6g_status Lmmse::open(const ModelFile &file, const Layout &s, Arena &arena) {
    layout_ = &s;
    size_t count = 0;
    time_eigenvalues_ = file.floats("time_eigenvalues", 0, &count);
    if (!time_eigenvalues_ || count > static_cast<size_t>(s.num_groups)) return RAN6G_BAD_FILE;
    num_time_modes_ = static_cast<int>(count);
    time_analysis_ = file.floats("time_analysis", count * s.num_groups);
    time_synthesis_ = file.floats("time_synthesis", count * s.num_symbols);
    if (!time_analysis_ || !time_synthesis_) return RAN6G_BAD_FILE;
    most_modes_ = 0;
    for (int c = 0; c < s.num_combs; c++) {
        char name[40];
        std::snprintf(name, sizeof(name), "frequency_eigenvalues_%d", c);
        Axis &axis = axes_[c];
        axis.eigenvalues = file.floats(name, 0, &count);
        if (!axis.eigenvalues || count > static_cast<size_t>(s.num_pairs)) return RAN6G_BAD_FILE;
        axis.num_modes = static_cast<int>(count);
        most_modes_ = axis.num_modes > most_modes_ ? axis.num_modes : most_modes_;
        std::snprintf(name, sizeof(name), "frequency_analysis_%d", c);
        const float *analysis = file.floats(name, 2 * count * s.num_pairs);
        std::snprintf(name, sizeof(name), "frequency_synthesis_%d", c);
        const float *synthesis = file.floats(name, 2 * count * s.num_subcarriers);
        if (!analysis || !synthesis) return RAN6G_BAD_FILE;
        for (size_t i = 0; i < count; i++)
            if (!(axis.eigenvalues[i] > 0)) return RAN6G_BAD_FILE;
        axis.analysis = arena.array<float>(packed_size(s.num_pairs, axis.num_modes));
        axis.synthesis = arena.array<float>(packed_size(axis.num_modes, s.num_subcarriers));
        if (!arena.counting()) {
            size_t half = count * s.num_pairs;
            pack(analysis, analysis + half, s.num_pairs, axis.num_modes, axis.analysis);
            half = count * s.num_subcarriers;
            pack(synthesis, synthesis + half, axis.num_modes, s.num_subcarriers, axis.synthesis);
        }
    }
    for (int t = 0; t < num_time_modes_; t++)
        if (!(time_eigenvalues_[t] > 0)) return RAN6G_BAD_FILE;
    size_t rows = static_cast<size_t>(s.num_rx) * s.num_groups;
    pairs_ = arena.array<float>(s.num_layers * static_cast<size_t>(s.num_pairs) * 2 * rows);
    filtered_ = arena.array<float>(s.num_layers * static_cast<size_t>(most_modes_) * (2 * rows + MAX_GROUPS));
    at_modes_ = arena.array<float>(2 * rows * padded(most_modes_));
    scratch_ = arena.array<float>(mean_delay_scratch(s));
    return RAN6G_OK;
}

void Lmmse::estimate_pairs(const Grid &grid, double *seen, double *pair_var, double *cfo_re, double *cfo_im) {
    const Layout &s = *layout_;
    const int n = s.num_pilots, rows = s.num_rx * s.num_groups;
    float *pr = scratch_, *pi = pr + padded(n), *row_r = pi + 3 * padded(n), *row_i = row_r + padded(s.num_subcarriers);
    std::memset(pairs_, 0, sizeof(float) * s.num_layers * s.num_pairs * 2 * rows);
    for (int r = 0; r < s.num_rx; r++)
        for (int d = 0; d < s.num_dmrs_symbols; d++) {
            read_row(grid, r, s.dmrs_symbols[d], 0, s.num_subcarriers, row_r, row_i);
            int row = r * s.num_groups + d / s.num_adjacent;
            for (int layer = 0; layer < s.num_layers; layer++) {
                pick(s.pilot_subcarriers[s.comb_of[layer]], n, row_r, row_i, pr, pi);
                const float *sent = grid.dmrs + 2 * (static_cast<size_t>(layer) * s.num_dmrs_symbols + d) * n;
                float *out = pairs_ + static_cast<size_t>(layer) * s.num_pairs * 2 * rows + row;
                // least squares y / p, and the mean of the pilots of a pair
                float each = 0.5f / s.num_adjacent;
                for (int i = 0; i < n; i++) {
                    float br = sent[2 * i], bi = sent[2 * i + 1], weight = each / (br * br + bi * bi);
                    float a = pr[i], b = pi[i];
                    pr[i] = (a * br + b * bi) * weight;
                    pi[i] = (b * br - a * bi) * weight;
                }
                for (int i = 0; i < s.num_pairs; i++) {
                    float *at = out + static_cast<size_t>(i) * 2 * rows;
                    at[0] += pr[2 * i] + pr[2 * i + 1];
                    at[rows] += pi[2 * i] + pi[2 * i + 1];
                }
            }
        }
    double energy = 0, re = 0, im = 0;
    size_t all = static_cast<size_t>(s.num_layers) * s.num_pairs * 2 * rows;
    for (size_t start = 0; start < all; start += 4096) {
        float part = 0;
        for (size_t i = start; i < all && i < start + 4096; i++) part += pairs_[i] * pairs_[i];
        energy += part;
    }
    for (size_t i = 0; i < static_cast<size_t>(s.num_layers) * s.num_pairs; i++) {
        const float *a = pairs_ + i * 2 * rows, *b = a + rows;
        for (int r = 0; r < s.num_rx; r++)
            for (int g = 0; g + 1 < s.num_groups; g++) {
                int k = r * s.num_groups + g;
                re += a[k + 1] * a[k] + b[k + 1] * b[k];
                im += b[k + 1] * a[k] - a[k + 1] * b[k];
            }
    }
    *cfo_re = re;
    *cfo_im = im;
    *seen = energy / (static_cast<double>(s.num_layers) * s.num_pairs * rows);
    size_t of_layer = static_cast<size_t>(s.num_dmrs_symbols) * n;
    for (int layer = 0; layer < s.num_layers; layer++) {
        double total = 0;
        const float *sent = grid.dmrs + 2 * layer * of_layer;
        for (size_t i = 0; i < of_layer; i++) total += 1 / (sent[2 * i] * sent[2 * i] + sent[2 * i + 1] * sent[2 * i + 1]);
        pair_var[layer] = total / of_layer / (2 * s.num_adjacent);
    }
}

void Lmmse::prepare(const Grid &grid, Estimate &out, Threads &) {
    const Layout &s = *layout_;
    const int rows = s.num_rx * s.num_groups, modes = num_time_modes_;
    double seen, pair_var[MAX_LAYERS], cfo_re, cfo_im, mean_var = 0;
    estimate_pairs(grid, &seen, pair_var, &cfo_re, &cfo_im);
    for (int layer = 0; layer < s.num_layers; layer++) mean_var += pair_var[layer] / s.num_layers;
    double noise = grid.noise_var * mean_var;
    double power = std::fmax(s.power_margin * (seen - noise), s.least_power * noise);
    power_ = static_cast<float>(power);
    for (int layer = 0; layer < s.num_layers; layer++) {
        const Axis &axis = axes_[s.comb_of[layer]];
        const float *pairs = pairs_ + static_cast<size_t>(layer) * s.num_pairs * 2 * rows;
        const int stride = padded(axis.num_modes), imag = rows * stride;
        for (int p = 0; p < axis.num_modes; p += LANES)
            panel_rows(pairs, 2 * rows, rows, rows, axis.analysis + static_cast<size_t>(p) * 2 * s.num_pairs, nullptr,
                       s.num_pairs, at_modes_ + p, stride, imag);
        float relative = static_cast<float>(grid.noise_var * pair_var[layer] / power);
        float *filtered = filtered_ + static_cast<size_t>(layer) * most_modes_ * (2 * rows + MAX_GROUPS);
        const int step = 2 * s.num_rx * modes + modes;
        for (int f = 0; f < axis.num_modes; f++) {
            float *at = filtered + static_cast<size_t>(f) * step;
            for (int t = 0; t < modes; t++) {
                float gain = 1 / (time_eigenvalues_[t] * axis.eigenvalues[f] + relative);
                at[2 * s.num_rx * modes + t] = gain * power_;
                for (int r = 0; r < s.num_rx; r++) {
                    float re = 0, im = 0;
                    for (int g = 0; g < s.num_groups; g++) {
                        const float *from = at_modes_ + static_cast<size_t>(r * s.num_groups + g) * stride + f;
                        re += time_analysis_[t * s.num_groups + g] * from[0];
                        im += time_analysis_[t * s.num_groups + g] * from[imag];
                    }
                    at[r * modes + t] = re * gain;
                    at[s.num_rx * modes + r * modes + t] = im * gain;
                }
            }
        }
    }
    OverTime &time = out.over_time;
    time.num_modes = time.num_error_modes = modes;
    time.is_real = true;
    for (int layer = 0; layer < s.num_layers; layer++) {
        time.error_offset[layer] = power_;
        for (int t = 0; t < s.num_symbols; t++)
            for (int m = 0; m < modes; m++) {
                float w = time_synthesis_[t * modes + m];
                time.modes[layer][t][m][0] = w;
                time.modes[layer][t][m][1] = 0;
                time.error[layer][t][m] = -w * w;
            }
    }
    out.noise_var = grid.noise_var;
    out.timing_s = mean_delay(s, grid, scratch_).symbols / s.subcarrier_spacing_hz;
    out.cfo_hz = NAN;
    if (s.num_groups > 1) {
        const int size = s.num_adjacent;
        double apart = (s.symbol_times[s.dmrs_symbols[size]] - s.symbol_times[s.dmrs_symbols[0]]);
        out.cfo_hz = std::atan2(cfo_im, cfo_re) / (2 * M_PI * apart);
    }
}

Block Lmmse::block(int index) const {
    int first = index * BLOCK, rest = layout_->num_subcarriers - first;
    int own = rest < BLOCK ? rest : BLOCK;
    return {first, 0, own, 0, first / LANES, padded(own)};
}

namespace {

// As `panel_product` for rows of both signs of one panel, and beside them the sums over k of weights[k][t] |b[k]|^2.
template <int ROWS, int MODES>
void panel_with_power(const float *a, int step, int imag, int weights, const float *panel, int k, float *out,
                      float *power) {
    vf re[ROWS], im[ROWS], explained[MODES];
    for (int r = 0; r < ROWS; r++) re[r] = im[r] = vf{};
    for (int t = 0; t < MODES; t++) explained[t] = vf{};
    for (int i = 0; i < k; i++, a += step, panel += 2 * LANES) {
        vf br = load(panel), bi = load(panel + LANES), square = br * br + bi * bi;
        for (int r = 0; r < ROWS; r++) {
            float ar = a[r], ai = a[imag + r];
            re[r] += ar * br;
            im[r] += ar * bi;
            re[r] -= ai * bi;
            im[r] += ai * br;
        }
        for (int t = 0; t < MODES; t++) explained[t] += a[weights + t] * square;
    }
    for (int r = 0; r < ROWS; r++) {
        store(out + r * 2 * BLOCK, re[r]);
        store(out + r * 2 * BLOCK + BLOCK, im[r]);
    }
    for (int t = 0; t < MODES; t++) store(power + t * BLOCK, explained[t]);
}

template <int ROWS>
void panel_with(int modes, const float *a, int step, int imag, int weights, const float *panel, int k, float *out,
                float *power) {
    switch (modes) {
        case 0: return panel_with_power<ROWS, 0>(a, step, imag, weights, panel, k, out, power);
        case 1: return panel_with_power<ROWS, 1>(a, step, imag, weights, panel, k, out, power);
        case 2: return panel_with_power<ROWS, 2>(a, step, imag, weights, panel, k, out, power);
        case 3: return panel_with_power<ROWS, 3>(a, step, imag, weights, panel, k, out, power);
        default: return panel_with_power<ROWS, 4>(a, step, imag, weights, panel, k, out, power);
    }
}

}  // namespace

void Lmmse::channel(const Block &block, BlockChannel &out) const {
    const Layout &s = *layout_;
    const int modes = num_time_modes_, rows = s.num_rx * modes, step = 2 * rows + modes;
    const size_t per_layer = static_cast<size_t>(most_modes_) * (2 * s.num_rx * s.num_groups + MAX_GROUPS);
    for (int layer = 0; layer < s.num_layers; layer++) {
        const Axis &axis = axes_[s.comb_of[layer]];
        const float *filtered = filtered_ + layer * per_layer;
        for (int column = 0; column < block.columns; column += LANES) {
            const float *panel =
                axis.synthesis + static_cast<size_t>(block.panel + column / LANES) * 2 * LANES * axis.num_modes;
            float *to = &out.modes[layer][0][0][column], *power = &out.error[layer][0][column];
            // the first rows bring the powers along
            for (int r = 0; r < rows; r += ROWS_AT_ONCE) {
                int with = r ? 0 : modes;
                const float *a = filtered + r;
                float *at = to + r * 2 * BLOCK;
                const int weights = 2 * rows - r, k = axis.num_modes;
                switch (rows - r) {
                    case 1: panel_with<1>(with, a, step, rows, weights, panel, k, at, power); break;
                    case 2: panel_with<2>(with, a, step, rows, weights, panel, k, at, power); break;
                    case 3: panel_with<3>(with, a, step, rows, weights, panel, k, at, power); break;
#if defined(__AVX512F__)
                    case 4: panel_with<4>(with, a, step, rows, weights, panel, k, at, power); break;
                    case 5: panel_with<5>(with, a, step, rows, weights, panel, k, at, power); break;
                    case 6: panel_with<6>(with, a, step, rows, weights, panel, k, at, power); break;
                    case 7: panel_with<7>(with, a, step, rows, weights, panel, k, at, power); break;
#endif
                    default: panel_with<ROWS_AT_ONCE>(with, a, step, rows, weights, panel, k, at, power);
                }
            }
        }
    }
}

}  // namespace ran6g
