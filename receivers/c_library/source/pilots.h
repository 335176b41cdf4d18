// The received pilots of a slot with the DM-RS taken off.
#pragma once

#include "receiver.h"

namespace ran6g {

// Where the channel lies in time, from the phase between neighbouring pairs of pilots: over the distance of a pair the
// cover codes over frequency agree. See receivers/classical/timing.py, which this follows.
struct MeanDelay {
    double symbols;    // in useful symbol durations
    double certainty;  // the correlation over its standard deviation in noise alone
};

MeanDelay mean_delay(const Layout &layout, const Grid &grid, float *scratch);

// Floats of scratch that `mean_delay` takes.
inline size_t mean_delay_scratch(const Layout &layout) {
    return 4 * static_cast<size_t>(padded(layout.num_pilots)) + 2 * static_cast<size_t>(padded(layout.num_subcarriers));
}

// One row of pilots: values of a received row [num_subcarriers] at the pilots of a comb.
inline void pick(const int32_t *subcarriers, int n, const float *re, const float *im, float *out_re, float *out_im) {
    for (int i = 0; i < n; i++) {
        out_re[i] = re[subcarriers[i]];
        out_im[i] = im[subcarriers[i]];
    }
}

}  // namespace ran6g
