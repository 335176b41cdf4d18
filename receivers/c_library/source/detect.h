// From the channel of a block to equalised symbols and soft bits.
#pragma once

#include "receiver.h"

namespace ran6g {

// Where the data REs of a symbol are.
struct DataRow {
    int start, count;      // number of its first data RE in the slot, and how many there are
    const int32_t *before;  // [num_subcarriers]: data REs of the symbol before a subcarrier; null where all carry data
    const int32_t *mask;    // [num_subcarriers]
};

struct Wanted {
    float *channel, *error_var, *symbols, *symbol_noise;
    void *llr;
    int llr_format, llr_max;
    float llr_scale;
};

// What a thread writes to while it works on a block.
struct Work {
    BlockChannel channel;
    alignas(64) float received[MAX_RX_ANT][2][BLOCK];
    alignas(64) float noise[BLOCK];
    alignas(64) float symbols[MAX_LAYERS][3][BLOCK];  // real and imaginary part, variance
    alignas(64) float llr[8][BLOCK];
    alignas(64) int32_t codes[8][BLOCK];
    SinrSums sums;
};

// Soft bits, symbols and sums of SINR of one block, all its OFDM symbols with data.
void detect_block(const Layout &layout, const Grid &grid, const Estimate &estimate, const Block &block,
                  const DataRow *rows, const Wanted &wanted, Work &work);

// What is asked for of one symbol of a block whose symbols are in `work`.
void write_detected(const Layout &layout, const Block &block, const DataRow &row, const Wanted &wanted, Work &work);

// The channel of a block written to the grid, at the level of the slot as it was handed over.
void write_channel(const Layout &layout, const Grid &grid, const Estimate &estimate, const Block &block,
                   const Wanted &wanted, Work &work);

}  // namespace ran6g
