#include "soft_pilots.h"

#include "equalise.h"

namespace ran6g {
namespace {

constexpr float LARGEST_CORRECTION = 6, LARGEST_LOG_ERROR = 4, LARGEST_LOG_SCALE = 2;

vf within(vf x, float most) { return max(min(x, splat(most)), splat(-most)); }

}  // namespace

void SoftPilots::take_pilots(const Grid &grid) {
    const Layout &s = *layout_;
    const int n = s.num_pilots;
    for (int d = 0; d < s.num_dmrs_symbols; d++) {
        const float *sent = grid.dmrs + 2 * static_cast<size_t>(d) * n;
        float *re = sent_ + 2 * d * of_symbol_, *im = re + of_symbol_;
        for (int i = 0; i < n; i++) {
            int at = order_[s.pilot_subcarriers[0][i]];
            re[at] = sent[2 * i];
            im[at] = sent[2 * i + 1];
        }
    }
}

// A block of the estimate of `blind` in the order of nodes.
void SoftPilots::spread_block(void *self, int index, int thread) {
    SoftPilots &p = *static_cast<SoftPilots *>(self);
    const Layout &s = *p.layout_;
    Block block = p.blind_.block(index);
    BlockChannel &channel = p.work_[thread].channel;
    p.blind_.channel(block, channel);
    const int32_t *order = p.order_ + block.first;
    for (int m = 0; m < s.num_rx * s.num_groups; m++) {
        float *re = p.plane(p.modes_, 2 * m), *im = p.plane(p.modes_, 2 * m + 1);
        for (int k = block.low; k < block.high; k++) {
            re[order[k]] = channel.modes[0][m][0][k];
            im[order[k]] = channel.modes[0][m][1][k];
        }
    }
    for (int e = 0; e < p.estimate_->over_time.num_error_modes; e++) {
        float *out = p.plane(p.errors_, e);
        for (int k = block.low; k < block.high; k++) out[order[k]] = channel.error[0][e][k];
    }
}

// The received grid of a symbol, the first estimate of its channel, and the power of that.
void SoftPilots::expand_symbol(void *self, int symbol, int thread) {
    SoftPilots &p = *static_cast<SoftPilots *>(self);
    const Layout &s = *p.layout_;
    const OverTime &time = p.estimate_->over_time;
    const int length = static_cast<int>(p.of_symbol_), groups = time.num_modes;
    const size_t of_thread = 3 * p.of_symbol_ + 2 * padded(s.num_subcarriers);
    float *row_r = p.equalised_ + thread * of_thread + 3 * p.of_symbol_, *row_i = row_r + padded(s.num_subcarriers);
    for (int r = 0; r < s.num_rx; r++) {
        const int at = 2 * (r * s.num_symbols + symbol);
        float *yr = p.plane(p.y_, at), *yi = yr + length, *hr = p.plane(p.h_, at), *hi = hr + length;
        read_row(*p.grid_, r, symbol, 0, s.num_subcarriers, row_r, row_i);
        for (int k = 0; k < s.num_subcarriers; k++) {
            yr[p.order_[k]] = row_r[k];
            yi[p.order_[k]] = row_i[k];
        }
        for (int k = 0; k < length; k += LANES) {
            vf re = {}, im = {};
            for (int g = 0; g < groups; g++) {
                const float *mode = p.plane(p.modes_, 2 * (r * groups + g)) + k, *w = time.modes[0][symbol][g];
                vf mr = load(mode), mi = load(mode + length);
                re += w[0] * mr - w[1] * mi;
                im += w[0] * mi + w[1] * mr;
            }
            store(hr + k, re);
            store(hi + k, im);
        }
    }
    float *error = p.plane(p.error_, symbol);
    for (int k = 0; k < length; k += LANES) {
        vf total = splat(time.error_offset[0]);
        for (int e = 0; e < time.num_error_modes; e++)
            total += time.error[0][symbol][e] * load(p.plane(p.errors_, e) + k);
        // nodes beyond the band stay without a channel
        store(error + k, max(total, vf{}) * load(p.valid_ + k % p.shape_.width));
    }
}

void SoftPilots::network_row(void *self, int row, int thread) {
    SoftPilots &p = *static_cast<SoftPilots *>(self);
    p.passes_[p.pass_].run(p.stage_, row, p.shape_, p.activations_, p.scratch_[thread]);
}

// The outputs of the network put on the channel, its error and the factor on the LLRs of a symbol.
void SoftPilots::correct_symbol(void *self, int symbol, int thread) {
    SoftPilots &p = *static_cast<SoftPilots *>(self);
    const Layout &s = *p.layout_;
    const int width = p.shape_.width, nodes = p.shape_.num_nodes, size = p.node_subcarriers_, rx = s.num_rx;
    const int length = static_cast<int>(p.of_symbol_), row = symbol / NODE_SYMBOLS;
    const int aside = symbol % NODE_SYMBOLS ? (row + 1 < p.shape_.num_rows ? row + 1 : row) : (row ? row - 1 : row);
    const size_t step = static_cast<size_t>(width) + 2 * ROW, of_row = static_cast<size_t>(NUM_OUTPUTS) * width;
    float *between = p.between_ + thread * (2 * rx + 2) * step + ROW;
    // over time, at the nodes: parts of the corrections of all antennas, then what they have in common
    for (int n = 0; n < width; n += LANES) {
        vf common[2] = {};
        for (int r = 0; r < rx; r++)
            for (int o = 0; o < NUM_OUTPUTS; o++) {
                const float *out = p.activations_.out + r * p.shape_.num_rows * of_row + o * width + n;
                vf x = 0.75f * within(load(out + row * of_row), LARGEST_CORRECTION) +
                       0.25f * within(load(out + aside * of_row), LARGEST_CORRECTION);
                if (o < 2)
                    store(between + (2 * r + o) * step + n, x);
                else
                    common[o - 2] += x;
            }
        for (int o = 0; o < 2; o++) store(between + (2 * rx + o) * step + n, common[o] * (1.0f / static_cast<float>(rx)));
    }
    for (int q = 0; q < 2 * rx + 2; q++) {
        float *edge = between + q * step;
        edge[-1] = edge[0];
        edge[nodes] = edge[nodes - 1];
    }
    float *error = p.plane(p.error_, symbol), *scale = p.plane(p.scale_, symbol);
    for (int i = 0; i < size; i++) {
        // over the subcarriers, between the middles of nodes
        const float place = (i + 0.5f) / static_cast<float>(size) - 0.5f, far = std::fabs(place), near = 1 - far;
        const int next = place < 0 ? -1 : 1;
        for (int n = 0; n < width; n += LANES) {
            const int at = i * width + n;
            auto value = [&](int q) {
                const float *x = between + q * step + n;
                return near * load(x) + far * load(x + next);
            };
            vf err = load(error + at), deviation = sqrt(err);
            vf cr = load(p.turn_ + at) * deviation, ci = load(p.turn_ + length + at) * deviation;
            for (int r = 0; r < rx; r++) {
                float *h = p.plane(p.h_, 2 * (r * s.num_symbols + symbol)) + at;
                vf re = value(2 * r), im = value(2 * r + 1);
                store(h, load(h) + (re * cr - im * ci));
                store(h + length, load(h + length) + (re * ci + im * cr));
            }
            store(error + at, err * exp(within(value(2 * rx), LARGEST_LOG_ERROR)));
            store(scale + at, exp(within(value(2 * rx + 1), LARGEST_LOG_SCALE)));
        }
    }
}

// Symbols of the last channel in the order of subcarriers; their noise such that LLRs carry the network's factor.
void SoftPilots::equalise_symbol(void *self, int symbol, int thread) {
    SoftPilots &p = *static_cast<SoftPilots *>(self);
    const Layout &s = *p.layout_;
    const int length = static_cast<int>(p.of_symbol_), row = padded(s.num_subcarriers);
    const float amplitude = s.layer_amplitude;
    float *found = p.equalised_ + thread * (3 * p.of_symbol_ + 2 * row);
    for (int k = 0; k < length; k += LANES) {
        Sums<1> sums = {};
        Symbols<1> x;
        for (int r = 0; r < s.num_rx; r++) {
            const int at = 2 * (r * s.num_symbols + symbol);
            const float *h = p.plane(p.h_, at) + k, *y = p.plane(p.y_, at) + k;
            vf hr = load(h) * amplitude, hi = load(h + length) * amplitude, yr = load(y), yi = load(y + length);
            sums.own[0] += hr * hr + hi * hi;
            sums.br[0] += hr * yr + hi * yi;
            sums.bi[0] += hr * yi - hi * yr;
        }
        sums.noise = p.noise_ + amplitude * amplitude * load(p.plane(p.error_, symbol) + k);
        combine(sums, x);
        store(found + k, x.re[0]);
        store(found + length + k, x.im[0]);
        store(found + 2 * length + k, p.has_scale_ ? x.variance[0] / load(p.plane(p.scale_, symbol) + k) : x.variance[0]);
    }
    float *out = p.symbols_ + 3 * static_cast<size_t>(symbol) * row;
    for (int k = 0; k < s.num_subcarriers; k++)
        for (int part = 0; part < 3; part++) out[part * row + k] = found[part * length + p.order_[k]];
}

void SoftPilots::refine(const Grid &grid, const Estimate &estimate, bool detects, Threads &threads) {
    const Layout &s = *layout_;
    grid_ = &grid;
    estimate_ = &estimate;
    noise_ = estimate.noise_var;
    has_scale_ = false;
    take_pilots(grid);
    threads.share(spread_block, this, blind_.num_blocks());
    threads.share(expand_symbol, this, s.num_symbols);
    for (pass_ = 0; is_known_ && pass_ < num_passes_; pass_++) {
        look_at_levels();
        threads.share(observe_row, this, shape_.num_rows);
        for (stage_ = 0; stage_ < num_stages_; stage_++) threads.share(network_row, this, shape_.num_rows);
        threads.share(correct_symbol, this, s.num_symbols);
        has_scale_ = true;
    }
    if (detects) threads.share(equalise_symbol, this, s.num_symbols);
}

void SoftPilots::detect(const Block &block, const DataRow *rows, const Wanted &wanted, Work &work) const {
    const Layout &s = *layout_;
    const size_t length = padded(s.num_subcarriers);
    for (int symbol = 0; symbol < s.num_symbols; symbol++) {
        if (rows[symbol].count == 0) continue;
        for (int part = 0; part < 3; part++)
            std::memcpy(work.symbols[0][part], symbols_ + (3 * static_cast<size_t>(symbol) + part) * length + block.first,
                        sizeof(float) * block.columns);
        write_detected(s, block, rows[symbol], wanted, work);
    }
}

void SoftPilots::write(const Grid &grid, const Block &block, const Wanted &wanted) const {
    const Layout &s = *layout_;
    const float back = 1 / grid.factor;
    const int32_t *order = order_ + block.first;
    for (int symbol = 0; symbol < s.num_symbols; symbol++) {
        for (int r = 0; wanted.channel && r < s.num_rx; r++) {
            const float *h = plane(h_, 2 * (r * s.num_symbols + symbol));
            const size_t row = static_cast<size_t>(r) * s.num_symbols + symbol;
            float *out = wanted.channel + 2 * (row * s.num_subcarriers + block.first);
            for (int k = block.low; k < block.high; k++) {
                out[2 * k] = h[order[k]] * back;
                out[2 * k + 1] = h[of_symbol_ + order[k]] * back;
            }
        }
        if (!wanted.error_var) continue;
        float *out = wanted.error_var + static_cast<size_t>(symbol) * s.num_subcarriers + block.first;
        for (int k = block.low; k < block.high; k++) out[k] = plane(error_, symbol)[order[k]] * back * back;
    }
}

}  // namespace ran6g
