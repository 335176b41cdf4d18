// The receiver of receivers/neural/soft_pilots.py for one layer: `blind`, then passes of a network that sees what soft
// symbols say of the channel on nodes of 2 symbols by a few subcarriers.
#pragma once

#include "blind.h"
#include "detect.h"
#include "network.h"

namespace ran6g {

constexpr int NODE_SYMBOLS = 2, MAX_NODE_SUBCARRIERS = 12, MAX_PASSES = 4, MAX_NODE_ROWS = MAX_SYMBOLS / NODE_SYMBOLS;

class SoftPilots final : public Estimator {
  public:
    void set_threads(int num_threads) {
        num_threads_ = num_threads;
        blind_.set_threads(num_threads);
    }
    ran6g_status open(const ModelFile &file, const Layout &layout, Arena &arena) override;
    void prepare(const Grid &grid, Estimate &estimate, Threads &threads) override {
        blind_.prepare(grid, estimate, threads);
    }
    int num_blocks() const override { return num_blocks_; }
    Block block(int index) const override;
    // Where threads begin to share the slot: everything after `prepare`. detects: whether symbols are wanted.
    void refine(const Grid &grid, const Estimate &estimate, bool detects, Threads &threads);
    // Of a block, all symbols that carry data; then as `detect_block` and `write_channel`.
    void detect(const Block &block, const DataRow *rows, const Wanted &wanted, Work &work) const;
    void write(const Grid &grid, const Block &block, const Wanted &wanted) const;

    void channel(const Block &, BlockChannel &) const override {}

  private:
    ran6g_status load_network(const ModelFile &file, Arena &arena);
    void lay_out(Arena &arena);
    // Shared by threads: an item is a block of `blind`, a symbol, or a row of nodes.
    static void spread_block(void *self, int block, int thread);
    static void expand_symbol(void *self, int symbol, int thread);
    static void observe_row(void *self, int row, int thread);
    static void network_row(void *self, int row, int thread);
    static void correct_symbol(void *self, int symbol, int thread);
    static void equalise_symbol(void *self, int symbol, int thread);

    void take_pilots(const Grid &grid);
    void look_at_levels();
    // RX: number of antennas, 0 for any.
    template <int BITS, int RX> void observe(int row);
    template <int BITS> void observe_bits(int row);
    float *plane(float *base, int row) const { return base + static_cast<size_t>(row) * of_symbol_; }

    const Layout *layout_ = nullptr;
    Blind blind_;
    NodeShape shape_ = {};
    int node_subcarriers_ = 0, num_passes_ = 0, num_channels_ = 0, num_stages_ = 0;
    bool is_known_ = false;   // whether training had slots with so few DM-RS symbols
    float least_noise_ = 0;   // as a share of the channel's power: the strongest signal that training had
    Network passes_[MAX_PASSES];
    Activations activations_ = {};
    RowScratch scratch_[MAX_THREADS] = {};
    Work *work_ = nullptr;  // [thread], for the blocks of `blind`

    // The grid in the order of nodes: subcarrier k is number (k % size) * width + k / size of its symbol, so that what
    // is done with the subcarriers of a node is done for many nodes at once.
    int32_t *order_ = nullptr;  // [num_subcarriers]
    size_t of_symbol_ = 0;      // floats of a real symbol in this order
    float *modes_ = nullptr;    // [rx * t][re, im]: of `blind`
    float *errors_ = nullptr;   // [error mode]
    float *y_ = nullptr, *h_ = nullptr;         // [rx][symbol][re, im]
    float *error_ = nullptr, *scale_ = nullptr;  // [symbol]: error variance, factor on LLRs
    float *is_data_ = nullptr, *is_pilot_ = nullptr;  // [symbol], 1 or 0
    float *sent_ = nullptr;     // [DM-RS symbol][re, im]: pilots
    bool all_data_[MAX_SYMBOLS] = {};
    int dmrs_of_[MAX_SYMBOLS] = {};  // which of the DM-RS symbols a symbol is, or -1
    float *valid_ = nullptr;    // [width]: 1 for nodes, 0 beyond
    float *turn_ = nullptr;     // [re, im]: the mean delay as a rotation over the subcarriers
    float *at_pilots_ = nullptr;  // [row][width]
    float times_[MAX_NODE_ROWS] = {};
    float *symbols_ = nullptr;  // [symbol][re, im, variance][padded subcarriers], in the order of subcarriers
    float *between_ = nullptr;  // [thread][2 * rx + 2][width + 2 * ROW]: outputs of the network at a symbol
    float *equalised_ = nullptr;  // [thread][re, im, variance]
    int num_threads_ = 1;

    // of the slot in work
    const Grid *grid_ = nullptr;
    const Estimate *estimate_ = nullptr;
    struct PowerSums {
        double power, of_delay_re, of_delay_im;
    };
    PowerSums sums_[MAX_SYMBOLS] = {};
    float noise_ = 0, shown_noise_ = 0, shown_power_ = 0, added_error_ = 0, smooth_f_ = 0, smooth_t_ = 0;
    int pass_ = 0, stage_ = 0, num_blocks_ = 0;
    bool has_scale_ = false;
};

}  // namespace ran6g
