// LMMSE whose statistics come from the slot's own pilots; follows receivers/classical/blind_estimate.py and what that
// builds on. Here for evenly spaced pilots (DM-RS type 1) and one user per set of pilot subcarriers.
#pragma once

#include "receiver.h"

namespace ran6g {

// Bins of a layer that can be in use, at most, and modes that decide about Doppler and frequency offset.
constexpr int MAX_ACTIVE = 160, DOPPLER_MODES = 24;
constexpr int MAX_NODES = 64, MAX_SUBBANDS = 8;

// Tables of the delay axis; see receivers/classical/delay_grid.py.
struct DelayTables {
    int num_bins, num_pilots, num_window, first_bin, width, num_subbands, num_nodes;
    const int32_t *starts, *owner, *nodes, *node_left;
    const float *node_share, *taper, *gram, *centre;
    double quiet_share;  // mean of the quietest quarter of bins of noise alone, for unit noise; 0: too few bins
    float *synthesis[MAX_LAYERS];  // [comb] packed [num_window][width]
    float *at_nodes[MAX_LAYERS];   // [comb][num_window][re, im][MAX_NODES]
    float half_shift[MAX_LAYERS][2];
};

// Hypotheses on Doppler and frequency offset; see receivers/classical/time_statistics.py.
struct TimeTables {
    int num_hypotheses;
    const float *log_prior, *offsets;
    float *eigenvalues;  // [t][padded(num_hypotheses)]
    float *forms;        // [a <= b][t][re, im][padded(num_hypotheses)], off-diagonal ones doubled
    float *correlation;  // [re, im][symbol][t][padded(num_hypotheses)]
};

// The layers on one comb of pilots, and what is known of them.
struct PilotSet {
    int comb, num_layers, layers[MAX_LAYERS];
    int size;     // active bins of all its layers
    int per_layer;
    float amplitude;
    float *spectrum;      // [group of lanes][bin][re, im][ROW]: snapshots, then snapshots under the taper
    float *power;         // [bin]: tapered, mean over snapshots
    float *gram;          // [size][stride]
    float *matched;       // [size][lanes]: real parts of all snapshots, then imaginary
    float *weighted;      // the same times the roots
    int32_t *places;      // [size]
    float *modes;         // [size][lanes] observed, unit variance per noise
    float *vectors;       // [size][stride]
    float *kappa;         // [size]
    float *filtered;      // [size][lanes]
    double energy, total; // of the cut pilots; total: mean power
};

class Blind final : public Estimator {
  public:
    void set_threads(int num_threads) { num_threads_ = num_threads; }
    ran6g_status open(const ModelFile &file, const Layout &layout, Arena &arena) override;
    void prepare(const Grid &grid, Estimate &estimate, Threads &threads) override;
    int num_blocks() const override { return num_blocks_; }
    Block block(int index) const override { return blocks_[index]; }
    void channel(const Block &block, BlockChannel &out) const override;

  private:
    ran6g_status load_delays(const ModelFile &file, Arena &arena);
    ran6g_status load_times(const ModelFile &file, Arena &arena);
    ran6g_status load_blocks(Arena &arena);
    void take_pilots(const Grid &grid, PilotSet &set);
    static void transform_group(void *self, int item, int thread);
    void transform(Threads &threads);
    double first_noise(double empty_energy);
    void first_profile(double noise);
    void collect(PilotSet &set);
    void refine(double empty_energy, double *noise);
    void find_modes(PilotSet &set, double noise);
    void time_posterior(const int *sets, int num_sets, float *posterior);
    void interpolate(PilotSet &set, const float *posterior, OverTime &time);
    double empty_power(const Grid &grid);

    const Layout *layout_ = nullptr;
    int num_threads_ = 1;
    DelayTables delays_ = {};
    TimeTables times_ = {};
    Fourier fourier_;
    int num_sets_ = 0, set_of_[MAX_LAYERS] = {}, place_in_set_[MAX_LAYERS] = {};
    PilotSet sets_[MAX_LAYERS] = {};
    int num_users_ = 0, users_[MAX_LAYERS] = {}, layers_of_user_[MAX_LAYERS] = {};
    int snapshots_ = 0, lanes_ = 0, half_lanes_ = 0, stride_ = 0, num_empty_ = 0;
    const int32_t *empty_ = nullptr;
    Block *blocks_ = nullptr;
    int num_blocks_ = 0;
    // per user: bins in use and their power as it appears in the pilots
    int active_[MAX_LAYERS] = {};
    int32_t *order_ = nullptr;  // [num_window]: scratch
    int32_t *bins_ = nullptr;   // [user][MAX_ACTIVE], from the strongest down
    float *gamma_ = nullptr;   // [user][MAX_ACTIVE]
    // per layer, for the blocks: positions of its bins in the window, and [subband][bin][re, im of rx * t]
    int32_t *positions_ = nullptr;
    float *amplitudes_ = nullptr;
    float *errors_ = nullptr;  // [layer][error mode][padded width + BLOCK]
    float *posterior_ = nullptr;
    bool moved_ = false;
    float *turn_ = nullptr;  // [re, im][padded subcarriers + BLOCK]: the coarse delay put back
    double delay_ = 0;       // in useful symbol durations
    float *row_ = nullptr, *scratch_ = nullptr, *square_ = nullptr, *lower_ = nullptr, *profile_ = nullptr;
    float *buffer_ = nullptr;        // [thread]: of the transforms
    float *group_power_ = nullptr;   // [set][group of lanes][padded bins]
    double *group_energy_ = nullptr;  // [set][group of lanes]
    double *doubles_ = nullptr;
};

}  // namespace ran6g
