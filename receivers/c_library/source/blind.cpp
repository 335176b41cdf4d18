#include "blind.h"

#include <algorithm>

#include "hermitian.h"
#include "pilots.h"
#include "symmetric.h"

namespace ran6g {
namespace {

// The constants of receivers/classical/delay_statistics.py, timing.py and blind_estimate.py.
constexpr double THRESHOLD = 4, NOISE_FLOOR = 1e-7, NOISE_OF_NOTHING = 1e-24, MIN_NOISE_SAMPLES = 4;
constexpr float LEAST_MODE = 1e-6f;
constexpr int LOBE = 5;
constexpr double EARLY = -1.0 / 64, LATE = 5.0 / 64, TARGET = 1.0 / 64, CERTAINTY = 5;

double energy_of(const float *row, int n) {
    vf total = {};
    for (int i = 0; i < n; i += LANES) total += load(row + i) * load(row + i);
    return sum(total);
}

// Sum over the lanes of one value of the transforms, each lane's energy times its weight.
float energy_of_lanes(const float *value, const float *weight) {
    vf total = {};
    for (int j = 0; j < ROW; j += LANES) {
        vf re = load(value + j), im = load(value + ROW + j);
        total += load(weight + j) * (re * re + im * im);
    }
    return sum(total);
}

}  // namespace

double Blind::empty_power(const Grid &grid) {
    const Layout &s = *layout_;
    double total = 0;
    int at = 0;
    while (at < num_empty_) {
        int symbol = empty_[at] / s.num_subcarriers, stop = at;
        while (stop < num_empty_ && empty_[stop] / s.num_subcarriers == symbol) stop++;
        for (int r = 0; r < s.num_rx; r++) {
            float *re = row_, *im = row_ + padded(s.num_subcarriers);
            read_row(grid, r, symbol, 0, s.num_subcarriers, re, im);
            float energy = 0;
            for (int i = at; i < stop; i++) {
                int k = empty_[i] - symbol * s.num_subcarriers;
                energy += re[k] * re[k] + im[k] * im[k];
            }
            total += energy;
        }
        at = stop;
    }
    return total;
}

// Pilots of a set with the DM-RS taken off, cut into subbands: lanes of the transforms are the snapshots, then the same
// snapshots under the taper.
void Blind::take_pilots(const Grid &grid, PilotSet &set) {
    const Layout &s = *layout_;
    const DelayTables &t = delays_;
    const int n = s.num_pilots, groups = padded(2 * snapshots_) / ROW;
    const size_t of_group = static_cast<size_t>(t.num_bins) * Fourier::VALUE;
    const int layer = set.layers[0];
    const float odd_sign = static_cast<float>(s.code_of[layer]);
    float *weight_r = scratch_, *weight_i = weight_r + padded(n), *zr = weight_i + padded(n), *zi = zr + padded(n);
    float *row_r = row_, *row_i = row_ + padded(s.num_subcarriers);
    const float share = 1 / std::sqrt(static_cast<float>(s.num_adjacent));
    // inputs of the transforms beyond the pilots are 0
    std::memset(set.spectrum, 0, sizeof(float) * groups * of_group);
    double amplitude = 0;
    const int32_t *where = s.pilot_subcarriers[set.comb];
    for (int d = 0; d < s.num_dmrs_symbols; d++) {
        const float *sent = grid.dmrs + 2 * (static_cast<size_t>(layer) * s.num_dmrs_symbols + d) * n;
        float level = 0;
        for (int i = 0; i < n; i++) {
            float re = sent[2 * i], im = sent[2 * i + 1], size = std::sqrt(re * re + im * im), weight = share / size;
            level += size;
            weight_r[i] = re * weight;
            weight_i[i] = -im * weight;
        }
        amplitude += level;
        for (int i = 1; odd_sign < 0 && i < n; i += 2) {
            weight_r[i] = -weight_r[i];
            weight_i[i] = -weight_i[i];
        }
        if (moved_) {
            const float *cr = turn_, *ci = turn_ + padded(s.num_subcarriers) + BLOCK;
            for (int i = 0; i < n; i++) {
                // back to where the window of delays is: the conjugate of what the channel gets in the end
                float c = cr[where[i]], e = -ci[where[i]], x = weight_r[i], y = weight_i[i];
                weight_r[i] = x * c - y * e;
                weight_i[i] = x * e + y * c;
            }
        }
        for (int r = 0; r < s.num_rx; r++) {
            read_row(grid, r, s.dmrs_symbols[d], 0, s.num_subcarriers, row_r, row_i);
            for (int i = 0; i < n; i++) {
                float re = row_r[where[i]], im = row_i[where[i]];
                zr[i] = re * weight_r[i] - im * weight_i[i];
                zi[i] = re * weight_i[i] + im * weight_r[i];
            }
            for (int b = 0; b < t.num_subbands; b++) {
                const int plain = (r * s.num_groups + d / s.num_adjacent) * t.num_subbands + b;
                const int tapered = snapshots_ + plain, first = t.starts[b] / 2;
                float *one = set.spectrum + plain / ROW * of_group + plain % ROW;
                float *two = set.spectrum + tapered / ROW * of_group + tapered % ROW;
                for (int i = 0; i < t.num_pilots; i++, one += Fourier::VALUE, two += Fourier::VALUE) {
                    // symbols of a group add up
                    float x = zr[first + i], y = zi[first + i];
                    one[0] += x;
                    one[ROW] += y;
                    two[0] += x * t.taper[i];
                    two[ROW] += y * t.taper[i];
                }
            }
        }
    }
    set.amplitude = static_cast<float>(amplitude / (static_cast<double>(s.num_dmrs_symbols) * n) *
                                       std::sqrt(static_cast<double>(s.num_adjacent)));
}

// One group of lanes of one set: energies, and the transform.
void Blind::transform_group(void *self, int item, int thread) {
    Blind &b = *static_cast<Blind *>(self);
    const DelayTables &t = b.delays_;
    const int groups = padded(2 * b.snapshots_) / ROW, g = item % groups;
    const size_t of_group = static_cast<size_t>(t.num_bins) * Fourier::VALUE;
    const float scale = 1.0f / (static_cast<float>(t.num_pilots) * static_cast<float>(b.snapshots_));
    // 1 for lanes of the kind that is summed
    alignas(64) float plain[ROW], tapered[ROW];
    for (int j = 0; j < ROW; j++) {
        int lane = g * ROW + j;
        plain[j] = lane < b.snapshots_ ? 1 : 0;
        tapered[j] = lane >= b.snapshots_ && lane < 2 * b.snapshots_ ? scale : 0;
    }
    float *x = b.sets_[item / groups].spectrum + g * of_group, *power = b.group_power_ + item * padded(t.num_bins);
    double energy = 0;
    for (int i = 0; i < t.num_pilots; i++) energy += energy_of_lanes(x + static_cast<size_t>(i) * Fourier::VALUE, plain);
    b.group_energy_[item] = energy;
    const float *result = b.fourier_(x, b.buffer_ + thread * of_group);
    if (result != x) std::memcpy(x, result, sizeof(float) * of_group);
    for (int i = 0; i < t.num_bins; i++)
        power[i] = energy_of_lanes(x + static_cast<size_t>(i) * Fourier::VALUE, tapered);
}

// Spectra of the pilots of all sets, their power and energy; threads share the groups of lanes.
void Blind::transform(Threads &threads) {
    const DelayTables &t = delays_;
    const int groups = padded(2 * snapshots_) / ROW;
    threads.share(transform_group, this, num_sets_ * groups);
    for (int c = 0; c < num_sets_; c++) {
        PilotSet &set = sets_[c];
        set.energy = 0;
        for (int i = 0; i < padded(t.num_bins); i++) set.power[i] = 0;
        for (int g = 0; g < groups; g++) {
            const float *power = group_power_ + static_cast<size_t>(c * groups + g) * padded(t.num_bins);
            for (int i = 0; i < t.num_bins; i++) set.power[i] += power[i];
            set.energy += group_energy_[c * groups + g];
        }
        set.total = set.energy / (static_cast<double>(snapshots_) * t.num_pilots);
    }
}

// From the delays that no layer can have, and the empty REs.
double Blind::first_noise(double empty_energy) {
    const DelayTables &t = delays_;
    double energy = empty_energy, weight = static_cast<double>(num_empty_) * layout_->num_rx, total = 0;
    float *used = scratch_;
    for (int c = 0; c < num_sets_; c++) {
        PilotSet &set = sets_[c];
        total += set.total / num_sets_;
        for (int i = 0; i < t.num_bins; i++) used[i] = 0;
        for (int l = 0; l < set.num_layers; l++) {
            int place = layout_->code_of[set.layers[l]] > 0 ? 0 : t.num_bins / 2;
            for (int i = -LOBE; i < t.num_window + LOBE; i++) {
                int bin = (t.first_bin + i + place) % t.num_bins;
                used[bin < 0 ? bin + t.num_bins : bin] = 1;
            }
        }
        int num_free = 0;
        double free_power = 0;
        for (int i = 0; i < t.num_bins; i++)
            if (used[i] == 0) {
                num_free++;
                free_power += set.power[i];
            }
        if (!num_free) continue;
        // the taper halves the number of independent values
        double share = 0.5 * snapshots_ * t.num_pilots * (static_cast<double>(num_free) / t.num_bins);
        energy += share * (free_power / num_free);
        weight += share;
    }
    double noise;
    if (weight >= MIN_NOISE_SAMPLES) {
        noise = energy / weight;
    } else {
        noise = 0.1 * total;
        if (t.quiet_share > 0) {
            double quiet = 0;
            for (int c = 0; c < num_sets_; c++) {
                std::memcpy(used, sets_[c].power, sizeof(float) * t.num_bins);
                int quarter = std::max(1, t.num_bins / 4);
                std::nth_element(used, used + quarter - 1, used + t.num_bins);
                double lowest = 0;
                for (int i = 0; i < quarter; i++) lowest += used[i];
                quiet += lowest / quarter / t.quiet_share / num_sets_;
            }
            noise = std::fmin(noise, quiet);
        }
    }
    return std::fmax(noise, NOISE_FLOOR * total + NOISE_OF_NOTHING);
}

// Bins that stand out of the noise, the same for the layers of a user.
void Blind::first_profile(double noise) {
    const Layout &s = *layout_;
    const DelayTables &t = delays_;
    const int width = padded(t.num_window);
    const int most = std::min(MAX_ACTIVE, t.num_window);
    for (int u = 0; u < num_users_; u++) {
        float *p = profile_ + static_cast<size_t>(u) * width;
        for (int i = 0; i < width; i++) p[i] = 0;
        for (int layer = 0; layer < s.num_layers; layer++) {
            if (s.user_of[layer] != users_[u]) continue;
            const float *power = sets_[set_of_[layer]].power;
            int place = s.code_of[layer] > 0 ? 0 : t.num_bins / 2;
            for (int i = 0; i < t.num_window; i++) {
                int bin = (t.first_bin + i + place) % t.num_bins;
                p[i] += power[bin < 0 ? bin + t.num_bins : bin];
            }
        }
        const int layers = layers_of_user_[u];
        const float limit = static_cast<float>(THRESHOLD * noise / std::sqrt(static_cast<double>(layers) * snapshots_));
        float largest = -INFINITY, floor = static_cast<float>(0.01 * noise);
        for (int i = 0; i < t.num_window; i++) {
            p[i] = p[i] / layers - static_cast<float>(noise);
            largest = p[i] > largest ? p[i] : largest;
        }
        for (int i = 0; i < t.num_window; i++) {
            // the strongest bin always stays
            bool keep = p[i] > limit || p[i] == largest;
            p[i] = keep ? std::fmax(p[i], floor) : 0;
        }
        // from the strongest bin down: the eigenmodes come out as exact as their powers differ (see `eigenmodes`)
        int n = 0;
        for (int i = 0; i < t.num_window; i++)
            if (p[i] > 0) order_[n++] = i;
        std::sort(order_, order_ + n, [p](int32_t a, int32_t b) { return p[a] > p[b] || (p[a] == p[b] && a < b); });
        n = std::min(n, most);
        for (int i = 0; i < n; i++) {
            bins_[u * MAX_ACTIVE + i] = t.first_bin + order_[i];
            gamma_[u * MAX_ACTIVE + i] = p[order_[i]] / t.num_bins;
        }
        active_[u] = n;
    }
}

// Inner products of the active pilot vectors with one another and with the pilots.
void Blind::collect(PilotSet &set) {
    const Layout &s = *layout_;
    const DelayTables &t = delays_;
    int n = 0;
    for (int l = 0; l < set.num_layers; l++) {
        int layer = set.layers[l], user = 0;
        while (users_[user] != s.user_of[layer]) user++;
        int place = s.code_of[layer] > 0 ? 0 : t.num_bins / 2;
        for (int i = 0; i < active_[user]; i++) set.places[n++] = bins_[user * MAX_ACTIVE + i] + place;
        set.per_layer = active_[user];
    }
    set.size = n;
    const size_t of_group = static_cast<size_t>(t.num_bins) * Fourier::VALUE;
    for (int i = 0; i < n; i++) {
        float *row = set.gram + static_cast<size_t>(i) * stride_;
        for (int j = 0; j < n; j++) row[j] = t.gram[std::abs(set.places[i] - set.places[j])];
        for (int j = n; j < stride_; j++) row[j] = 0;
        int place = set.places[i], bin = place % t.num_bins;
        bin = bin < 0 ? bin + t.num_bins : bin;
        // a turn around the delay axis changes the sign, because the middle lies between two pilots
        float sign = place < 0 ? -1.0f : 1.0f;
        float cr = sign * t.centre[bin], ci = sign * t.centre[t.num_bins + bin];
        float *out = set.matched + static_cast<size_t>(i) * lanes_;
        for (int j = 0; j < snapshots_; j++) {
            const float *value = set.spectrum + j / ROW * of_group + static_cast<size_t>(bin) * Fourier::VALUE + j % ROW;
            out[j] = value[0] * cr - value[ROW] * ci;
            out[half_lanes_ + j] = value[0] * ci + value[ROW] * cr;
        }
    }
}

namespace {

// k = roots gram roots, and the matched pilots times the roots; the roots are returned.
void model_of(const PilotSet &set, const float *gamma, int stride, int lanes, float *k, float *roots) {
    const int n = set.size;
    for (int i = 0; i < padded(n); i++) roots[i] = i < n ? std::sqrt(gamma[i % set.per_layer]) : 0;
    for (int i = 0; i < n; i++) {
        const float *from = set.gram + static_cast<size_t>(i) * stride;
        float *to = k + static_cast<size_t>(i) * stride;
        for (int j = 0; j < padded(n); j += LANES) store(to + j, load(from + j) * load(roots + j) * roots[i]);
        const float *matched = set.matched + static_cast<size_t>(i) * lanes;
        float *weighted = set.weighted + static_cast<size_t>(i) * lanes;
        for (int j = 0; j < lanes; j += LANES) store(weighted + j, load(matched + j) * roots[i]);
    }
}

}  // namespace

// A fixed-point step of the evidence of independent Gaussian bins, for the noise and for the powers.
void Blind::refine(double empty_energy, double *noise) {
    const Layout &s = *layout_;
    double residual = empty_energy, dimensions = static_cast<double>(num_empty_) * s.num_rx, energy = 0;
    float *step = profile_;  // [user][MAX_ACTIVE], as the profile is not needed any more
    float *roots = scratch_, *diagonal = roots + stride_, *g = diagonal + stride_;
    float *kg = g + static_cast<size_t>(stride_) * lanes_;
    const float sigma = static_cast<float>(*noise);
    float ratios[MAX_LAYERS][MAX_ACTIVE];
    for (int c = 0; c < num_sets_; c++) {
        PilotSet &set = sets_[c];
        const int n = set.size;
        int user = 0;
        while (users_[user] != s.user_of[set.layers[0]]) user++;
        model_of(set, gamma_ + user * MAX_ACTIVE, stride_, lanes_, square_, roots);
        std::memcpy(g, set.weighted, sizeof(float) * n * lanes_);
        for (int i = 0; i < n; i++)
            std::memcpy(lower_ + static_cast<size_t>(i) * stride_, square_ + static_cast<size_t>(i) * stride_, sizeof(float) * padded(n));
        for (int i = 0; i < n; i++) lower_[static_cast<size_t>(i) * stride_ + i] += sigma;
        // noise is on every eigenvalue, so no pivot lies below it but by rounding
        cholesky(lower_, stride_, n, 0.5f * sigma);
        solve_lower(lower_, stride_, n, g, lanes_);
        solve_upper(lower_, stride_, n, g, lanes_);
        product(square_, stride_, g, lanes_, n, n, lanes_, kg, lanes_);
        double fitted = 0, known_sum = 0;
        for (int i = 0; i < n; i++) {
            const float *gi = g + static_cast<size_t>(i) * lanes_, *ki = kg + static_cast<size_t>(i) * lanes_;
            const float *xi = set.weighted + static_cast<size_t>(i) * lanes_;
            vf total = {};
            for (int j = 0; j < lanes_; j += LANES) total += load(gi + j) * (2.0f * load(xi + j) - load(ki + j));
            fitted += sum(total);
        }
        float *z = kg;  // its rows are long enough, and it is done with
        inverse_diagonal(lower_, stride_, n, z, diagonal);
        for (int i = 0; i < n; i++) {
            float known = std::fmin(std::fmax(1 - sigma * diagonal[i], 1e-9f), 1.0f);
            known_sum += known;
            double power = energy_of(g + static_cast<size_t>(i) * lanes_, lanes_) / snapshots_;
            ratios[set.layers[i / set.per_layer]][i % set.per_layer] = static_cast<float>(power / known);
        }
        double size = static_cast<double>(snapshots_) * delays_.num_pilots;
        residual += std::fmax(set.energy - fitted, 0.0);
        dimensions += size - snapshots_ * known_sum;
        energy += set.energy / size;
    }
    for (int u = 0; u < num_users_; u++) {
        for (int i = 0; i < active_[u]; i++) step[i] = 0;
        for (int layer = 0; layer < s.num_layers; layer++)
            for (int i = 0; s.user_of[layer] == users_[u] && i < active_[u]; i++)
                step[i] += ratios[layer][i] / layers_of_user_[u];
        for (int i = 0; i < active_[u]; i++) gamma_[u * MAX_ACTIVE + i] *= step[i];
    }
    *noise = std::fmax(residual / std::fmax(dimensions, 1.0), NOISE_FLOOR * energy / num_sets_ + NOISE_OF_NOTHING);
}

// Eigenmodes of the covariance of a set over frequency, noise normalised to 1.
void Blind::find_modes(PilotSet &set, double noise) {
    const Layout &s = *layout_;
    const int n = set.size;
    float *roots = scratch_, *work = roots + stride_;
    int user = 0;
    while (users_[user] != s.user_of[set.layers[0]]) user++;
    model_of(set, gamma_ + user * MAX_ACTIVE, stride_, lanes_, square_, roots);
    const float inverse = static_cast<float>(1 / noise);
    for (int i = 0; i < n; i++) {
        float *row = square_ + static_cast<size_t>(i) * stride_;
        for (int j = 0; j < padded(n); j += LANES) store(row + j, load(row + j) * inverse);
    }
    eigenmodes(square_, stride_, n, set.kappa, set.vectors, work, doubles_);
    product(set.vectors, stride_, set.weighted, lanes_, n, n, lanes_, set.modes, lanes_);
    for (int i = 0; i < n; i++) {
        set.kappa[i] = std::fmax(set.kappa[i], LEAST_MODE);
        float scale = inverse / std::sqrt(set.kappa[i]);
        float *row = set.modes + static_cast<size_t>(i) * lanes_;
        for (int j = 0; j < lanes_; j += LANES) store(row + j, load(row + j) * scale);
    }
}

// Probabilities of the hypotheses on Doppler and frequency offset from the strongest modes of some sets.
void Blind::time_posterior(const int *sets, int num_sets, float *posterior) {
    const Layout &s = *layout_;
    const int t = s.num_groups, width = padded(times_.num_hypotheses);
    const float snapshots = static_cast<float>(s.num_rx * delays_.num_subbands);
    float *cost = scratch_;  // [t][width]
    for (int i = 0; i < t * width; i += LANES) store(cost + i, vf{});
    for (int c = 0; c < num_sets && t > 1; c++) {
        const PilotSet &set = sets_[sets[c]];
        int strongest[MAX_ACTIVE * MAX_LAYERS], num_modes = std::min(DOPPLER_MODES, set.size);
        for (int m = 0; m < set.size; m++) strongest[m] = m;
        std::nth_element(strongest, strongest + num_modes - 1, strongest + set.size,
                         [&set](int a, int b) { return set.kappa[a] > set.kappa[b]; });
        for (int i = 0; i < num_modes; i++) {
            const int m = strongest[i];
            const float *re = set.modes + static_cast<size_t>(m) * lanes_, *im = re + half_lanes_;
            float cr[MAX_GROUPS * MAX_GROUPS] = {}, ci[MAX_GROUPS * MAX_GROUPS] = {};
            int pair = 0;
            const int subbands = delays_.num_subbands;
            for (int a = 0; a < t; a++)
                for (int b = a; b < t; b++, pair++)
                    for (int r = 0; r < s.num_rx; r++)
                        for (int q = 0; q < subbands; q++) {
                            int x = (r * t + a) * subbands + q, y = (r * t + b) * subbands + q;
                            cr[pair] += re[x] * re[y] + im[x] * im[y];
                            ci[pair] += im[x] * re[y] - re[x] * im[y];
                        }
            for (int j = 0; j < t; j++)
                for (int h = 0; h < width; h += LANES) {
                    vf energy = {};
                    for (int p = 0; p < t * (t + 1) / 2; p++) {
                        const float *form = times_.forms + (static_cast<size_t>(p) * t + j) * 2 * width + h;
                        energy += cr[p] * load(form) - ci[p] * load(form + width);
                    }
                    vf variance = set.kappa[m] * load(times_.eigenvalues + j * width + h) + 1.0f;
                    float *at = cost + j * width + h;
                    store(at, load(at) + energy / variance + snapshots * log(variance));
                }
        }
    }
    float largest = -INFINITY;
    for (int h = 0; h < times_.num_hypotheses; h++) {
        float value = times_.log_prior[h];
        for (int j = 0; j < t; j++) value -= cost[j * width + h];
        posterior[h] = value;
        largest = value > largest ? value : largest;
    }
    double total = 0;
    for (int h = 0; h < times_.num_hypotheses; h++) {
        posterior[h] = std::exp(posterior[h] - largest);
        total += posterior[h];
    }
    for (int h = 0; h < width; h++) posterior[h] = h < times_.num_hypotheses ? static_cast<float>(posterior[h] / total) : 0;
}

// Wiener filter of one set: what the blocks need of its layers.
void Blind::interpolate(PilotSet &set, const float *posterior, OverTime &time) {
    const Layout &s = *layout_;
    const DelayTables &t = delays_;
    const int groups = s.num_groups, width = padded(times_.num_hypotheses), n = set.size;
    // correlation over time between all symbols and the observations: the mean over the hypotheses
    Complex correlation[MAX_SYMBOLS][MAX_GROUPS];
    for (int i = 0; i < s.num_symbols * groups; i++) {
        const float *re = times_.correlation + static_cast<size_t>(i) * width;
        const float *im = re + static_cast<size_t>(s.num_symbols) * groups * width;
        correlation[i / groups][i % groups] = {inner(posterior, re, width), inner(posterior, im, width)};
    }
    Complex known[MAX_GROUPS][MAX_GROUPS];
    for (int a = 0; a < groups; a++)
        for (int b = 0; b < groups; b++) {
            known[a][b] = {0, 0};
            for (int i = 0; i < s.num_adjacent; i++) {
                Complex c = correlation[s.dmrs_symbols[a * s.num_adjacent + i]][b];
                known[a][b].re += c.re / s.num_adjacent;
                known[a][b].im += c.im / s.num_adjacent;
            }
        }
    double eigenvalues[MAX_GROUPS];
    Complex vectors[MAX_GROUPS][MAX_GROUPS];
    hermitian_modes(known, groups, eigenvalues, vectors);
    // over time, symbol by mode
    float synthesis[MAX_SYMBOLS][MAX_GROUPS][2];
    for (int a = 0; a < s.num_symbols; a++)
        for (int j = 0; j < groups; j++) {
            Complex total = {0, 0};
            for (int b = 0; b < groups; b++) total = total + correlation[a][b] * vectors[b][j];
            synthesis[a][j][0] = static_cast<float>(total.re);
            synthesis[a][j][1] = static_cast<float>(total.im);
        }
    // [bin][mode]
    float *to_bins = square_;
    int user = 0;
    while (users_[user] != s.user_of[set.layers[0]]) user++;
    for (int i = 0; i < n; i++) {
        float root = std::sqrt(gamma_[user * MAX_ACTIVE + i % set.per_layer]);
        for (int m = 0; m < n; m++)
            to_bins[static_cast<size_t>(i) * stride_ + m] = root * set.vectors[static_cast<size_t>(m) * stride_ + i];
    }
    float *gains = lower_;  // [t][mode]
    for (int j = 0; j < groups; j++)
        for (int m = 0; m < n; m++) {
            float lambda = static_cast<float>(std::fmax(eigenvalues[j], 0.0));
            gains[j * stride_ + m] = set.kappa[m] / (set.kappa[m] * lambda + 1);
        }
    for (int m = 0; m < n; m++) {
        const float *re = set.modes + static_cast<size_t>(m) * lanes_, *im = re + half_lanes_;
        float *out = set.filtered + static_cast<size_t>(m) * lanes_;
        float scale = 1 / std::sqrt(set.kappa[m]);
        for (int r = 0; r < s.num_rx; r++)
            for (int j = 0; j < groups; j++) {
                float gain = gains[j * stride_ + m] * scale;
                for (int b = 0; b < t.num_subbands; b++) {
                    float xr = 0, xi = 0;
                    for (int a = 0; a < groups; a++) {
                        int at = (r * groups + a) * t.num_subbands + b;
                        float vr = static_cast<float>(vectors[a][j].re), vi = static_cast<float>(vectors[a][j].im);
                        xr += vr * re[at] + vi * im[at];
                        xi += vr * im[at] - vi * re[at];
                    }
                    int to = (r * groups + j) * t.num_subbands + b;
                    out[to] = xr * gain;
                    out[half_lanes_ + to] = xi * gain;
                }
            }
    }
    float *at_bins = scratch_;
    const int rows = s.num_rx * groups;
    const size_t of_subband = static_cast<size_t>(MAX_ACTIVE) * 2 * rows;
    for (int l = 0; l < set.num_layers; l++) {
        const int layer = set.layers[l], count = set.per_layer;
        const float *own = to_bins + static_cast<size_t>(l) * count * stride_;
        product(own, stride_, set.filtered, lanes_, count, n, lanes_, at_bins, lanes_);
        const bool shifted = s.code_of[layer] < 0;
        const float fr = (shifted ? t.half_shift[set.comb][0] : 1) / set.amplitude;
        const float fi = (shifted ? t.half_shift[set.comb][1] : 0) / set.amplitude;
        for (int i = 0; i < count; i++) {
            positions_[layer * MAX_ACTIVE + i] = bins_[user * MAX_ACTIVE + i] - t.first_bin;
            const float *from = at_bins + static_cast<size_t>(i) * lanes_;
            for (int b = 0; b < t.num_subbands; b++) {
                float *to = amplitudes_ + (static_cast<size_t>(layer) * t.num_subbands + b) * of_subband + static_cast<size_t>(i) * 2 * rows;
                for (int r = 0; r < rows; r++) {
                    float x = from[r * t.num_subbands + b], y = from[half_lanes_ + r * t.num_subbands + b];
                    to[r] = x * fr - y * fi;
                    to[rows + r] = x * fi + y * fr;
                }
            }
        }
        // power of every mode at the nodes, and from it the error modes
        alignas(64) float at_nodes[MAX_ERROR_MODES][MAX_NODES] = {};
        for (int m = 0; m < n; m++) {
            alignas(64) float square[MAX_NODES];
            for (int half = 0; half < MAX_NODES; half += 32) {
                vf re[32 / LANES] = {}, im[32 / LANES] = {};
                for (int i = 0; i < count; i++) {
                    const float *column = t.at_nodes[set.comb] + static_cast<size_t>(positions_[layer * MAX_ACTIVE + i]) * 2 * MAX_NODES + half;
                    float w = own[static_cast<size_t>(i) * stride_ + m];
                    for (int v = 0; v < 32 / LANES; v++) {
                        re[v] += w * load(column + v * LANES);
                        im[v] += w * load(column + MAX_NODES + v * LANES);
                    }
                }
                for (int v = 0; v < 32 / LANES; v++) store(square + half + v * LANES, re[v] * re[v] + im[v] * im[v]);
            }
            for (int e = 0; e <= groups; e++) {
                float weight = e ? gains[(e - 1) * stride_ + m] : 1;
                for (int v = 0; v < MAX_NODES; v += LANES) store(at_nodes[e] + v, load(at_nodes[e] + v) + weight * load(square + v));
            }
        }
        const float scale = 1 / (set.amplitude * set.amplitude);
        for (int e = 0; e <= groups; e++) {
            float *out = errors_ + (static_cast<size_t>(layer) * MAX_ERROR_MODES + e) * (padded(t.width) + BLOCK);
            for (int k = 0; k < t.width; k++) {
                const float *left = at_nodes[e] + t.node_left[k];
                out[k] = scale * (left[0] + t.node_share[k] * (left[1] - left[0]));
            }
        }
        time.error_offset[layer] = 0;
        for (int a = 0; a < s.num_symbols; a++) {
            time.error[layer][a][0] = 1;
            for (int j = 0; j < groups; j++) {
                float re = synthesis[a][j][0], im = synthesis[a][j][1];
                time.modes[layer][a][j][0] = re;
                time.modes[layer][a][j][1] = im;
                time.error[layer][a][1 + j] = -(re * re + im * im);
            }
        }
    }
}

void Blind::prepare(const Grid &grid, Estimate &out, Threads &threads) {
    const Layout &s = *layout_;
    const DelayTables &t = delays_;
    // slots that are far too early or too late are moved to where the window of delays is
    MeanDelay mean = mean_delay(s, grid, scratch_);
    moved_ = (mean.symbols < EARLY || mean.symbols > LATE) && mean.certainty > CERTAINTY;
    delay_ = moved_ ? mean.symbols - TARGET : 0;
    if (moved_) {
        float *re = turn_, *im = turn_ + padded(s.num_subcarriers) + BLOCK;
        for (int k = 0; k < s.num_subcarriers; k++) {
            double angle = -2 * M_PI * delay_ * k;
            re[k] = static_cast<float>(std::cos(angle));
            im[k] = static_cast<float>(std::sin(angle));
        }
    }
    for (int c = 0; c < num_sets_; c++) take_pilots(grid, sets_[c]);
    transform(threads);
    double empty_energy = empty_power(grid);
    double noise = first_noise(empty_energy);
    first_profile(noise);
    for (int c = 0; c < num_sets_; c++) collect(sets_[c]);
    for (int i = 0; i < s.num_iterations; i++) refine(empty_energy, &noise);
    int all[MAX_LAYERS];
    for (int c = 0; c < num_sets_; c++) {
        all[c] = c;
        find_modes(sets_[c], noise);
    }
    OverTime &time = out.over_time;
    time.num_modes = s.num_groups;
    time.num_error_modes = s.num_groups + 1;
    time.is_real = false;
    if (s.shared_user) time_posterior(all, num_sets_, posterior_);
    double offset = 0;
    for (int c = 0; c < num_sets_; c++) {
        if (!s.shared_user) time_posterior(&all[c], 1, posterior_);
        for (int h = 0; c == set_of_[0] && h < times_.num_hypotheses; h++) offset += posterior_[h] * times_.offsets[h];
        interpolate(sets_[c], posterior_, time);
    }
    double weight = 0, delays = 0;
    for (int layer = 0; layer < s.num_layers; layer++) {
        int user = 0;
        while (users_[user] != s.user_of[layer]) user++;
        double scale = 1 / (static_cast<double>(sets_[set_of_[layer]].amplitude) * sets_[set_of_[layer]].amplitude);
        for (int i = 0; i < active_[user]; i++) {
            double power = gamma_[user * MAX_ACTIVE + i] * scale;
            weight += power;
            delays += power * bins_[user * MAX_ACTIVE + i];
        }
    }
    double bin_s = 1 / (2.0 * t.num_bins * s.subcarrier_spacing_hz);
    out.timing_s = (weight > 0 ? delays / weight * bin_s : 0) + delay_ / s.subcarrier_spacing_hz;
    out.cfo_hz = s.num_groups > 1 ? offset : NAN;
    out.noise_var = static_cast<float>(noise);
}

void Blind::channel(const Block &block, BlockChannel &out) const {
    const Layout &s = *layout_;
    const DelayTables &t = delays_;
    const int rows = s.num_rx * s.num_groups;
    const size_t of_subband = static_cast<size_t>(MAX_ACTIVE) * 2 * rows;
    for (int layer = 0; layer < s.num_layers; layer++) {
        const PilotSet &set = sets_[set_of_[layer]];
        const float *a = amplitudes_ + (static_cast<size_t>(layer) * t.num_subbands + block.subband) * of_subband;
        for (int column = 0; column < block.columns; column += LANES) {
            const float *panel = t.synthesis[set.comb] + static_cast<size_t>(block.panel + column / LANES) * 2 * LANES * t.num_window;
            panel_rows(a, 2 * rows, rows, rows, panel, positions_ + layer * MAX_ACTIVE, set.per_layer,
                       &out.modes[layer][0][0][column], 2 * BLOCK, BLOCK);
        }
        for (int r = 0; moved_ && r < rows; r++)
            for (int k = 0; k < block.columns; k += LANES) {
                const float *cr = turn_ + block.first + k, *ci = cr + padded(s.num_subcarriers) + BLOCK;
                vf re = load(&out.modes[layer][r][0][k]), im = load(&out.modes[layer][r][1][k]), c = load(cr), e = load(ci);
                store(&out.modes[layer][r][0][k], re * c - im * e);
                store(&out.modes[layer][r][1][k], re * e + im * c);
            }
        for (int e = 0; e <= s.num_groups; e++)
            std::memcpy(out.error[layer][e],
                        errors_ + (static_cast<size_t>(layer) * MAX_ERROR_MODES + e) * (padded(t.width) + BLOCK) +
                            block.panel * LANES,
                        sizeof(float) * block.columns);
    }
}

}  // namespace ran6g
