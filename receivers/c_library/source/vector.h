// Vectors of float32 and the few functions on them that the receivers need. Lowered by the compiler to AVX-512, AVX2 or
// whatever the target has.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace ran6g {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
// Rows are padded to this many floats on every target.
constexpr int ROW = 16;
constexpr int PER_ROW = ROW / LANES;

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef float vf_anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

constexpr int padded(int n) { return (n + ROW - 1) / ROW * ROW; }

inline vf load(const float *p) { return *reinterpret_cast<const vf_anywhere *>(p); }
inline void store(float *p, vf x) { *reinterpret_cast<vf_anywhere *>(p) = x; }
inline vf splat(float x) { return vf{} + x; }
inline vi splat_int(int32_t x) { return vi{} + x; }
inline vf max(vf a, vf b) { return a > b ? a : b; }
inline vf min(vf a, vf b) { return a < b ? a : b; }
inline vf abs(vf a) { return (vf)((vi)a & splat_int(0x7fffffff)); }
// The magnitude of a with the sign of b.
inline vf with_sign(vf a, vf b) { return (vf)((vi)a | ((vi)b & splat_int(INT32_MIN))); }

inline float sum(vf a) {
    float total = 0;
    for (int i = 0; i < LANES; i++) total += a[i];
    return total;
}

inline vf sqrt(vf a) {
#if defined(__AVX512F__)
    return (vf)_mm512_maskz_sqrt_ps(static_cast<__mmask16>(-1), (__m512)a);
#elif defined(__AVX__)
    return (vf)_mm256_sqrt_ps((__m256)a);
#else
    for (int i = 0; i < LANES; i++) a[i] = std::sqrt(a[i]);
    return a;
#endif
}

// e^x for x from -87 to 88, values beyond taken as these; relative error below 2e-7 (Cephes' polynomial).
inline vf exp(vf x) {
    x = max(min(x, splat(88.0f)), splat(-87.0f));
    const vf magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    vf shifted = x * 1.44269504089f + magic;
    vf n = shifted - magic;
    vf r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    vf p = splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    vi exponent = ((vi)shifted - (vi)magic) << 23;
    return (vf)((vi)p + exponent);
}

// Natural logarithm of normal positive numbers; relative error below 2e-7 (Cephes' polynomial).
inline vf log(vf x) {
    vi bits = (vi)x;
    vi e = ((bits >> 23) & 0xff) - 126;
    vf m = (vf)((bits & 0x007fffff) | 0x3f000000);  // 0.5 to 1
    vi small = m < splat(0.707106781186547524f);
    e = e + small;  // comparisons are -1 where true
    m = small ? m + m - 1.0f : m - 1.0f;
    vf z = m * m;
    vf p = splat(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    p = p * m * z;
    vf exponent = __builtin_convertvector(e, vf);
    p = p + exponent * -2.12194440e-4f;
    p = p - z * 0.5f;
    return m + p + exponent * 0.693359375f;
}

}  // namespace ran6g
