#include "detect.h"

#include "equalise.h"
#include "soft_bits.h"

namespace ran6g {
namespace {

// Noise of the data REs of a symbol, the error of all layers' channels counted as white noise.
void noise_row(const Layout &s, const Estimate &estimate, const BlockChannel &channel, int columns, int symbol,
               float *noise) {
    const OverTime &time = estimate.over_time;
    const float power = s.layer_amplitude * s.layer_amplitude;
    for (int k = 0; k < columns; k += LANES) {
        vf total = {};
        for (int layer = 0; layer < s.num_layers; layer++) {
            vf error = splat(time.error_offset[layer]);
            for (int m = 0; m < time.num_error_modes; m++)
                error += time.error[layer][symbol][m] * load(&channel.error[layer][m][k]);
            total += max(error, vf{});
        }
        store(noise + k, estimate.noise_var + power * total);
    }
}

template <int L, bool REAL>
inline void gather(const Layout &s, const OverTime &time, const Work &work, int symbol, int k, Sums<L> &sums) {
    vf own[L], re[L][L], im[L][L], br[L], bi[L];
    for (int i = 0; i < L; i++) {
        own[i] = br[i] = bi[i] = vf{};
        for (int j = 0; j < i; j++) re[i][j] = im[i][j] = vf{};
    }
    const int modes = time.num_modes;
    const float amplitude = s.layer_amplitude;
    for (int r = 0; r < s.num_rx; r++) {
        vf yr = load(&work.received[r][0][k]), yi = load(&work.received[r][1][k]), hr[L], hi[L];
        for (int i = 0; i < L; i++) {
            hr[i] = hi[i] = vf{};
            for (int m = 0; m < modes; m++) {
                const float *mode = &work.channel.modes[i][r * modes + m][0][k];
                const float *w = time.modes[i][symbol][m];
                vf mr = load(mode), mi = load(mode + BLOCK);
                float wr = amplitude * w[0];
                hr[i] += wr * mr;
                hi[i] += wr * mi;
                if (!REAL) {
                    float wi = amplitude * w[1];
                    hr[i] -= wi * mi;
                    hi[i] += wi * mr;
                }
            }
            own[i] += hr[i] * hr[i] + hi[i] * hi[i];
            br[i] += hr[i] * yr + hi[i] * yi;
            bi[i] += hr[i] * yi - hi[i] * yr;
            for (int j = 0; j < i; j++) {
                re[i][j] += hr[i] * hr[j] + hi[i] * hi[j];
                im[i][j] += hr[i] * hi[j] - hi[i] * hr[j];
            }
        }
    }
    for (int i = 0; i < L; i++) {
        sums.own[i] = own[i];
        sums.br[i] = br[i];
        sums.bi[i] = bi[i];
        for (int j = 0; j < i; j++) {
            sums.re[i][j] = re[i][j];
            sums.im[i][j] = im[i][j];
        }
    }
    sums.noise = load(work.noise + k);
}

template <int L, bool REAL>
void equalise_row(const Layout &s, const OverTime &time, Work &work, int symbol, int columns) {
    for (int k = 0; k < columns; k += LANES) {
        Sums<L> sums;
        Symbols<L> x;
        gather<L, REAL>(s, time, work, symbol, k, sums);
        if constexpr (L == 1) {
            combine(sums, x);
        } else {
            if (s.detector == Detector::ep)
                expectation_propagation<L>(sums, 1 << (s.bits / 2), x);
            else
                lmmse<L>(sums, x);
        }
        for (int i = 0; i < L; i++) {
            store(&work.symbols[i][0][k], x.re[i]);
            store(&work.symbols[i][1][k], x.im[i]);
            store(&work.symbols[i][2][k], x.variance[i]);
        }
    }
}

// Sum of the SINRs of columns low to high, or of those among them with data.
double sinr_sum(const float *variance, int low, int high, const int32_t *mask) {
    float total = 0;
    if (mask) {
        for (int k = low; k < high; k++) total += mask[k] ? 1 / variance[k] : 0.0f;
        return total;
    }
    int k = low;
    vf sums = {};
    for (; k < high && k % LANES; k++) total += 1 / variance[k];
    for (; k + LANES <= high; k += LANES) sums += 1.0f / load(variance + k);
    for (; k < high; k++) total += 1 / variance[k];
    return total + sum(sums);
}

void write_symbols(const Work &work, int num_layers, int low, int high, const DataRow &row, int first,
                   const Wanted &wanted) {
    for (int i = 0; i < num_layers; i++) {
        const float *re = work.symbols[i][0], *im = work.symbols[i][1], *variance = work.symbols[i][2];
        for (int k = low; k < high; k++) {
            if (row.before && !row.mask[first + k]) continue;
            size_t at = row.start + (row.before ? row.before[first + k] : first + k);
            at = at * num_layers + i;
            if (wanted.symbols) {
                wanted.symbols[2 * at] = re[k];
                wanted.symbols[2 * at + 1] = im[k];
            }
            if (wanted.symbol_noise) wanted.symbol_noise[at] = variance[k];
        }
    }
}

// Soft bits of one layer in one symbol.
template <int BITS>
void soft_bits_row(const Layout &s, const Block &block, const DataRow &row, int layer, const Wanted &wanted, Work &work) {
    const float mean_square = 2.0f * ((1 << BITS) - 1) / 3.0f, unit = std::sqrt(mean_square);
    for (int k = 0; k < block.columns; k += LANES) {
        vf precision = 1.0f / (load(&work.symbols[layer][2][k]) * mean_square), bits[4];
        for (int axis = 0; axis < 2; axis++) {
            demap_axis<BITS>(load(&work.symbols[layer][axis][k]) * unit, precision, bits);
            for (int b = 0; b < BITS / 2; b++) store(&work.llr[2 * b + axis][k], bits[b]);
        }
    }
    SoftBits<BITS>::write(work.llr, work.codes, block, row, s.num_layers, layer, wanted.llr_format, wanted.llr_scale,
                          wanted.llr_max, wanted.llr);
}

}  // namespace

void write_detected(const Layout &s, const Block &block, const DataRow &row, const Wanted &wanted, Work &work) {
    const int32_t *mask = row.before ? row.mask + block.first : nullptr;
    const int num_layers = s.num_layers;
    for (int i = 0; i < num_layers; i++)
        work.sums.of_layer[i] += sinr_sum(work.symbols[i][2], block.low, block.high, mask);
    if (wanted.symbols || wanted.symbol_noise)
        write_symbols(work, num_layers, block.low, block.high, row, block.first, wanted);
    for (int i = 0; wanted.llr && i < num_layers; i++) switch (s.bits) {
            case 2: soft_bits_row<2>(s, block, row, i, wanted, work); break;
            case 4: soft_bits_row<4>(s, block, row, i, wanted, work); break;
            case 6: soft_bits_row<6>(s, block, row, i, wanted, work); break;
            default: soft_bits_row<8>(s, block, row, i, wanted, work);
        }
}

namespace {

template <int L>
void detect_symbols(const Layout &s, const Grid &grid, const Estimate &estimate, const Block &block,
                    const DataRow *rows, const Wanted &wanted, Work &work) {
    const OverTime &time = estimate.over_time;
    const int inside = s.num_subcarriers - block.first < block.columns ? s.num_subcarriers - block.first : block.columns;
    for (int symbol = 0; symbol < s.num_symbols; symbol++) {
        const DataRow &row = rows[symbol];
        if (row.count == 0) continue;
        for (int r = 0; r < s.num_rx; r++)
            read_row(grid, r, symbol, block.first, inside, work.received[r][0], work.received[r][1]);
        noise_row(s, estimate, work.channel, block.columns, symbol, work.noise);
        if (time.is_real)
            equalise_row<L, true>(s, time, work, symbol, block.columns);
        else
            equalise_row<L, false>(s, time, work, symbol, block.columns);
        write_detected(s, block, row, wanted, work);
    }
}

}  // namespace

void detect_block(const Layout &s, const Grid &grid, const Estimate &estimate, const Block &block,
                  const DataRow *rows, const Wanted &wanted, Work &work) {
    switch (s.num_layers) {
        case 1: return detect_symbols<1>(s, grid, estimate, block, rows, wanted, work);
        case 2: return detect_symbols<2>(s, grid, estimate, block, rows, wanted, work);
        case 3: return detect_symbols<3>(s, grid, estimate, block, rows, wanted, work);
        default: return detect_symbols<4>(s, grid, estimate, block, rows, wanted, work);
    }
}

void write_channel(const Layout &s, const Grid &grid, const Estimate &estimate, const Block &block,
                   const Wanted &wanted, Work &work) {
    const OverTime &time = estimate.over_time;
    const float back = 1 / grid.factor;
    const size_t per_symbol = s.num_subcarriers;
    for (int layer = 0; layer < s.num_layers; layer++)
        for (int symbol = 0; symbol < s.num_symbols; symbol++) {
            for (int r = 0; wanted.channel && r < s.num_rx; r++) {
                float *out = wanted.channel +
                             2 * (((static_cast<size_t>(r) * s.num_layers + layer) * s.num_symbols + symbol) * per_symbol +
                                  block.first);
                for (int k = block.low; k < block.high; k++) {
                    float re = 0, im = 0;
                    for (int m = 0; m < time.num_modes; m++) {
                        const float *w = time.modes[layer][symbol][m];
                        float a = work.channel.modes[layer][r * time.num_modes + m][0][k];
                        float b = work.channel.modes[layer][r * time.num_modes + m][1][k];
                        re += w[0] * a - w[1] * b;
                        im += w[0] * b + w[1] * a;
                    }
                    out[2 * k] = re * back;
                    out[2 * k + 1] = im * back;
                }
            }
            if (!wanted.error_var) continue;
            float *out = wanted.error_var + (static_cast<size_t>(layer) * s.num_symbols + symbol) * per_symbol + block.first;
            for (int k = block.low; k < block.high; k++) {
                float error = time.error_offset[layer];
                for (int m = 0; m < time.num_error_modes; m++)
                    error += time.error[layer][symbol][m] * work.channel.error[layer][m][k];
                out[k] = (error > 0 ? error : 0) * back * back;
            }
        }
}

}  // namespace ran6g
