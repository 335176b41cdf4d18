#include <algorithm>
#include <cstdio>

#include "blind.h"
#include "pilots.h"

namespace ran6g {
namespace {

bool within(int value, int least, int most) { return least <= value && value <= most; }

}  // namespace

ran6g_status Blind::load_delays(const ModelFile &file, Arena &arena) {
    const Layout &s = *layout_;
    const int32_t *sizes = file.integers("delay_sizes", 7);
    if (!sizes) return RAN6G_BAD_FILE;
    DelayTables &t = delays_;
    t.num_bins = sizes[0];
    t.num_pilots = sizes[1];
    t.num_window = sizes[2];
    t.first_bin = sizes[3];
    t.width = sizes[4];
    t.num_subbands = sizes[5];
    t.num_nodes = sizes[6];
    if (!within(t.num_pilots, 2, 2048) || t.num_bins != 2 * t.num_pilots || !within(t.num_window, 1, 4096) ||
        !within(t.first_bin, -4096, 0) || !within(t.width, 2, s.num_subcarriers) || t.width != t.num_bins ||
        !within(t.num_subbands, 1, MAX_SUBBANDS) || !within(t.num_nodes, 2, MAX_NODES))
        return RAN6G_BAD_FILE;
    t.starts = file.integers("subband_starts", t.num_subbands);
    t.owner = file.integers("owner", s.num_subcarriers);
    t.nodes = file.integers("nodes", t.num_nodes);
    t.node_left = file.integers("node_left", t.width);
    t.node_share = file.floats("node_share", t.width);
    t.taper = file.floats("taper", t.num_pilots);
    t.gram = file.floats("gram", t.num_bins);
    t.centre = file.floats("centre", 2 * t.num_bins);
    const double *quiet = file.doubles("quiet_share", 1);
    if (!t.starts || !t.owner || !t.nodes || !t.node_left || !t.node_share || !t.taper || !t.gram || !t.centre || !quiet)
        return RAN6G_BAD_FILE;
    t.quiet_share = *quiet;
    // a subband starts at a pair of pilots, and lies within the band
    for (int b = 0; b < t.num_subbands; b++)
        if (!within(t.starts[b], 0, s.num_subcarriers - t.width) || t.starts[b] % 4) return RAN6G_BAD_FILE;
    int subband = 0;
    for (int k = 0; k < s.num_subcarriers; k++) {
        int of = t.owner[k] / t.width, inside = t.owner[k] % t.width;
        if (t.owner[k] < 0 || !within(of, subband, t.num_subbands - 1) || t.starts[of] + inside != k)
            return RAN6G_BAD_FILE;
        subband = of;
    }
    for (int i = 0; i < t.num_nodes; i++)
        if (!within(t.nodes[i], 0, t.width - 1)) return RAN6G_BAD_FILE;
    for (int k = 0; k < t.width; k++)
        if (!within(t.node_left[k], 0, t.num_nodes - 2)) return RAN6G_BAD_FILE;
    if (!fourier_.plan(t.num_bins, arena)) return RAN6G_BAD_FILE;
    const float *shift = file.floats("half_shift", 2 * s.num_combs);
    if (!shift) return RAN6G_BAD_FILE;
    for (int c = 0; c < s.num_combs; c++) {
        char name[40];
        std::snprintf(name, sizeof(name), "synthesis_%d", c);
        size_t half = static_cast<size_t>(t.num_window) * t.width;
        const float *values = file.floats(name, 2 * half);
        if (!values) return RAN6G_BAD_FILE;
        t.half_shift[c][0] = shift[2 * c];
        t.half_shift[c][1] = shift[2 * c + 1];
        t.synthesis[c] = arena.array<float>(packed_size(t.num_window, t.width));
        t.at_nodes[c] = arena.array<float>(static_cast<size_t>(t.num_window) * 2 * MAX_NODES);
        if (arena.counting()) continue;
        pack(values, values + half, t.num_window, t.width, t.synthesis[c]);
        for (int i = 0; i < t.num_window; i++)
            for (int n = 0; n < t.num_nodes; n++)
                for (int part = 0; part < 2; part++)
                    t.at_nodes[c][(2 * static_cast<size_t>(i) + part) * MAX_NODES + n] =
                        values[part * half + static_cast<size_t>(i) * t.width + t.nodes[n]];
    }
    return RAN6G_OK;
}

ran6g_status Blind::load_times(const ModelFile &file, Arena &arena) {
    const Layout &s = *layout_;
    const int t = s.num_groups;
    size_t count = 0;
    TimeTables &out = times_;
    out.log_prior = file.floats("time_log_prior", 0, &count);
    if (!out.log_prior || count > 4096) return RAN6G_BAD_FILE;
    const int n = out.num_hypotheses = static_cast<int>(count), width = padded(n);
    out.offsets = file.floats("time_offsets", count);
    const float *eigenvalues = file.floats("time_eigenvalues", count * t);
    const float *forms = file.floats("time_forms", 2 * count * t * t * t);
    const float *correlation = file.floats("time_correlation", 2 * count * s.num_symbols * t);
    if (!out.offsets || !eigenvalues || !forms || !correlation) return RAN6G_BAD_FILE;
    out.eigenvalues = arena.array<float>(static_cast<size_t>(t) * width);
    out.forms = arena.array<float>(static_cast<size_t>(t * (t + 1) / 2) * t * 2 * width);
    out.correlation = arena.array<float>(2 * static_cast<size_t>(s.num_symbols) * t * width);
    if (arena.counting()) return RAN6G_OK;
    for (int h = 0; h < n; h++) {
        for (int j = 0; j < t; j++) {
            if (eigenvalues[h * t + j] < 0) return RAN6G_BAD_FILE;
            out.eigenvalues[j * width + h] = eigenvalues[h * t + j];
            int pair = 0;
            for (int a = 0; a < t; a++)
                for (int b = a; b < t; b++, pair++)
                    for (int part = 0; part < 2; part++) {
                        float value = forms[((static_cast<size_t>(part) * t * t + a * t + b) * n + h) * t + j];
                        out.forms[((static_cast<size_t>(pair) * t + j) * 2 + part) * width + h] = a == b ? value : 2 * value;
                    }
        }
        for (int part = 0; part < 2; part++)
            for (int i = 0; i < s.num_symbols * t; i++)
                out.correlation[(static_cast<size_t>(part) * s.num_symbols * t + i) * width + h] =
                    correlation[(static_cast<size_t>(part) * n + h) * s.num_symbols * t + i];
    }
    return RAN6G_OK;
}

ran6g_status Blind::load_blocks(Arena &arena) {
    // every run of subcarriers of one subband in blocks that start at a panel of the subband
    const Layout &s = *layout_;
    const DelayTables &t = delays_;
    blocks_ = arena.array<Block>(s.num_subcarriers / BLOCK + 2 * t.num_subbands + 2);
    num_blocks_ = 0;
    for (int k = 0; k < s.num_subcarriers;) {
        int b = t.owner[k] / t.width, stop = k;
        while (stop < s.num_subcarriers && t.owner[stop] / t.width == b) stop++;
        int low = k - t.starts[b], high = stop - t.starts[b];
        for (int panel = low / ROW * ROW; panel < high; panel += BLOCK) {
            int last = high - panel < BLOCK ? high - panel : BLOCK;
            Block block = {t.starts[b] + panel, low > panel ? low - panel : 0, last, b, panel / LANES, padded(last)};
            if (blocks_) blocks_[num_blocks_] = block;
            num_blocks_++;
        }
        k = stop;
    }
    return RAN6G_OK;
}

ran6g_status Blind::open(const ModelFile &file, const Layout &s, Arena &arena) {
    layout_ = &s;
    ran6g_status status = load_delays(file, arena);
    if (status == RAN6G_OK) status = load_times(file, arena);
    if (status == RAN6G_OK) status = load_blocks(arena);
    if (status != RAN6G_OK) return status;
    const DelayTables &t = delays_;
    size_t count = 0;
    empty_ = file.integers("empty_res", 0, &count);
    num_empty_ = empty_ ? static_cast<int>(count) : 0;
    if (!empty_ && !file.integers("no_empty_res", 1)) return RAN6G_BAD_FILE;
    for (int i = 0; i < num_empty_; i++)
        if (!within(empty_[i], i ? empty_[i - 1] + 1 : 0, s.num_symbols * s.num_subcarriers - 1)) return RAN6G_BAD_FILE;
    // evenly spaced pilots alone
    for (int c = 0; c < s.num_combs; c++) {
        int first = s.pilot_subcarriers[c][0], spacing = s.num_subcarriers / s.num_pilots;
        if (spacing != 2 || first > 1 || t.num_pilots != t.width / 2) return RAN6G_BAD_FILE;
        for (int i = 0; i < s.num_pilots; i++)
            if (s.pilot_subcarriers[c][i] != first + 2 * i) return RAN6G_BAD_FILE;
    }
    num_sets_ = s.num_combs;
    num_users_ = 0;
    int most_layers = 0;
    for (int c = 0; c < num_sets_; c++) sets_[c].num_layers = 0;
    for (int layer = 0; layer < s.num_layers; layer++) {
        PilotSet &set = sets_[s.comb_of[layer]];
        set.comb = s.comb_of[layer];
        for (int i = 0; i < set.num_layers; i++)
            if (s.user_of[set.layers[i]] != s.user_of[layer] || s.code_of[set.layers[i]] == s.code_of[layer])
                return RAN6G_BAD_FILE;
        set_of_[layer] = s.comb_of[layer];
        place_in_set_[layer] = set.num_layers;
        set.layers[set.num_layers++] = layer;
        most_layers = set.num_layers > most_layers ? set.num_layers : most_layers;
        int user = 0;
        while (user < num_users_ && users_[user] != s.user_of[layer]) user++;
        if (user == num_users_) {
            users_[num_users_] = s.user_of[layer];
            layers_of_user_[num_users_++] = 0;
        }
        layers_of_user_[user]++;
    }
    snapshots_ = s.num_rx * s.num_groups * t.num_subbands;
    half_lanes_ = snapshots_;
    lanes_ = padded(2 * snapshots_);
    int window = t.num_window < MAX_ACTIVE ? t.num_window : MAX_ACTIVE;
    int most = window * most_layers;
    stride_ = padded(most);
    const size_t groups = padded(2 * snapshots_) / ROW, of_group = static_cast<size_t>(t.num_bins) * Fourier::VALUE;
    for (int c = 0; c < num_sets_; c++) {
        PilotSet &set = sets_[c];
        set.spectrum = arena.array<float>(groups * of_group);
        set.power = arena.array<float>(padded(t.num_bins));
        set.gram = arena.array<float>(static_cast<size_t>(most) * stride_);
        set.matched = arena.array<float>(static_cast<size_t>(most) * lanes_);
        set.weighted = arena.array<float>(static_cast<size_t>(most) * lanes_);
        set.places = arena.array<int32_t>(most);
        set.modes = arena.array<float>(static_cast<size_t>(most) * lanes_);
        set.vectors = arena.array<float>(static_cast<size_t>(most > 3 ? most : 3) * stride_);
        set.kappa = arena.array<float>(stride_);
        set.filtered = arena.array<float>(static_cast<size_t>(most) * lanes_);
    }
    order_ = arena.array<int32_t>(t.num_window);
    bins_ = arena.array<int32_t>(static_cast<size_t>(num_users_) * MAX_ACTIVE);
    gamma_ = arena.array<float>(static_cast<size_t>(num_users_) * MAX_ACTIVE);
    positions_ = arena.array<int32_t>(static_cast<size_t>(s.num_layers) * MAX_ACTIVE);
    size_t rows = static_cast<size_t>(s.num_rx) * s.num_groups;
    amplitudes_ = arena.array<float>(s.num_layers * t.num_subbands * static_cast<size_t>(MAX_ACTIVE) * 2 * rows);
    errors_ = arena.array<float>(static_cast<size_t>(s.num_layers) * MAX_ERROR_MODES * (padded(t.width) + BLOCK));
    posterior_ = arena.array<float>(padded(times_.num_hypotheses));
    turn_ = arena.array<float>(2 * static_cast<size_t>(padded(s.num_subcarriers) + BLOCK));
    row_ = arena.array<float>(2 * static_cast<size_t>(padded(s.num_subcarriers)));
    size_t hypotheses = static_cast<size_t>(s.num_groups) * padded(times_.num_hypotheses);
    size_t scratch = static_cast<size_t>(stride_) * (lanes_ > stride_ ? lanes_ : stride_) * 2 + 2 * stride_;
    size_t others = mean_delay_scratch(s) + hypotheses + 4 * static_cast<size_t>(t.num_bins);
    scratch_ = arena.array<float>(scratch > others ? scratch : others);
    square_ = arena.array<float>(static_cast<size_t>(most) * stride_);
    lower_ = arena.array<float>(static_cast<size_t>(most) * stride_);
    profile_ = arena.array<float>(static_cast<size_t>(num_users_) * std::max(padded(t.num_window), MAX_ACTIVE));
    buffer_ = arena.array<float>(num_threads_ * of_group);
    group_power_ = arena.array<float>(num_sets_ * groups * padded(t.num_bins));
    group_energy_ = arena.array<double>(num_sets_ * groups);
    doubles_ = arena.array<double>(2 * static_cast<size_t>(stride_));
    return RAN6G_OK;
}

}  // namespace ran6g
