#include "soft_pilots.h"

#include "equalise.h"

namespace ran6g {
namespace {

constexpr float LARGEST_FEATURE = 10, LARGEST_CORRECTION = 6, LARGEST_LOG_ERROR = 4, LARGEST_LOG_SCALE = 2;
// Of receivers/neural/shown_range.py: the least power of a channel beside the noise, and what is added to error variances
// of slots stronger than those of the training.
constexpr float LEAST_POWER = 1e-3f, ERROR_SHARE = 0.1f;
constexpr float LOG10_E = 0.43429448190325183f;

vf log10(vf x) { return LOG10_E * log(x); }
vf within(vf x, float most) { return max(min(x, splat(most)), splat(-most)); }

// Mean and variance of one axis of symbols at unit power, from the LLRs of its bits; as receivers/classical/qam.py.
template <int BITS> void soft_axis(const vf *llr, vf *mean, vf *variance) {
    constexpr int PER_AXIS = BITS / 2;
    const float scale = 1 / std::sqrt(2.0f * ((1 << BITS) - 1) / 3.0f);
    vf level = splat(1.0f), square = level, t = {};
    for (int j = PER_AXIS - 1; j >= 0; j--) {
        vf e = exp(-abs(llr[j])), size = (1.0f - e) / (1.0f + e);
        t = llr[j] < vf{} ? -size : size;
        if (j == 0) break;
        const float step = static_cast<float>(1 << (PER_AXIS - j));
        square = step * step - 2 * step * t * level + square;
        level = step - t * level;
    }
    vf of_axis = t * level;
    *mean = of_axis * scale;
    *variance = (square - of_axis * of_axis) * (scale * scale);
}

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

namespace {

// Sums over a symbol: power of the channel, and its product with itself one node further.
void power_sums(const float *re, const float *im, const float *valid, int size, int width, double *sums) {
    vf power = {}, pr = {}, pi = {};
    for (int i = 0; i < size; i++)
        for (int n = 0; n < width; n += LANES) {
            const float *a = re + i * width + n, *b = im + i * width + n;
            // the last node has none after it: its product is with zeros
            vf x = load(a), y = load(b), u = load(a + 1) * load(valid + n), v = load(b + 1) * load(valid + n);
            power += x * x + y * y;
            pr += u * x + v * y;
            pi += v * x - u * y;
        }
    sums[0] += sum(power);
    sums[1] += sum(pr);
    sums[2] += sum(pi);
}

}  // namespace

// Mean delay, powers and smoothness of the channel as it is known now: what is the same for all nodes of a pass.
void SoftPilots::look_at_levels() {
    const Layout &s = *layout_;
    const int length = static_cast<int>(of_symbol_), width = shape_.width, size = node_subcarriers_;
    double sums[3] = {}, last_first[2] = {}, of_first = 0, of_last = 0;
    for (int r = 0; r < s.num_rx; r++) {
        for (int t = 0; t < s.num_symbols; t++) {
            const float *h = plane(h_, 2 * (r * s.num_symbols + t));
            double before = sums[0];
            power_sums(h, h + length, valid_, size, width, sums);
            of_first += t == 0 ? sums[0] - before : 0;
            of_last += t == s.num_symbols - 1 ? sums[0] - before : 0;
        }
        const float *a = plane(h_, 2 * r * s.num_symbols), *b = plane(h_, 2 * ((r + 1) * s.num_symbols - 1));
        vf re = {}, im = {};
        for (int k = 0; k < length; k += LANES) {
            vf ar = load(a + k), ai = load(a + length + k), br = load(b + k), bi = load(b + length + k);
            re += br * ar + bi * ai;
            im += bi * ar - br * ai;
        }
        last_first[0] += sum(re);
        last_first[1] += sum(im);
    }
    const double tiny = 1.1754943508222875e-38;
    const double each = static_cast<double>(s.num_rx) * s.num_subcarriers, all = each * s.num_symbols;
    const double pairs = static_cast<double>(s.num_rx) * s.num_symbols * (s.num_subcarriers - size);
    const double power = sums[0] / all, neighbours = std::hypot(sums[1], sums[2]);
    const double over_f = pairs > 0 ? neighbours / pairs / std::fmax(power, tiny) : 0;
    const double over_t = std::hypot(last_first[0], last_first[1]) / std::fmax(std::sqrt(of_first * of_last), tiny);
    smooth_f_ = static_cast<float>(std::log10(std::fmax(1 - over_f, 0) + 1e-4));
    smooth_t_ = static_cast<float>(std::log10(std::fmax(1 - over_t, 0) + 1e-4));
    shown_noise_ = std::fmax(noise_, least_noise_ * static_cast<float>(power));
    shown_power_ = std::fmax(static_cast<float>(power), LEAST_POWER * noise_);
    added_error_ = ERROR_SHARE * (shown_noise_ - noise_);
    const double angle = std::atan2(sums[2], sums[1]) / size, middle = 0.5 * (s.num_subcarriers - 1);
    float *re = turn_, *im = turn_ + of_symbol_;
    double step_re[MAX_NODE_SUBCARRIERS], step_im[MAX_NODE_SUBCARRIERS];
    for (int i = 0; i < size; i++) {
        step_re[i] = std::cos(angle * i);
        step_im[i] = std::sin(angle * i);
    }
    for (int n = 0; n < shape_.num_nodes; n++) {
        const double x = std::cos(angle * (n * size - middle)), y = std::sin(angle * (n * size - middle));
        for (int i = 0; i < size; i++) {
            re[i * width + n] = static_cast<float>(x * step_re[i] - y * step_im[i]);
            im[i * width + n] = static_cast<float>(x * step_im[i] + y * step_re[i]);
        }
    }
}

// Features of one row of nodes: soft symbols from the channel as it is known now, and what they say of it.
template <int BITS, int RX> void SoftPilots::observe(int row) {
    const Layout &s = *layout_;
    const int width = shape_.width, size = node_subcarriers_, length = static_cast<int>(of_symbol_);
    const int rx = RX ? RX : s.num_rx;
    constexpr int MOST = RX ? RX : MAX_RX_ANT;
    const float amplitude = s.layer_amplitude, amplitude_2 = amplitude * amplitude, noise_var = noise_;
    const float mean_square = 2.0f * ((1 << BITS) - 1) / 3.0f, unit = std::sqrt(mean_square);
    const float share = 1.0f / static_cast<float>(NODE_SYMBOLS * size), per_node = NODE_SYMBOLS * size / shown_noise_;
    const float root_power = 1 / std::sqrt(shown_power_), power = shown_power_;
    const float noise_to_power = std::log10(shown_noise_ / power + 1e-6f);
    const size_t of_antenna = 2 * of_symbol_ * s.num_symbols;
    for (int n = 0; n < width; n += LANES) {
        vf turned[MOST][2] = {}, matched[MOST][2] = {}, missed[MOST][2] = {};
        vf energy = {}, unknown = {}, known = {}, error = {};
        for (int i = 0; i < size; i++) {
            vf hh[MOST][2], mm[MOST][2], hm[MOST][2];
            for (int t = 0; t < NODE_SYMBOLS; t++) {
                const int symbol = NODE_SYMBOLS * row + t, at = i * width + n;
                const float *h = plane(h_, 2 * symbol) + at, *y = plane(y_, 2 * symbol) + at;
                vf own = {}, br = {}, bi = {};
                for (int r = 0; r < rx; r++) {
                    vf hr = load(h + r * of_antenna), hi = load(h + r * of_antenna + length);
                    vf yr = load(y + r * of_antenna), yi = load(y + r * of_antenna + length);
                    own += hr * hr + hi * hi;
                    br += hr * yr + hi * yi;
                    bi += hr * yi - hi * yr;
                }
                vf err = load(plane(error_, symbol) + at), xr, xi, rest, is_known;
                Sums<1> sums;
                Symbols<1> x;
                sums.own[0] = own * amplitude_2;
                sums.br[0] = br * amplitude;
                sums.bi[0] = bi * amplitude;
                sums.noise = noise_var + amplitude_2 * err;
                combine(sums, x);
                vf precision = 1.0f / (x.variance[0] * mean_square), bits[BITS / 2], var_r, var_i;
                if (has_scale_) precision *= load(plane(scale_, symbol) + at);
                demap_axis<BITS>(x.re[0] * unit, precision, bits);
                soft_axis<BITS>(bits, &xr, &var_r);
                demap_axis<BITS>(x.im[0] * unit, precision, bits);
                soft_axis<BITS>(bits, &xi, &var_i);
                vf variance = max(var_r + var_i, vf{});
                xr *= amplitude;
                xi *= amplitude;
                rest = variance * amplitude_2;
                is_known = 1.0f - min(variance, splat(1.0f));
                if (!all_data_[symbol]) {
                    vf data = load(plane(is_data_, symbol) + at), pilot = load(plane(is_pilot_, symbol) + at);
                    rest *= data;
                    is_known = is_known * data + pilot;
                    xr *= data;
                    xi *= data;
                    if (dmrs_of_[symbol] >= 0) {
                        const float *sent = plane(sent_, 2 * dmrs_of_[symbol]) + at;
                        xr += load(sent) * pilot;
                        xi += load(sent + length) * pilot;
                    }
                }
                energy += xr * xr + xi * xi;
                unknown += rest;
                known += is_known;
                error += err;
                for (int r = 0; r < rx; r++) {
                    vf hr = load(h + r * of_antenna), hi = load(h + r * of_antenna + length);
                    vf left_r = load(y + r * of_antenna) - (hr * xr - hi * xi);
                    vf left_i = load(y + r * of_antenna + length) - (hr * xi + hi * xr);
                    vf re = left_r * xr + left_i * xi, im = left_i * xr - left_r * xi;
                    mm[r][0] = t ? mm[r][0] + re : re;
                    mm[r][1] = t ? mm[r][1] + im : im;
                    hh[r][0] = t ? hh[r][0] + hr : hr;
                    hh[r][1] = t ? hh[r][1] + hi : hi;
                    hm[r][0] = t ? hm[r][0] + hr * rest : hr * rest;
                    hm[r][1] = t ? hm[r][1] + hi * rest : hi * rest;
                }
            }
            vf cr = load(turn_ + i * width + n), ci = load(turn_ + length + i * width + n);
            for (int r = 0; r < rx; r++) {
                turned[r][0] += hh[r][0] * cr + hh[r][1] * ci;
                turned[r][1] += hh[r][1] * cr - hh[r][0] * ci;
                matched[r][0] += mm[r][0] * cr + mm[r][1] * ci;
                matched[r][1] += mm[r][1] * cr - mm[r][0] * ci;
                missed[r][0] += hm[r][0] * cr + hm[r][1] * ci;
                missed[r][1] += hm[r][1] * cr - hm[r][0] * ci;
            }
        }
        const vf valid = load(valid_ + n);
        energy *= share;
        vf expected = energy + unknown * share, err = error * share + added_error_;
        vf gain = per_node * sqrt(err) * share;
        vf plain = gain / (1.0f + per_node * energy * err), slope = gain / (1.0f + per_node * expected * err);
        for (int r = 0; r < rx; r++)
            for (int part = 0; part < 2; part++) {
                float *out = activations_.own[r].at(row, part) + n;
                const size_t two = 2 * static_cast<size_t>(shape_.stride());
                store(out, within(turned[r][part] * (share * root_power), LARGEST_FEATURE) * valid);
                store(out + two, within(matched[r][part] * plain, LARGEST_FEATURE) * valid);
                store(out + 2 * two, within((matched[r][part] - missed[r][part]) * slope, LARGEST_FEATURE) * valid);
            }
        const vf shared[SHARED_FEATURES] = {log10(per_node * expected * err + 1e-3f),
                                            known * share,
                                            load(at_pilots_ + static_cast<size_t>(row) * width + n),
                                            log10(err * (1 / power) + 1e-6f),
                                            splat(noise_to_power),
                                            vf{},  // power of other layers: there is one
                                            splat(times_[row]),
                                            splat(smooth_f_),
                                            splat(smooth_t_)};
        for (int f = 0; f < SHARED_FEATURES; f++)
            store(activations_.shared.at(row, f) + n, within(shared[f], LARGEST_FEATURE) * valid);
    }
}

template <int BITS> void SoftPilots::observe_bits(int row) {
    // as many antennas as receivers mostly have, and any number of them
    switch (layout_->num_rx) {
        case 1: return observe<BITS, 1>(row);
        case 2: return observe<BITS, 2>(row);
        case 4: return observe<BITS, 4>(row);
        default: return observe<BITS, 0>(row);
    }
}

void SoftPilots::observe_row(void *self, int row, int) {
    SoftPilots &p = *static_cast<SoftPilots *>(self);
    switch (p.layout_->bits) {
        case 2: return p.observe_bits<2>(row);
        case 4: return p.observe_bits<4>(row);
        case 6: return p.observe_bits<6>(row);
        default: return p.observe_bits<8>(row);
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
