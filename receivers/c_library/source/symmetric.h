// Real symmetric matrices: Cholesky factors and eigenmodes. Rows are `stride` floats long, a multiple of ROW, and 0
// beyond the matrix.
#pragma once

#include <cfloat>

#include "vector.h"

namespace ran6g {

inline void add_multiple(float *to, const float *row, float factor, int from, int n) {
    for (int j = from / ROW * ROW; j < n; j += LANES) store(to + j, load(to + j) + factor * load(row + j));
}

inline float inner(const float *a, const float *b, int n) {
    vf total = {};
    for (int j = 0; j < n; j += LANES) total += load(a + j) * load(b + j);
    return sum(total);
}

// a = u^T u in place, u upper triangular; what is below the diagonal is left as it was. Pivots that rounding took below
// `least` count as that.
inline void cholesky(float *a, int stride, int n, float least) {
    for (int k = 0; k < n; k++) {
        float *row = a + static_cast<size_t>(k) * stride;
        float pivot = row[k] > least ? row[k] : least;
        float scale = 1 / std::sqrt(pivot);
        for (int j = k / ROW * ROW; j < n; j += LANES) store(row + j, load(row + j) * scale);
        row[k] = pivot * scale;
        for (int i = k + 1; i < n; i++)
            add_multiple(a + static_cast<size_t>(i) * stride, row, -row[i], i, n);
    }
}

// x <- u^-T x for x [n][width], width a multiple of ROW.
inline void solve_lower(const float *u, int stride, int n, float *x, int width) {
    for (int k = 0; k < n; k++) {
        const float *row = u + static_cast<size_t>(k) * stride;
        float *own = x + static_cast<size_t>(k) * width, inverse = 1 / row[k];
        for (int j = 0; j < width; j += LANES) store(own + j, load(own + j) * inverse);
        for (int i = k + 1; i < n; i++) add_multiple(x + static_cast<size_t>(i) * width, own, -row[i], 0, width);
    }
}

// x <- u^-1 x.
inline void solve_upper(const float *u, int stride, int n, float *x, int width) {
    for (int k = n - 1; k >= 0; k--) {
        const float *row = u + static_cast<size_t>(k) * stride;
        float *own = x + static_cast<size_t>(k) * width;
        for (int i = k + 1; i < n; i++) add_multiple(own, x + static_cast<size_t>(i) * width, -row[i], 0, width);
        float inverse = 1 / row[k];
        for (int j = 0; j < width; j += LANES) store(own + j, load(own + j) * inverse);
    }
}

// Diagonal of the inverse of u^T u. z [n][stride]: scratch.
inline void inverse_diagonal(const float *u, int stride, int n, float *z, float *diagonal) {
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < padded(n); j += LANES) store(z + static_cast<size_t>(i) * stride + j, vf{});
        z[static_cast<size_t>(i) * stride + i] = 1;
    }
    for (int j = 0; j < padded(n); j += LANES) store(diagonal + j, vf{});
    for (int k = 0; k < n; k++) {
        const float *row = u + static_cast<size_t>(k) * stride;
        float *own = z + static_cast<size_t>(k) * stride, inverse = 1 / row[k];
        for (int j = 0; j <= k; j += LANES) {
            vf scaled = load(own + j) * inverse;
            store(own + j, scaled);
            store(diagonal + j, load(diagonal + j) + scaled * scaled);
        }
        for (int i = k + 1; i < n; i++) add_multiple(z + static_cast<size_t>(i) * stride, own, -row[i], 0, k + 1);
    }
}

// Eigenvalues, in no order, and eigenvectors of a symmetric matrix, which is overwritten: Householder's reduction to
// three diagonals, then implicit QL steps (G. H. Golub and C. F. Van Loan, Matrix Computations, 4th ed., sections 8.3.1
// and 8.3.3). Small eigenvalues are exact where the matrix falls off from its first row to its last: the reduction then
// works from the large rows to the small ones, and the QL steps, on the rows in reverse, from the small to the large.
// vectors [n][stride]: row i is that of values[i]. scratch [n][stride], and [4][stride] of doubles.
inline void eigenmodes(float *a, int stride, int n, float *values, float *vectors, float *scratch, double *doubles) {
    const int width = padded(n);
    double *diagonal = doubles, *off = doubles + stride;
    float *p = vectors, *v;  // rows of `vectors` serve before they are needed
    for (int k = 0; k + 2 < n; k++) {
        // reflect row k onto its neighbour of the diagonal; v stays in scratch row k
        float *row = a + static_cast<size_t>(k) * stride;
        v = scratch + static_cast<size_t>(k) * stride;
        for (int j = 0; j < width; j += LANES) store(v + j, load(row + j));
        for (int j = 0; j <= k; j++) v[j] = 0;
        double tail = 0;
        for (int j = k + 2; j < n; j++) tail += static_cast<double>(v[j]) * v[j];
        double first = v[k + 1], norm = std::sqrt(first * first + tail);
        off[k] = first;
        float &beta = p[2 * static_cast<size_t>(stride) + k];
        beta = 0;
        if (!(tail > 0) || !(norm > FLT_MIN)) continue;
        double alpha = first > 0 ? -norm : norm;
        off[k] = alpha;
        // v scaled to a first entry of 1
        double scale = 1 / (first - alpha);
        for (int j = k + 2; j < n; j++) v[j] = static_cast<float>(v[j] * scale);
        v[k + 1] = 1;
        beta = static_cast<float>((alpha - first) / alpha);
        for (int j = 0; j < width; j += LANES) store(p + j, vf{});
        for (int i = k + 1; i < n; i++) add_multiple(p, a + static_cast<size_t>(i) * stride, beta * v[i], k + 1, width);
        for (int j = k / ROW * ROW; j <= k; j++) p[j] = 0;
        float half = 0.5f * beta * inner(p, v, width);
        add_multiple(p, v, -half, 0, width);
        for (int i = k + 1; i < n; i++) {
            float *at = a + static_cast<size_t>(i) * stride;
            float vi = v[i], pi = p[i];
            for (int j = (k + 1) / ROW * ROW; j < width; j += LANES)
                store(at + j, load(at + j) - vi * load(p + j) - pi * load(v + j));
        }
    }
    if (n >= 2) off[n - 2] = a[static_cast<size_t>(n - 2) * stride + n - 1];
    for (int i = 0; i < n; i++) diagonal[n - 1 - i] = a[static_cast<size_t>(i) * stride + i];
    for (int i = 0; i < (n - 1) / 2; i++) {
        double swap = off[i];
        off[i] = off[n - 2 - i];
        off[n - 2 - i] = swap;
    }
    off[n - 1] = 0;
    // the product of the reflections, from the last to the first, in `a`; its transpose, rows in reverse, in
    // `vectors`
    float *beta = p + 2 * static_cast<size_t>(stride), *sum_of = p;
    for (int i = 0; i < n; i++) {
        float *row = a + static_cast<size_t>(i) * stride;
        for (int j = 0; j < width; j += LANES) store(row + j, vf{});
        row[i] = 1;
    }
    for (int k = n - 3; k >= 0; k--) {
        if (beta[k] == 0) continue;
        v = scratch + static_cast<size_t>(k) * stride;
        for (int j = 0; j < width; j += LANES) store(sum_of + j, vf{});
        for (int i = k + 1; i < n; i++) add_multiple(sum_of, a + static_cast<size_t>(i) * stride, v[i], k + 1, width);
        for (int i = k + 1; i < n; i++)
            add_multiple(a + static_cast<size_t>(i) * stride, sum_of, -beta[k] * v[i], k + 1, width);
    }
    for (int i = 0; i < n; i++) {
        float *row = vectors + static_cast<size_t>(i) * stride;
        for (int j = 0; j < n; j++) row[j] = a[static_cast<size_t>(j) * stride + n - 1 - i];
        for (int j = n; j < width; j++) row[j] = 0;
    }
    for (int low = 0; low < n; low++) {
        for (int step = 0; step < 60; step++) {
            int high = low;
            for (; high + 1 < n; high++) {
                double around = std::fabs(diagonal[high]) + std::fabs(diagonal[high + 1]);
                if (std::fabs(off[high]) <= 1e-9 * around) break;
            }
            if (high == low) break;
            double g = (diagonal[low + 1] - diagonal[low]) / (2 * off[low]);
            double r = std::sqrt(g * g + 1);
            g = diagonal[high] - diagonal[low] + off[low] / (g + (g < 0 ? -r : r));
            double s = 1, c = 1, shift = 0;
            int i = high - 1;
            for (; i >= low; i--) {
                double f = s * off[i], b = c * off[i];
                r = std::sqrt(f * f + g * g);
                off[i + 1] = r;
                if (!(r > 0)) {
                    diagonal[i + 1] -= shift;
                    off[high] = 0;
                    break;
                }
                s = f / r;
                c = g / r;
                g = diagonal[i + 1] - shift;
                r = (diagonal[i] - g) * s + 2 * c * b;
                shift = s * r;
                diagonal[i + 1] = g + shift;
                g = c * r - b;
                float *one = vectors + static_cast<size_t>(i) * stride, *two = one + stride;
                float cf = static_cast<float>(c), sf = static_cast<float>(s);
                for (int j = 0; j < width; j += LANES) {
                    vf x = load(one + j), y = load(two + j);
                    store(two + j, sf * x + cf * y);
                    store(one + j, cf * x - sf * y);
                }
            }
            if (i >= low) continue;
            diagonal[low] -= shift;
            off[low] = g;
            off[high] = 0;
        }
    }
    for (int i = 0; i < n; i++) values[i] = static_cast<float>(diagonal[i]);
}

}  // namespace ran6g
