// Transforms of any length over many sequences at once: a value is a row of ROW sequences, real parts apart.
#pragma once

#include "arena.h"
#include "vector.h"

namespace ran6g {

// Sum over m of x[m] exp(+2j pi m n / length), by Stockham's scheme with one stage per prime factor. Stages of an odd
// prime p take p^2 multiplications of a complex by a real number.
class Fourier {
  public:
    // False for lengths with too many factors. Tables come from the arena; while that counts, nothing is computed.
    bool plan(int length, Arena &arena) {
        length_ = length;
        num_stages_ = 0;
        int rest = length;
        for (int p = 2; rest > 1; p += p == 2 ? 1 : 2)
            while (rest % p == 0) {
                if (num_stages_ == MAX_STAGES) return false;
                factors_[num_stages_++] = p;
                rest /= p;
            }
        int n = length, largest = 2;
        for (int s = 0; s < num_stages_; s++) {
            int p = factors_[s], m = n / p;
            largest = p > largest ? p : largest;
            turns_[s] = arena.array<float>(2 * static_cast<size_t>(n));
            roots_[s] = arena.array<float>(2 * static_cast<size_t>(p) * p);
            if (!arena.counting()) {
                // turns [m][p]: exp(2j pi j k / n)
                for (int j = 0; j < m; j++)
                    for (int k = 0; k < p; k++) set(turns_[s] + 2 * (j * p + k), 2 * M_PI * j * k / n);
                // roots [k][i]: exp(2j pi i k / p)
                for (int k = 0; k < p; k++)
                    for (int i = 0; i < p; i++) set(roots_[s] + 2 * (k * p + i), 2 * M_PI * (i * k % p) / p);
            }
            n = m;
        }
        // sums and differences of one stage's inputs, real and imaginary parts
        pairs_ = arena.array<float>(4 * static_cast<size_t>(largest) * ROW);
        return true;
    }

    // x, y [length][re, im][ROW]; returns whichever of the two holds the result.
    float *operator()(float *x, float *y) const {
        int n = length_, s = 1;
        for (int stage = 0; stage < num_stages_; stage++) {
            int p = factors_[stage], m = n / p;
            for (int j = 0; j < m; j++)
                for (int q = 0; q < s; q++)
                    for (int lane = 0; lane < ROW; lane += LANES) {
                        const float *in = x + static_cast<size_t>(q + s * j) * VALUE + lane;
                        float *out = y + static_cast<size_t>(q + s * p * j) * VALUE + lane;
                        size_t in_step = static_cast<size_t>(s) * m * VALUE, out_step = static_cast<size_t>(s) * VALUE;
                        const float *turn = turns_[stage] + 2 * j * p;
                        if (p == 2)
                            two(in, in_step, out, out_step, turn);
                        else
                            odd(p, in, in_step, out, out_step, turn, roots_[stage]);
                    }
            float *swap = x;
            x = y;
            y = swap;
            n = m;
            s *= p;
        }
        return x;
    }

    static constexpr int VALUE = 2 * ROW;

  private:
    static void set(float *at, double angle) {
        at[0] = static_cast<float>(std::cos(angle));
        at[1] = static_cast<float>(std::sin(angle));
    }

    static void turned(float *out, vf re, vf im, const float *turn) {
        store(out, re * turn[0] - im * turn[1]);
        store(out + ROW, re * turn[1] + im * turn[0]);
    }

    static void two(const float *in, size_t in_step, float *out, size_t out_step, const float *turn) {
        vf ar = load(in), ai = load(in + ROW), br = load(in + in_step), bi = load(in + in_step + ROW);
        store(out, ar + br);
        store(out + ROW, ai + bi);
        turned(out + out_step, ar - br, ai - bi, turn + 2);
    }

    // With e = x[i] + x[p-i] and d = x[i] - x[p-i]: outputs k and p-k are the sum of e cos, plus or minus j times the
    // sum of d sin.
    void odd(int p, const float *in, size_t in_step, float *out, size_t out_step, const float *turn,
             const float *roots) const {
        int half = (p - 1) / 2;
        vf first_r = load(in), first_i = load(in + ROW), all_r = first_r, all_i = first_i;
        float *e = pairs_;
        for (int i = 1; i <= half; i++, e += 4 * LANES) {
            const float *a = in + i * in_step, *b = in + (p - i) * in_step;
            vf ar = load(a), ai = load(a + ROW), br = load(b), bi = load(b + ROW);
            store(e, ar + br);
            store(e + LANES, ai + bi);
            store(e + 2 * LANES, ar - br);
            store(e + 3 * LANES, ai - bi);
            all_r += ar + br;
            all_i += ai + bi;
        }
        store(out, all_r);
        store(out + ROW, all_i);
        int k = 1;
        for (; LANES == 16 && k + 2 <= half; k += 3) outputs<3>(p, half, k, first_r, first_i, out, out_step, turn, roots);
        for (; k + 1 <= half; k += 2) outputs<2>(p, half, k, first_r, first_i, out, out_step, turn, roots);
        for (; k <= half; k++) outputs<1>(p, half, k, first_r, first_i, out, out_step, turn, roots);
    }

    template <int N>
    void outputs(int p, int half, int k, vf first_r, vf first_i, float *out, size_t out_step, const float *turn,
                 const float *roots) const {
        vf cr[N], ci[N], sr[N], si[N];
        for (int n = 0; n < N; n++) {
            cr[n] = first_r;
            ci[n] = first_i;
            sr[n] = si[n] = vf{};
        }
        const float *e = pairs_;
        for (int i = 1; i <= half; i++, e += 4 * LANES) {
            vf er = load(e), ei = load(e + LANES), dr = load(e + 2 * LANES), di = load(e + 3 * LANES);
            for (int n = 0; n < N; n++) {
                const float *root = roots + 2 * ((k + n) * p + i);
                cr[n] += root[0] * er;
                ci[n] += root[0] * ei;
                sr[n] += root[1] * dr;
                si[n] += root[1] * di;
            }
        }
        for (int n = 0; n < N; n++) {
            int a = k + n, b = p - a;
            turned(out + a * out_step, cr[n] - si[n], ci[n] + sr[n], turn + 2 * a);
            turned(out + b * out_step, cr[n] + si[n], ci[n] - sr[n], turn + 2 * b);
        }
    }

    static constexpr int MAX_STAGES = 12;
    int length_ = 0, num_stages_ = 0;
    int factors_[MAX_STAGES];
    float *turns_[MAX_STAGES], *roots_[MAX_STAGES];
    float *pairs_ = nullptr;
};

}  // namespace ran6g
