// Two-dimensional Wiener filter with a stated prior; follows receivers/classical/lmmse.py.
#pragma once

#include "receiver.h"

namespace ran6g {

class Lmmse final : public Estimator {
  public:
    ran6g_status open(const ModelFile &file, const Layout &layout, Arena &arena) override;
    void prepare(const Grid &grid, Estimate &estimate, Threads &threads) override;
    int num_blocks() const override { return (layout_->num_subcarriers + BLOCK - 1) / BLOCK; }
    Block block(int index) const override;
    void channel(const Block &block, BlockChannel &out) const override;

  private:
    struct Axis {
        int num_modes;
        const float *eigenvalues;
        float *analysis;   // pairs to modes, packed
        float *synthesis;  // modes to subcarriers, packed
    };

    void estimate_pairs(const Grid &grid, double *seen, double *pair_var, double *cfo_re, double *cfo_im);

    const Layout *layout_ = nullptr;
    int num_time_modes_ = 0;
    const float *time_eigenvalues_ = nullptr, *time_analysis_ = nullptr, *time_synthesis_ = nullptr;
    Axis axes_[MAX_LAYERS] = {};
    int most_modes_ = 0;
    float power_ = 0;
    // [layer][pair][re, im of row rx * group]: the rows next to one another, as products take them
    float *pairs_ = nullptr;
    // [layer][mode][re, im of row rx * time mode], weights of the explained power behind: [time mode]
    float *filtered_ = nullptr;
    float *at_modes_ = nullptr, *scratch_ = nullptr;
};

}  // namespace ran6g
