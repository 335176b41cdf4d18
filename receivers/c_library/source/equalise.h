// Detection of the layers of LANES resource elements at once, from the Gram matrix and the matched filter; follows
// receivers/classical/equalizer.py, unrolled.py and expectation_propagation.py.
#pragma once

#include "vector.h"

namespace ran6g {

constexpr float LEAST_SINR = 1e-9f;            // gain over the noise below which a layer counts as not there
constexpr float LEAST_LOADING = 1.0f / 1048576;  // 2^-20: what single precision leaves of a pivot
constexpr float LEAST_PRECISION = 1e-9f;
constexpr float MIN_VARIANCE = 1e-4f;

// Sums over the antennas: a = H^H H (lower triangle), b = H^H y; the noise counts the error of the channel.
template <int L> struct Sums {
    vf own[L];
    vf re[L][L], im[L][L];  // [i][j] for j < i
    vf br[L], bi[L];
    vf noise;
};

// Unbiased estimates of unit-power symbols and their noise variance.
template <int L> struct Symbols {
    vf re[L], im[L], variance[L];
};

inline void combine(const Sums<1> &s, Symbols<1> &x) {
    vf gain = max(s.own[0], LEAST_SINR * s.noise), inverse = 1.0f / gain;
    x.re[0] = s.br[0] * inverse;
    x.im[0] = s.bi[0] * inverse;
    x.variance[0] = s.noise * inverse;
}

// LMMSE: a + noise = L D L^H, x = (a + noise)^-1 b, unbiased by the inverse's diagonal.
template <int L> inline void lmmse(const Sums<L> &s, Symbols<L> &x) {
    vf noise[L], q[L], vr[L][L], vim[L][L], lr[L][L], li[L][L], zr[L], zi[L], xr[L], xi[L];
    for (int j = 0; j < L; j++) {
        noise[j] = max(LEAST_LOADING * s.own[j], s.noise);
        vf pivot = s.own[j] + noise[j];
        for (int p = 0; p < j; p++) pivot -= vr[j][p] * lr[j][p] + vim[j][p] * li[j][p];
        q[j] = 1.0f / pivot;
        for (int i = j + 1; i < L; i++) {
            vf re = s.re[i][j], im = s.im[i][j];
            for (int p = 0; p < j; p++) {
                re -= vr[i][p] * lr[j][p] + vim[i][p] * li[j][p];
                im -= vim[i][p] * lr[j][p] - vr[i][p] * li[j][p];
            }
            vr[i][j] = re;
            vim[i][j] = im;
            lr[i][j] = re * q[j];
            li[i][j] = im * q[j];
        }
    }
    for (int i = 0; i < L; i++) {
        zr[i] = s.br[i];
        zi[i] = s.bi[i];
        for (int p = 0; p < i; p++) {
            zr[i] -= lr[i][p] * zr[p] - li[i][p] * zi[p];
            zi[i] -= lr[i][p] * zi[p] + li[i][p] * zr[p];
        }
    }
    for (int i = L - 1; i >= 0; i--) {
        xr[i] = zr[i] * q[i];
        xi[i] = zi[i] * q[i];
        for (int p = i + 1; p < L; p++) {
            xr[i] -= lr[p][i] * xr[p] + li[p][i] * xi[p];
            xi[i] -= lr[p][i] * xi[p] - li[p][i] * xr[p];
        }
    }
    for (int i = 0; i < L; i++) {
        vf inverse = q[i], er[L], ei[L];
        for (int p = i + 1; p < L; p++) {
            er[p] = -lr[p][i];
            ei[p] = -li[p][i];
            for (int m = i + 1; m < p; m++) {
                er[p] -= lr[p][m] * er[m] - li[p][m] * ei[m];
                ei[p] -= lr[p][m] * ei[m] + li[p][m] * er[m];
            }
            inverse += (er[p] * er[p] + ei[p] * ei[p]) * q[p];
        }
        vf bias = min(max(1.0f - noise[i] * inverse, splat(LEAST_SINR)), splat(1.0f));
        vf unbias = 1.0f / bias;
        x.re[i] = xr[i] * unbias;
        x.im[i] = xi[i] * unbias;
        x.variance[i] = max(unbias - 1.0f, splat(LEAST_LOADING));
    }
}

// What the observation and the other layers say about each layer, given Gaussian beliefs on all.
template <int L>
inline void cavity(const Sums<L> &s, vf weight, const vf *precision, const vf *shift_r, const vf *shift_i,
                   Symbols<L> &x) {
    // w: inverse of the Cholesky factor
    vf cr[L][L], ci[L][L], wr[L][L], wi[L][L], diagonal[L], inner_r[L], inner_i[L];
    for (int i = 0; i < L; i++) {
        vf own = s.own[i] * weight + precision[i], rest = own;
        for (int j = 0; j < i; j++) {
            vf re = s.re[i][j] * weight, im = s.im[i][j] * weight;
            for (int k = 0; k < j; k++) {
                re -= cr[i][k] * cr[j][k] + ci[i][k] * ci[j][k];
                im -= ci[i][k] * cr[j][k] - cr[i][k] * ci[j][k];
            }
            cr[i][j] = re * diagonal[j];
            ci[i][j] = im * diagonal[j];
            rest -= cr[i][j] * cr[i][j] + ci[i][j] * ci[i][j];
        }
        diagonal[i] = 1.0f / sqrt(max(rest, LEAST_LOADING * own));
        for (int j = 0; j < i; j++) {
            vf re = cr[i][j] * diagonal[j], im = ci[i][j] * diagonal[j];
            for (int k = j + 1; k < i; k++) {
                re += cr[i][k] * wr[k][j] - ci[i][k] * wi[k][j];
                im += cr[i][k] * wi[k][j] + ci[i][k] * wr[k][j];
            }
            wr[i][j] = -re * diagonal[i];
            wi[i][j] = -im * diagonal[i];
        }
    }
    vf right_r[L], right_i[L];
    for (int i = 0; i < L; i++) {
        right_r[i] = s.br[i] * weight + shift_r[i];
        right_i[i] = s.bi[i] * weight + shift_i[i];
        inner_r[i] = right_r[i] * diagonal[i];
        inner_i[i] = right_i[i] * diagonal[i];
        for (int j = 0; j < i; j++) {
            inner_r[i] += wr[i][j] * right_r[j] - wi[i][j] * right_i[j];
            inner_i[i] += wr[i][j] * right_i[j] + wi[i][j] * right_r[j];
        }
    }
    for (int i = 0; i < L; i++) {
        vf re = inner_r[i] * diagonal[i], im = inner_i[i] * diagonal[i], variance = diagonal[i] * diagonal[i];
        for (int j = i + 1; j < L; j++) {
            re += wr[j][i] * inner_r[j] + wi[j][i] * inner_i[j];
            im += wr[j][i] * inner_i[j] - wi[j][i] * inner_r[j];
            variance += wr[j][i] * wr[j][i] + wi[j][i] * wi[j][i];
        }
        vf known = 1.0f / variance;
        vf rest = 1.0f / max(known - precision[i], splat(LEAST_PRECISION));
        x.re[i] = (re * known - shift_r[i]) * rest;
        x.im[i] = (im * known - shift_i[i]) * rest;
        x.variance[i] = rest;
    }
}

// Mean and variance of one axis of a symbol: levels +-1, +-3, ... times `scale`, seen as x with complex variance 1/k.
inline void axis_moments(vf x, vf k, int levels, float scale, vf *mean, vf *variance) {
    vf nearest = splat(3e38f);
    for (int i = 0; i < levels; i++) {
        vf d = x - scale * static_cast<float>(2 * i + 1 - levels);
        nearest = min(nearest, d * d * k);
    }
    vf total = {}, first = {}, second = {};
    for (int i = 0; i < levels; i++) {
        float level = scale * static_cast<float>(2 * i + 1 - levels);
        vf d = x - level, p = exp(nearest - d * d * k);
        total += p;
        first += p * level;
        second += p * (level * level);
    }
    vf inverse = 1.0f / total;
    *mean = first * inverse;
    *variance = second * inverse - *mean * *mean;
}

// Expectation propagation: LMMSE, then every layer's Gaussian replaced once by one with the moments of its points.
// levels: of an axis.
template <int L> __attribute__((noinline)) void expectation_propagation(const Sums<L> &s, int levels, Symbols<L> &x) {
    const float scale = 1 / std::sqrt(2.0f * static_cast<float>(levels * levels - 1) / 3.0f);
    vf weight = 1.0f / s.noise, precision[L], shift_r[L], shift_i[L];
    for (int i = 0; i < L; i++) {
        precision[i] = splat(1.0f);
        shift_r[i] = shift_i[i] = vf{};
    }
    cavity<L>(s, weight, precision, shift_r, shift_i, x);
    for (int i = 0; i < L; i++) {
        vf known = 1.0f / x.variance[i], mean_r, mean_i, var_r, var_i;
        axis_moments(x.re[i], known, levels, scale, &mean_r, &var_r);
        axis_moments(x.im[i], known, levels, scale, &mean_i, &var_i);
        vf spread = 1.0f / max(var_r + var_i, splat(MIN_VARIANCE)), fresh = spread - known;
        // a constellation can look wider than the Gaussian that it replaces: then the old one stays
        auto usable = fresh > vf{};
        precision[i] = usable ? fresh : precision[i];
        shift_r[i] = usable ? mean_r * spread - x.re[i] * known : shift_r[i];
        shift_i[i] = usable ? mean_i * spread - x.im[i] * known : shift_i[i];
    }
    cavity<L>(s, weight, precision, shift_r, shift_i, x);
}

// Max-log LLRs of the bits of one axis, exact; see receivers/classical/qam.py. v: symbol in units of the innermost
// level; precision: 1 / (variance in these units). out[m]: bit m of the axis.
template <int BITS> inline void demap_axis(vf v, vf precision, vf *out) {
    constexpr int PER_AXIS = BITS / 2;
    for (int m = PER_AXIS; m > 0; m--) {
        vf a = abs(v);
        if (m == 1) {
            out[PER_AXIS - 1] = 4.0f * v * precision;
        } else {
            const float last = (1 << m) - 1;
            // bounded before the conversion; from there on the level does not grow
            vf half = 0.5f * min(a, splat(last + 1));
            vf nearest = min(2.0f * __builtin_convertvector(__builtin_convertvector(half, vi), vf) + 1.0f, splat(last));
            vf value = (1.0f + nearest) * (a + a + (1.0f - nearest)) * precision;
            // a sum of positive terms but for the sign of v
            out[PER_AXIS - m] = (v < vf{}) ? -value : value;
            v = static_cast<float>(1 << (m - 1)) - a;
        }
    }
}

}  // namespace ran6g
