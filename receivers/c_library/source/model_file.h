// The model file: named arrays behind a checksum. Written by receivers/c_library/model_file.py.
#pragma once

#include "ran6g_receiver.h"

namespace ran6g {

constexpr uint32_t MODEL_VERSION = 1;
constexpr int MAX_LAYERS = 4, MAX_RX_ANT = 16, MAX_PRB = 275, MAX_SYMBOLS = 14;
// DM-RS symbols, and groups of them: a group is one symbol, or two neighbours of double-symbol DM-RS.
constexpr int MAX_DMRS_SYMBOLS = 8, MAX_GROUPS = 4;
constexpr int MAX_SUBCARRIERS = 12 * MAX_PRB;

// The bytes of a file as arrays by name. Nothing is copied.
class ModelFile {
  public:
    // RAN6G_BAD_FILE or RAN6G_BAD_VERSION where the bytes are no whole, unchanged model file.
    ran6g_status open(const unsigned char *bytes, size_t size);

    // Arrays of exactly `count` finite numbers; null where there is none. Any number with count 0, told in *found.
    const float *floats(const char *name, size_t count, size_t *found = nullptr) const;
    const double *doubles(const char *name, size_t count, size_t *found = nullptr) const;
    const int32_t *integers(const char *name, size_t count, size_t *found = nullptr) const;

  private:
    const void *find(const char *name, uint32_t type, size_t item_bytes, size_t count, size_t *found) const;

    const unsigned char *bytes_ = nullptr;
    size_t size_ = 0;
    uint32_t num_arrays_ = 0;
};

enum class Kind : int { lmmse = 0, blind = 1, soft_pilots = 2 };
enum class Detector : int { lmmse = 0, ep = 1 };

// What the model file says about the slots, checked: every index is within its array.
struct Layout {
    Kind kind;
    Detector detector;
    int num_prb, num_subcarriers, num_rx, num_layers, num_symbols, bits;
    int num_dmrs_symbols, num_adjacent, num_groups;
    int num_iterations;
    int num_pilots;  // of one layer in one DM-RS symbol
    int num_pairs;
    int dmrs_symbols[MAX_DMRS_SYMBOLS];
    int num_combs;  // sets of pilot subcarriers
    int comb_of[MAX_LAYERS];
    int code_of[MAX_LAYERS];  // product of the layer's cover code over frequency: 1 or -1
    bool shared_user;         // all layers are of one user
    int user_of[MAX_LAYERS];
    const int32_t *pilot_subcarriers[MAX_LAYERS];  // [comb][num_pilots]
    const int32_t *data_mask;                      // [num_symbols][num_subcarriers]
    const double *symbol_times;
    const float *dmrs;  // [num_layers][num_dmrs_symbols][num_pilots][2]
    double subcarrier_spacing_hz, max_cfo_hz;
    float layer_amplitude, power_margin, least_power;
};

ran6g_status read_layout(const ModelFile &file, Layout &layout);

}  // namespace ran6g
