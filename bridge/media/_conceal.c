/* Making up lost frames of G.711 legs, as `conceal_numpy.py` does, which is the reference.
 *
 * `conceal_c.py` calls this and checks types and lengths. Samples are whole numbers: sums of their
 * products are exact in a double, in whatever order. All else is rounded where numpy rounds it, so
 * a product and a sum must not become one instruction. A function returns how many rows it did,
 * fewer than asked for when the next one's numbers would point outside.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "_clones.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

enum { HISTORY = 480, PITCH_MIN = 40, PITCH_MAX = 120, MATCH = 160, STEP = 80, FADE_END = 480 };
enum { BLEND = 32, QUARTER_MAX = PITCH_MAX / 4 };

/* Every second sample, and every second lag. */
enum { HALF = MATCH / 2, LAGS = (PITCH_MAX - PITCH_MIN) / 2 + 1, SPAN = HALF + LAGS - 1 };

/* How well a part of the past that has been turned round its last sample matches the end. */
static double score_of(double dot, double energy) { return dot / sqrt(energy < 1 ? 1 : energy); }

/* The lag in [PITCH_MIN, PITCH_MAX] at which every second sample matches best. */
CLONES static int64_t coarse_pitch(const float *restrict past) {
    double area[SPAN], end[HALF], dot[LAGS], best = 0;
    const float *from = past + HISTORY - MATCH - PITCH_MAX;
    for (int i = 0; i < SPAN; i++) area[i] = from[2 * i];
    for (int i = 0; i < HALF; i++) end[i] = past[HISTORY - MATCH + 2 * i];
    for (int j = 0; j < LAGS; j++) dot[j] = 0;
    for (int i = 0; i < HALF; i++)
        for (int j = 0; j < LAGS; j++) dot[j] += end[i] * area[i + j];
    double energy = 0;
    for (int i = LAGS - 1; i < SPAN; i++) energy += area[i] * area[i];
    int64_t lag = 0;
    for (int j = LAGS - 1; j >= 0; j--) { /* the shortest lag is the last window */
        double score = score_of(dot[j], energy);
        if (j == LAGS - 1 || score > best) best = score, lag = PITCH_MAX - 2 * j;
        if (j) energy += area[j - 1] * area[j - 1] - area[j - 1 + HALF] * area[j - 1 + HALF];
    }
    return lag;
}

/* The lag around `lag` at which all samples match best. */
CLONES static int64_t fine_pitch(const float *restrict past, int64_t lag) {
    const float *end = past + HISTORY - MATCH;
    int64_t found = 0;
    double best = 0;
    for (int64_t near = lag - 1; near <= lag + 1; near++) {
        if (near < PITCH_MIN || near > PITCH_MAX) continue;
        double dots[8] = {0}, energies[8] = {0}; /* exact: eight sums are as good as one */
        for (int i = 0; i < MATCH; i += 8)
            for (int k = 0; k < 8; k++) {
                double value = end[i + k - near];
                dots[k] += end[i + k] * value;
                energies[k] += value * value;
            }
        double dot = 0, energy = 0;
        for (int k = 0; k < 8; k++) dot += dots[k], energy += energies[k];
        double score = score_of(dot, energy);
        if (!found || score > best) best = score, found = near;
    }
    return found;
}

/* pitch[i] = the pitch period of past[i]. */
int64_t tb_pitch(const float *past, int64_t n, int64_t *pitch) {
    for (int64_t i = 0; i < n; i++, past += HISTORY) pitch[i] = fine_pitch(past, coarse_pitch(past));
    return n;
}

/* Sample t of the endless repetition of the last `periods` pitch periods; `fading`: the weights
 * with which the last quarter of one fades into what preceded it. */
static inline float repeated(const float *past, int64_t pitch, int64_t t, int64_t periods,
                             const float *fading) {
    int64_t length = periods * pitch, where = t % length, tail = where - (length - pitch / 4);
    const float *at = past + HISTORY - length + where;
    return tail < 0 ? *at : *at + (at[-length] - *at) * fading[tail];
}

/* One erasure: samples from `start` on. */
static void extend(const float *restrict past, int64_t pitch, int64_t start, int64_t count,
                   float *restrict made) {
    float fading[QUARTER_MAX + 1];
    int64_t quarter = pitch / 4;
    float step = past[HISTORY - 1] - past[HISTORY - 1 - pitch];
    for (int64_t i = 0; i <= quarter; i++) fading[i] = (float)((double)(i + 1) / (double)(quarter + 1));
    for (int64_t t = start; t < start + count; t++) {
        if (t >= FADE_END) { /* silence from here on */
            memset(made + t - start, 0, (size_t)(start + count - t) * sizeof *made);
            return;
        }
        int64_t periods = t < 2 * STEP ? 1 + t / STEP : 3, since = t % STEP;
        float value = repeated(past, pitch, t, periods, fading);
        if (since < BLEND && t >= STEP && t < 3 * STEP) {
            float before = repeated(past, pitch, t, periods > 1 ? periods - 1 : 1, fading);
            float weight = (float)((double)(since + 1) / (BLEND + 1));
            value = before + (value - before) * weight;
        }
        if (t < quarter) value += step * (float)(1 - (double)(t + 1) / (double)(quarter + 1));
        if (t > STEP) value *= (float)((double)(FADE_END - t) / (FADE_END - STEP));
        made[t - start] = value;
    }
}

/* made[i] = samples start[i] to start[i] + count of an erasure that follows past[i]. */
int64_t tb_extend(const float *past, int64_t n, const int64_t *pitch, const int64_t *start,
                  int64_t count, float *made) {
    for (int64_t i = 0; i < n; i++, past += HISTORY, made += count) {
        if (pitch[i] < PITCH_MIN || pitch[i] > PITCH_MAX || start[i] < 0) return i;
        if (start[i] > FADE_END)
            memset(made, 0, (size_t)count * sizeof *made);
        else
            extend(past, pitch[i], start[i], count, made);
    }
    return n;
}
