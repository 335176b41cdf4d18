// What a soft-pilot receiver shows its networks: `_features` of receivers/neural/soft_pilots.py.
#include "equalise.h"
#include "soft_pilots.h"

namespace ran6g {
namespace {

constexpr float LARGEST_FEATURE = 10;
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
    double angle = std::atan2(sums[2], sums[1]);
    // half a turn may be either: as in receivers/neural/soft_pilots.py, so that rounding does not choose
    if (angle > M_PI - 0.05) angle -= 2 * M_PI;
    angle /= size;
    const double middle = 0.5 * (s.num_subcarriers - 1);
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

}  // namespace ran6g
