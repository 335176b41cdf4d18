// The network of a pass of receivers/neural/soft_pilots.py for one layer: depthwise and pointwise convolutions over
// nodes of the grid, what antennas have in common shared through their mean.
#pragma once

#include "arena.h"
#include "pointwise.h"

namespace ran6g {

constexpr int OWN_FEATURES = 6, SHARED_FEATURES = 9, NUM_FEATURES = OWN_FEATURES + SHARED_FEATURES;
constexpr int NUM_OUTPUTS = 4, TAPS_OVER_SYMBOLS = 3, TAPS = 15;
constexpr int MAX_CHANNELS = 64, MAX_NET_BLOCKS = 8, MAX_DILATION = 8;
// Zeros at both ends of a row of nodes, as far as the widest convolution reaches.
constexpr int EDGE = 2 * MAX_DILATION;

// How many nodes there are. width: of a row without its edges, beyond `num_nodes` zeros, at least one.
struct NodeShape {
    int num_rx, num_rows, num_nodes, width;
    int stride() const { return width + 2 * EDGE; }
    int vectors() const { return width / LANES; }
};

// Rows of nodes [row][channel][stride], with a row of zeros before the first and after the last.
struct Planes {
    float *data;
    int channels, stride;
    // Of a row, from -1 to the number of rows; the first node of a channel.
    float *at(int row, int channel) const {
        return data + (static_cast<size_t>(row + 1) * channels + channel) * stride + EDGE;
    }
};

Planes planes_of(Arena &arena, const NodeShape &shape, int channels);

// Where the activations of a network are; passes use the same.
struct Activations {
    Planes own[16], shared;            // [antenna]: features
    Planes now[16], next[16];          // [antenna]: before and after a block
    float *out;                        // [antenna][row][NUM_OUTPUTS][width]
};

// What one thread writes to while it works on a row: inputs of pointwise convolutions, as floats or pairs.
struct RowScratch {
    float *mean, *depthwise, *hidden, *common;
};

class Network {
  public:
    static size_t num_weights(int num_channels, int num_blocks);
    // weights: those of a pass in the order of network_arrays.py. bfloat16: whether the residual blocks may round what
    // they multiply; they do where the processor gains by it.
    void open(const float *weights, int num_channels, int num_blocks, const int32_t *dilations, bool bfloat16,
              Arena &arena);

    static RowScratch scratch_of(Arena &arena, const NodeShape &shape, int num_channels);
    int num_stages() const { return num_blocks_ + 1; }
    // One row of a stage: 0 is the entrance, then the residual blocks, the last of which leaves as well.
    void run(int stage, int row, const NodeShape &shape, const Activations &a, const RowScratch &scratch) const;

  private:
    struct Depthwise {
        float *weights, *bias;  // [channel][TAPS]
        int dilation;
    };
    struct ResidualBlock {
        Depthwise depthwise;
        Pointwise spread, over_antennas, merge;
    };
    Pointwise pointwise(const float *&weights, int inputs, int outputs, Arena &arena) const;
    Depthwise depthwise(const float *&weights, int channels, int dilation, Arena &arena) const;
    template <class In>
    static void convolve(const Depthwise &d, const Planes &from, int row, int first, int channels, int width,
                         float *out);
    void enter(int row, const NodeShape &shape, const Activations &a, const RowScratch &scratch) const;
    template <class In>
    void run_block(int stage, int row, const NodeShape &shape, const Activations &a, const RowScratch &scratch) const;

    int num_channels_ = 0, num_blocks_ = 0;
    bool bfloat16_ = false;
    Depthwise enter_depthwise_ = {};
    Pointwise enter_ = {}, leave_ = {};
    ResidualBlock blocks_[MAX_NET_BLOCKS] = {};
};

}  // namespace ran6g
