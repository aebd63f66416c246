/* G.722 at 64 kbit/s of many legs at once, bit for bit what ITU-T G.722 says (§6.2).
 *
 * The two ADPCM coders of a stream go on sample by sample, so that nothing within a stream can be
 * done at once; but all streams take the same steps. LANES of them, the low bands and then the
 * high ones, are what the compiler makes vector instructions of: field f of lane i is
 * st[f][i]. Names are those of the standard where there are any. `g722_lanes.py` calls this and
 * checks types and lengths. Shifts of negative numbers are arithmetic, as all compilers have them.
 */
#include <stdint.h>
#include <string.h>

#include "_clones.h"
#define PART static inline __attribute__((always_inline))

typedef int32_t i32;
enum { LANES = 32, BOTH = 2 * LANES, QMF_PAST = 22, LONGEST = 480, LEVELS = 353 };
/* Fields of a lane: B and PAST have six each; P1 and P2 are signs, 0 or -1; CODE is scratch. */
enum { S, SZ, A1, A2, R1, P1, P2, NB, DET, D, CODE, B, PAST = B + 6, FIELDS = PAST + 6 };
enum { STATE = 2 * FIELDS + QMF_PAST }; /* numbers of one stream: as in g722_lanes.py */

static const i32 WL[8] = {-60, -30, 58, 172, 334, 538, 1198, 3042}, WH[3] = {0, -214, 798};
static const i32 RL42[16] = {0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0};
static const i32 ILB[32] = {2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543,
                            2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091, 3158, 3228,
                            3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008};
static const i32 Q6[32] = {0,    35,   72,   110,  150,  190,  233,  276,  323,   370,  422,
                           473,  530,  587,  650,  714,  786,  858,  940,  1023,  1121, 1219,
                           1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919, 32767, 32767};
static const i32 QM4[16] = {0,     -20456, -12896, -8968, -6288, -4240, -2584, -1200,
                            20456, 12896,  8968,   6288,  4240,  2584,  1200,  0};
static const i32 QM6[64] = {
    -136,   -136,   -136,   -136,   -24808, -21904, -19008, -16704, -14984, -13512, -12280,
    -11192, -10232, -9360,  -8576,  -7856,  -7192,  -6576,  -6000,  -5456,  -4944,  -4464,
    -4008,  -3576,  -3168,  -2776,  -2400,  -2032,  -1688,  -1360,  -1040,  -728,   24808,
    21904,  19008,  16704,  14984,  13512,  12280,  11192,  10232,  9360,   8576,   7856,
    7192,   6576,   6000,   5456,   4944,   4464,   4008,   3576,   3168,   2776,   2400,
    2032,   1688,   1360,   1040,   728,    432,    136,    -432,   -136};
static const i32 QM2[4] = {-7408, -1616, 7408, 1616};
static const i32 QMF[12] = {3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11};

/* Made once, from the above: steps of each band by level, steps up by code, and the codes of the
 * low band by how many thresholds are reached, those of negative numbers from 32 on. */
static i32 step_of[2 * LEVELS], up_low[16], up_high[4], code_low[64];

__attribute__((constructor)) static void make_tables(void) {
    for (int band = 0; band < 2; band++)
        for (int level = 0; level < LEVELS; level++) {
            i32 shift = 8 + 2 * band - (level >> 5), size = ILB[level & 31];
            step_of[band * LEVELS + level] = (shift >= 0 ? size >> shift : size << -shift) << 2;
        }
    for (int k = 0; k < 16; k++) up_low[k] = WL[RL42[k]];
    for (int k = 0; k < 4; k++) up_high[k] = WH[k & 1 ? 1 : 2];
    for (int k = 0; k < 30; k++) {
        code_low[k] = 61 - k;
        code_low[32 + k] = k < 2 ? 63 - k : 33 - k;
    }
}

PART i32 within(i32 x, i32 low, i32 high) { return x < low ? low : x > high ? high : x; }
PART i32 sat(i32 x) { return within(x, -32768, 32767); }
PART i32 times(i32 a, i32 b) { return (a * b) >> 15; }

/* Move a tap of the zero predictor (block UPZERO): `opposite` is -1 where signs differ. */
PART i32 zero_tap(i32 b, i32 opposite, i32 step) {
    return ((step ^ opposite) - opposite) + ((b * 255) >> 8);
}

/* Adapt the predictors to D, and predict the next sample, S (block 4 of §6.2.1.4). */
PART void predict(i32 st[restrict FIELDS][BOTH]) {
    for (int i = 0; i < BOTH; i++) {
        i32 d = st[D][i], a1 = st[A1][i], a2 = st[A2][i], p1 = st[P1][i], r2 = st[R1][i];
        i32 r1 = sat(st[S][i] + d), p0 = sat(st[SZ][i] + d) >> 15;
        i32 differ = p0 ^ p1, differ2 = p0 ^ st[P2][i], same = ~differ;
        i32 turned = (sat(a1 * 4) ^ same) - same;
        turned = turned > 32767 ? 32767 : turned;
        a2 = (turned >> 7) + (differ2 * 256 + 128) + times(a2, 32512);
        a2 = within(a2, -12288, 12288);
        a1 = 192 + differ * 384 + times(a1, 32640);
        a1 = within(a1, a2 - 15360, 15360 - a2);
        i32 step = d != 0 ? 128 : 0, sign = d >> 31, now = d, sz = 0;
        for (int k = 0; k < 6; k++) {
            i32 past = st[PAST + k][i];
            i32 b = zero_tap(st[B + k][i], (past >> 31) ^ sign, step);
            sz += times(b, sat(2 * now));
            st[B + k][i] = b;
            st[PAST + k][i] = now;
            now = past;
        }
        sz = sat(sz);
        i32 sp = sat(times(a1, sat(2 * r1)) + times(a2, sat(2 * r2)));
        st[A1][i] = a1, st[A2][i] = a2, st[R1][i] = r1, st[P1][i] = p0, st[P2][i] = p1;
        st[SZ][i] = sz, st[S][i] = sat(sp + sz);
    }
}

/* Turn samples into codes, there and in CODE (QUANTL and QUANTH). */
PART void quantize(i32 st[restrict FIELDS][BOTH], i32 io[restrict BOTH]) {
    for (int i = 0; i < LANES; i++) {
        i32 e = sat(io[i] - st[S][i]), det = st[DET][i], size = e ^ (e >> 31), k = 0;
        k += size >= (Q6[k + 16] * det) >> 12 ? 16 : 0; /* thresholds reached: by halves */
        k += size >= (Q6[k + 8] * det) >> 12 ? 8 : 0;
        k += size >= (Q6[k + 4] * det) >> 12 ? 4 : 0;
        k += size >= (Q6[k + 2] * det) >> 12 ? 2 : 0;
        k += size >= (Q6[k + 1] * det) >> 12 ? 1 : 0;
        k = k > 29 ? 29 : k;
        st[CODE][i] = io[i] = code_low[k + ((e >> 31) & 32)];
    }
    for (int i = LANES; i < BOTH; i++) {
        i32 e = sat(io[i] - st[S][i]), size = e ^ (e >> 31);
        i32 near = size >= (564 * st[DET][i]) >> 12 ? 0 : 1;
        st[CODE][i] = io[i] = near + (~(e >> 31) & 2);
    }
}

/* Set D to what CODE stands for, and the next step size (INVQAL to SCALEL, and H). */
PART void adapt(i32 st[restrict FIELDS][BOTH]) {
    for (int i = 0; i < LANES; i++) {
        i32 k = st[CODE][i] >> 2, nb = ((st[NB][i] * 127) >> 7) + up_low[k];
        st[D][i] = times(st[DET][i], QM4[k]);
        st[NB][i] = nb = within(nb, 0, 18432);
        st[DET][i] = step_of[nb >> 6];
    }
    for (int i = LANES; i < BOTH; i++) {
        i32 k = st[CODE][i], nb = ((st[NB][i] * 127) >> 7) + up_high[k];
        st[D][i] = times(st[DET][i], QM2[k]);
        st[NB][i] = nb = within(nb, 0, 22528);
        st[DET][i] = step_of[LEVELS + (nb >> 6)];
    }
}

/* Set CODE to codes of the two bands, and x to what they sound like: sums, then differences. */
PART void rebuild(i32 st[restrict FIELDS][BOTH], const i32 io[restrict LANES],
                  i32 x[restrict BOTH]) {
    for (int i = 0; i < LANES; i++) {
        i32 low_code = io[i] & 63, high_code = io[i] >> 6;
        st[CODE][i] = low_code, st[CODE][LANES + i] = high_code;
        i32 low = times(st[DET][i], QM6[low_code]) + st[S][i];
        i32 high = times(st[DET][LANES + i], QM2[high_code]) + st[S][LANES + i];
        low = within(low, -16384, 16383), high = within(high, -16384, 16383);
        x[i] = low + high, x[LANES + i] = low - high;
    }
}

/* The quadrature mirror filter, of the samples 2t to 2t + 23: the odd half and the even. */
PART void mirror(i32 x[restrict][LANES], i32 odd[restrict LANES], i32 even[restrict LANES]) {
    memset(odd, 0, LANES * sizeof *odd);
    memset(even, 0, LANES * sizeof *even);
    for (int k = 0; k < 12; k++)
        for (int i = 0; i < LANES; i++) {
            odd[i] += x[2 * k][i] * QMF[k];
            even[i] += x[2 * k + 1][i] * QMF[11 - k];
        }
}

PART void load(const i32 *states, int64_t n, i32 st[FIELDS][BOTH], i32 x[][LANES]) {
    for (int64_t i = 0; i < n; i++) {
        const i32 *one = states + i * STATE;
        for (int f = 0; f < FIELDS; f++) {
            st[f][i] = one[2 * f];
            st[f][LANES + i] = one[2 * f + 1];
        }
        for (int k = 0; k < QMF_PAST; k++) x[k][i] = one[2 * FIELDS + k];
    }
}

PART void store(i32 *states, int64_t n, i32 st[FIELDS][BOTH], i32 last[][LANES]) {
    for (int64_t i = 0; i < n; i++) {
        i32 *one = states + i * STATE;
        for (int f = 0; f < FIELDS; f++) {
            one[2 * f] = st[f][i];
            one[2 * f + 1] = st[f][LANES + i];
        }
        for (int k = 0; k < QMF_PAST; k++) one[2 * FIELDS + k] = last[k][i];
    }
}

/* codes (n, count) from frames (n, 2 * count); stream i goes on from states (n, STATE). */
CLONES int64_t tb_g722_encode(i32 *states, const int16_t *frames, uint8_t *codes, int64_t n,
                              int64_t count) {
    static _Thread_local i32 st[FIELDS][BOTH], x[QMF_PAST + 2 * LONGEST][LANES], io[LONGEST][BOTH];
    i32 odd[LANES], even[LANES];
    if (count < 0 || count > LONGEST) return -1;
    for (int64_t at = 0; at < n; at += LANES) {
        int64_t some = n - at < LANES ? n - at : LANES;
        load(states + at * STATE, some, st, x);
        for (int64_t i = 0; i < some; i++)
            for (int64_t k = 0; k < 2 * count; k++)
                x[QMF_PAST + k][i] = frames[(at + i) * 2 * count + k];
        for (int64_t t = 0; t < count; t++) {
            mirror(x + 2 * t, odd, even);
            for (int i = 0; i < LANES; i++) {
                io[t][i] = (even[i] + odd[i]) >> 14;
                io[t][LANES + i] = (even[i] - odd[i]) >> 14;
            }
        }
        for (int64_t t = 0; t < count; t++) {
            quantize(st, io[t]);
            adapt(st);
            predict(st);
        }
        for (int64_t i = 0; i < some; i++)
            for (int64_t t = 0; t < count; t++)
                codes[(at + i) * count + t] = (uint8_t)(io[t][LANES + i] << 6 | io[t][i]);
        store(states + at * STATE, some, st, x + 2 * count);
    }
    return n;
}

/* frames (n, 2 * count) from codes (n, count); stream i goes on from states (n, STATE). */
CLONES int64_t tb_g722_decode(i32 *states, const uint8_t *codes, int16_t *frames, int64_t n,
                              int64_t count) {
    static _Thread_local i32 st[FIELDS][BOTH], x[QMF_PAST + 2 * LONGEST][LANES];
    i32 io[LANES], odd[LANES], even[LANES];
    if (count < 0 || count > LONGEST) return -1;
    for (int64_t at = 0; at < n; at += LANES) {
        int64_t some = n - at < LANES ? n - at : LANES;
        load(states + at * STATE, some, st, x);
        memset(io, 0, sizeof io);
        for (int64_t t = 0; t < count; t++) {
            for (int64_t i = 0; i < some; i++) io[i] = codes[(at + i) * count + t];
            rebuild(st, io, x[QMF_PAST + 2 * t]);
            adapt(st);
            predict(st);
        }
        for (int64_t t = 0; t < count; t++) {
            mirror(x + 2 * t, odd, even);
            for (int64_t i = 0; i < some; i++) {
                int16_t *two = frames + (at + i) * 2 * count + 2 * t;
                two[0] = (int16_t)sat(even[i] >> 11);
                two[1] = (int16_t)sat(odd[i] >> 11);
            }
        }
        store(states + at * STATE, some, st, x + 2 * count);
    }
    return n;
}
