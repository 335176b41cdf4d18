// What a soft-pilot receiver sets up when it is created.
#include <cstdio>

#include "soft_pilots.h"

namespace ran6g {
namespace {

bool within(int value, int least, int most) { return least <= value && value <= most; }

}  // namespace

ran6g_status SoftPilots::load_network(const ModelFile &file, Arena &arena) {
    const Layout &s = *layout_;
    const int32_t *config = file.integers("network", 6);
    const double *range = file.doubles("network_range", 1);
    if (!config || !range || !(range[0] >= 0 && range[0] <= 1e12)) return RAN6G_BAD_FILE;
    const int blocks = config[1];
    if (!within(config[0], 4, MAX_CHANNELS) || config[0] % 4 || !within(blocks, 1, MAX_NET_BLOCKS) ||
        !within(config[2], 1, MAX_PASSES) || !within(config[3], 2, MAX_NODE_SUBCARRIERS) || 12 % config[3] ||
        !within(config[4], 0, 1) || !within(config[5], 0, 1) || s.num_layers != 1 || s.num_symbols % NODE_SYMBOLS)
        return RAN6G_BAD_FILE;
    num_channels_ = config[0];
    num_passes_ = config[2];
    node_subcarriers_ = config[3];
    is_known_ = config[4] == 1;
    least_noise_ = static_cast<float>(range[0]);
    num_stages_ = blocks + 1;
    const int32_t *dilations = file.integers("dilations", blocks);
    for (int b = 0; dilations && b < blocks; b++)
        if (!within(dilations[b], 1, MAX_DILATION)) return RAN6G_BAD_FILE;
    if (!dilations) return RAN6G_BAD_FILE;
    for (int p = 0; p < num_passes_; p++) {
        char name[40];
        std::snprintf(name, sizeof(name), "pass_%d", p);
        const float *weights = file.floats(name, Network::num_weights(num_channels_, blocks));
        if (!weights) return RAN6G_BAD_FILE;
        passes_[p].open(weights, num_channels_, blocks, dilations, config[5] == 1, arena);
    }
    return RAN6G_OK;
}

void SoftPilots::lay_out(Arena &arena) {
    const Layout &s = *layout_;
    const int size = node_subcarriers_, width = shape_.width;
    order_ = arena.array<int32_t>(s.num_subcarriers);
    is_data_ = arena.array<float>(of_symbol_ * s.num_symbols);
    is_pilot_ = arena.array<float>(of_symbol_ * s.num_symbols);
    valid_ = arena.array<float>(width);
    at_pilots_ = arena.array<float>(static_cast<size_t>(shape_.num_rows) * width);
    for (int row = 0; row < shape_.num_rows; row++) {
        double time = 0;
        for (int i = 0; i < NODE_SYMBOLS; i++) time += s.symbol_times[row * NODE_SYMBOLS + i] * 1e3 - 0.25;
        times_[row] = static_cast<float>(time / NODE_SYMBOLS);
    }
    for (int t = 0; t < s.num_symbols; t++) dmrs_of_[t] = -1;
    for (int d = 0; d < s.num_dmrs_symbols; d++) dmrs_of_[s.dmrs_symbols[d]] = d;
    if (arena.counting()) return;
    for (int k = 0; k < s.num_subcarriers; k++) order_[k] = k % size * width + k / size;
    for (int n = 0; n < shape_.num_nodes; n++) valid_[n] = 1;
    const float share = 1.0f / static_cast<float>(NODE_SYMBOLS * size);
    for (int t = 0; t < s.num_symbols; t++) {
        const int32_t *mask = s.data_mask + static_cast<size_t>(t) * s.num_subcarriers;
        float *data = plane(is_data_, t), *pilot = plane(is_pilot_, t);
        int count = 0;
        for (int k = 0; k < s.num_subcarriers; k++) {
            data[order_[k]] = static_cast<float>(mask[k]);
            count += mask[k];
        }
        all_data_[t] = count == s.num_subcarriers && dmrs_of_[t] < 0;
        for (int i = 0; dmrs_of_[t] >= 0 && i < s.num_pilots; i++) {
            int k = s.pilot_subcarriers[0][i];
            pilot[order_[k]] = 1;
            at_pilots_[static_cast<size_t>(t / NODE_SYMBOLS) * width + k / size] += share;
        }
    }
}

ran6g_status SoftPilots::open(const ModelFile &file, const Layout &s, Arena &arena) {
    layout_ = &s;
    ran6g_status status = blind_.open(file, s, arena);
    if (status == RAN6G_OK) status = load_network(file, arena);
    if (status != RAN6G_OK) return status;
    const int nodes = s.num_subcarriers / node_subcarriers_;
    shape_ = {s.num_rx, s.num_symbols / NODE_SYMBOLS, nodes, padded(nodes + 1)};
    of_symbol_ = static_cast<size_t>(node_subcarriers_) * shape_.width;
    num_blocks_ = (s.num_subcarriers + BLOCK - 1) / BLOCK;
    lay_out(arena);
    // behind every array that is read one node further, a node more
    const size_t grid = of_symbol_ * s.num_symbols, modes = static_cast<size_t>(s.num_rx) * s.num_groups;
    modes_ = arena.array<float>(2 * modes * of_symbol_);
    errors_ = arena.array<float>(MAX_ERROR_MODES * of_symbol_);
    y_ = arena.array<float>(2 * s.num_rx * grid);
    h_ = arena.array<float>(2 * s.num_rx * grid + ROW);
    error_ = arena.array<float>(grid);
    scale_ = arena.array<float>(grid);
    sent_ = arena.array<float>(2 * s.num_dmrs_symbols * of_symbol_);
    turn_ = arena.array<float>(2 * of_symbol_);
    const size_t found = 3 * static_cast<size_t>(s.num_symbols) * padded(s.num_subcarriers);
    symbols_ = arena.array<float>(found);
    for (size_t i = 0; symbols_ && i < found; i++) symbols_[i] = 1;  // beyond the band something to divide by
    between_ = arena.array<float>(num_threads_ * static_cast<size_t>(2 * s.num_rx + 2) * (shape_.width + 2 * ROW));
    equalised_ = arena.array<float>(num_threads_ * (3 * of_symbol_ + 2 * padded(s.num_subcarriers)));
    work_ = arena.array<Work>(num_threads_);
    for (int i = 0; i < num_threads_; i++) scratch_[i] = Network::scratch_of(arena, shape_, num_channels_);
    activations_.shared = planes_of(arena, shape_, SHARED_FEATURES);
    for (int r = 0; r < s.num_rx; r++) {
        activations_.own[r] = planes_of(arena, shape_, OWN_FEATURES);
        activations_.now[r] = planes_of(arena, shape_, num_channels_);
        activations_.next[r] = planes_of(arena, shape_, num_channels_);
    }
    activations_.out = arena.array<float>(static_cast<size_t>(s.num_rx) * shape_.num_rows * NUM_OUTPUTS * shape_.width);
    return RAN6G_OK;
}

Block SoftPilots::block(int index) const {
    int first = index * BLOCK, rest = layout_->num_subcarriers - first, own = rest < BLOCK ? rest : BLOCK;
    return {first, 0, own, 0, first / LANES, padded(own)};
}

}  // namespace ran6g
