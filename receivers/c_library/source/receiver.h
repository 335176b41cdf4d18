// What a receiver holds, and the order of its work: `prepare` looks at the pilots of a slot, then every block of
// subcarriers is estimated and detected by itself.
#pragma once

#include "arena.h"
#include "fourier.h"
#include "model_file.h"
#include "products.h"
#include "threads.h"

namespace ran6g {

// Subcarriers of a block: all that is known of them stays in the first-level cache.
constexpr int BLOCK = 128;
constexpr int MAX_ERROR_MODES = MAX_GROUPS + 1;

// A run of subcarriers. Columns count from `first`; those from `low` to `high` are the block's own, others are other
// blocks' or beyond the band, and only there because columns come in panels.
struct Block {
    int first, low, high;
    int subband, panel;  // where its first panel is in the tables
    int columns;         // a multiple of ROW, at most BLOCK
};

// The channel of a block: h(symbol, k) = sum over modes of over_time(symbol, mode) modes(mode, k), error variance
// max(0, offset + sum of error_over_time(symbol, mode) error(mode, k)).
struct BlockChannel {
    alignas(64) float modes[MAX_LAYERS][MAX_RX_ANT * MAX_GROUPS][2][BLOCK];  // row rx * num_modes + mode
    alignas(64) float error[MAX_LAYERS][MAX_ERROR_MODES][BLOCK];
};

// Parts of the estimate that all blocks share.
struct OverTime {
    int num_modes, num_error_modes;
    bool is_real;
    float modes[MAX_LAYERS][MAX_SYMBOLS][MAX_GROUPS][2];
    float error[MAX_LAYERS][MAX_SYMBOLS][MAX_ERROR_MODES];
    float error_offset[MAX_LAYERS];
};

// A slot as handed over, checked, with the power of two that brings its largest entry next to 1.
struct Grid {
    const void *data;
    bool is_bf16;
    size_t antenna_stride, symbol_stride;
    const float *dmrs;
    float factor, noise_var;  // noise_var: at the level of factor * grid
};

struct Estimate {
    OverTime over_time;
    float noise_var;
    double timing_s, cfo_hz;
};

// Sums over data REs of the SINR after equalisation.
struct SinrSums {
    double of_layer[MAX_LAYERS];
};

// The real and imaginary parts of n neighbouring values of a row of the grid, times the grid's factor.
void read_row(const Grid &grid, int antenna, int symbol, int first, int n, float *re, float *im);

// Largest magnitude of a part of the grid; false where something is not finite.
bool largest_entry(const Layout &layout, const Grid &grid, float *largest);

class Estimator {
  public:
    virtual ran6g_status open(const ModelFile &file, const Layout &layout, Arena &arena) = 0;
    virtual void prepare(const Grid &grid, Estimate &estimate, Threads &threads) = 0;
    virtual int num_blocks() const = 0;
    virtual Block block(int index) const = 0;
    virtual void channel(const Block &block, BlockChannel &out) const = 0;

  protected:
    ~Estimator() = default;
};

}  // namespace ran6g
