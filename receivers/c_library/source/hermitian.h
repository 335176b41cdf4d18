// Small Hermitian matrices: eigenmodes by Jacobi's rotations, in double precision.
#pragma once

#include <cmath>

#include "model_file.h"

namespace ran6g {

struct Complex {
    double re, im;
};
inline Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
inline Complex operator*(Complex a, Complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
inline Complex operator*(double a, Complex b) { return {a * b.re, a * b.im}; }
inline Complex conj(Complex a) { return {a.re, -a.im}; }

// vectors[row][mode]; a is overwritten. What lies above the diagonal is not looked at.
inline void hermitian_modes(Complex (*a)[MAX_GROUPS], int n, double *values, Complex (*vectors)[MAX_GROUPS]) {
    for (int i = 0; i < n; i++) {
        a[i][i].im = 0;
        for (int j = 0; j < n; j++) vectors[i][j] = {i == j ? 1.0 : 0.0, 0};
        for (int j = i + 1; j < n; j++) a[i][j] = conj(a[j][i]);
    }
    for (int sweep = 0; sweep < 20; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                double size = std::sqrt(a[p][q].re * a[p][q].re + a[p][q].im * a[p][q].im);
                if (!(size > 1e-15 * (std::fabs(a[p][p].re) + std::fabs(a[q][q].re)))) continue;
                Complex phase = {a[p][q].re / size, a[p][q].im / size};
                double theta = (a[q][q].re - a[p][p].re) / (2 * size);
                double tangent = (theta < 0 ? -1 : 1) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
                double c = 1 / std::sqrt(tangent * tangent + 1), s = tangent * c;
                // columns p and q become c p - s conj(phase) q and s phase p + c q
                for (int i = 0; i < n; i++) {
                    Complex x = a[i][p], y = a[i][q];
                    a[i][p] = c * x + (-s) * (conj(phase) * y);
                    a[i][q] = s * (phase * x) + c * y;
                    x = vectors[i][p];
                    y = vectors[i][q];
                    vectors[i][p] = c * x + (-s) * (conj(phase) * y);
                    vectors[i][q] = s * (phase * x) + c * y;
                }
                for (int i = 0; i < n; i++) {
                    Complex x = a[p][i], y = a[q][i];
                    a[p][i] = c * x + (-s) * (phase * y);
                    a[q][i] = s * (conj(phase) * x) + c * y;
                }
            }
    for (int i = 0; i < n; i++) values[i] = a[i][i].re;
}

}  // namespace ran6g
