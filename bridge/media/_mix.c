/* What is heard: frames by conference, their sums, and what each leg hears of them, encoded; the
 * powers of voices, and who talks; the mixes of recordings.
 *
 * `samples_numpy.py` and `voice.py` say the same with numpy and are the reference; `samples_c.py`
 * calls this and checks types and lengths. Indices are checked here, one comparison a frame.
 */
#include <string.h>

#include "_clones.h"
#include "_samples.h"

enum { AHEAD = 4, SAMPLE_MIN = -32768, SAMPLE_MAX = 32767 };

/* As `NEARLY_ALL` of groups.py: 4 of 5. */
enum { NEARLY_ALL = 4, NEARLY_ALL_OF = 5 };

/* Of whom to subtract where nobody is. */
static const int16_t nobody[FRAME];

/* As loud as it is to be heard; what is no whole number is cut off. */
CLONES static void louder(int16_t *frame, float gain) {
    for (int j = 0; j < FRAME; j++) {
        float value = (float)frame[j] * gain;
        value = value < SAMPLE_MIN ? SAMPLE_MIN : value > SAMPLE_MAX ? SAMPLE_MAX : value;
        frame[j] = (int16_t)value;
    }
}

CLONES static void add(const int16_t *restrict frame, int32_t *restrict total) {
    for (int j = 0; j < FRAME; j++) total[j] = (int32_t)((uint32_t)total[j] + (uint32_t)frame[j]);
}

/* Among several voices a negative zero is a zero. */
CLONES static void clean_and_add(int16_t *restrict frame, int32_t *restrict total) {
    for (int j = 0; j < FRAME; j++) {
        frame[j] = (int16_t)(frame[j] + (frame[j] == -1));
        total[j] = (int32_t)((uint32_t)total[j] + (uint32_t)frame[j]);
    }
}

static int silent(const int16_t *frame) {
    uint64_t word, any = 0;
    for (int j = 0; j < FRAME && !any; j += 4) { /* mostly one turn */
        memcpy(&word, frame + j, sizeof word);
        any |= word;
    }
    return !any;
}

/* talk[i] = ring[cell[order[i]]], by the gain of its slot, and zero where it says nothing or is
 * quiet; total[group[i]] += talk[i]. speaks: who says something; voices: how many in each group.
 * Returns how many rows it did. */
int64_t tb_sum(const int16_t *ring, int64_t cells, const int64_t *cell, int64_t slots,
               const int64_t *order, const int64_t *group, int64_t n, int64_t groups,
               const float *gain, const uint8_t *quiet, int16_t *talk, int32_t *total,
               int32_t *voices, uint8_t *speaks) {
    memset(total, 0, (size_t)groups * FRAME * sizeof *total);
    memset(voices, 0, (size_t)groups * sizeof *voices);
    for (int64_t i = 0, next = AHEAD; i < n; i++, next++) {
        int16_t *frame = talk + i * FRAME;
        int64_t slot = order[i];
        if (outside(slot, slots) || outside(cell[slot], cells) || outside(group[i], groups)) return i;
        if (next < n && !outside(order[next], slots) && !outside(cell[order[next]], cells))
            expect(ring + cell[order[next]] * FRAME, FRAME * sizeof *ring);
        memcpy(frame, ring + cell[slot] * FRAME, FRAME * sizeof *frame);
        if (gain[slot] != 1) louder(frame, gain[slot]);
        speaks[i] = !quiet[slot] && !silent(frame);
        if (!speaks[i]) memset(frame, 0, FRAME * sizeof *frame);
        voices[group[i]] += speaks[i];
    }
    for (int64_t i = 0; i < n; i++) {
        if (!speaks[i]) continue;
        int32_t *sum = total + group[i] * FRAME;
        if (voices[group[i]] > 1) clean_and_add(talk + i * FRAME, sum);
        else add(talk + i * FRAME, sum);
    }
    return n;
}

static void encode(int alaw, const int32_t *total, const int16_t *own, uint8_t *codes) {
    (alaw ? tb_to_alaw : tb_to_ulaw)(total, own, codes);
}

/* What each leg hears: codes from row `used` on, and pick[slot], which of them. Who speaks hears
 * the total less himself; of a group the others share one row a codec, unless nearly all of all
 * groups speak, when shared rows save nothing. shares: (2 * groups), scratch.
 * Returns the rows used then, or -1 where something points outside, or there is no room. */
int64_t tb_deliver(const int32_t *total, int64_t groups, const int64_t *group, const int16_t *talk,
                   const int64_t *order, const uint8_t *speaks, int64_t n, const uint8_t *codec,
                   int64_t slots, int64_t *shares, uint8_t *codes, int64_t rows, int64_t *pick,
                   int64_t used) {
    int64_t talkers = 0, wanted = 0;
    memset(shares, 0, (size_t)(2 * groups) * sizeof *shares);
    for (int64_t i = 0; i < n; i++) {
        if (outside(order[i], slots) || outside(group[i], groups)) return -1;
        talkers += speaks[i];
        if (speaks[i]) continue;
        int64_t *share = shares + 2 * group[i] + (codec[order[i]] != 0);
        wanted += !*share;
        *share = 1;
    }
    int all = talkers * NEARLY_ALL_OF >= n * NEARLY_ALL;
    if (used < 0 || used + (all ? n : talkers + wanted) > rows) return -1;
    for (int64_t i = 0; i < n; i++) {
        if (!all && !speaks[i]) continue;
        encode(codec[order[i]], total + group[i] * FRAME, talk + i * FRAME, codes + used * FRAME);
        pick[order[i]] = used++;
    }
    if (all) return used;
    for (int64_t share = 0; share < 2 * groups; share++) {
        if (!shares[share]) continue;
        encode(share & 1, total + share / 2 * FRAME, nobody, codes + used * FRAME);
        shares[share] = used++;
    }
    for (int64_t i = 0; i < n; i++)
        if (!speaks[i]) pick[order[i]] = shares[2 * group[i] + (codec[order[i]] != 0)];
    return used;
}

/* The mean square of a frame: sums are whole, and exact in any order. */
CLONES static double power(const int16_t *frame, int64_t size) {
    int64_t sum = 0;
    for (int64_t j = 0; j < size; j++) sum += (int32_t)frame[j] * frame[j];
    return (double)sum / (double)size;
}

int64_t tb_power(const int16_t *frames, int64_t n, int64_t size, double *powers) {
    for (int64_t i = 0; i < n; i++) powers[i] = power(frames + i * size, size);
    return n;
}

/* level[order[i]] = the power of talk[i]; 0 for slots in no order. */
int64_t tb_levels(const int16_t *talk, const int64_t *order, int64_t n, double *level,
                  int64_t slots) {
    memset(level, 0, (size_t)slots * sizeof *level);
    for (int64_t i = 0; i < n; i++) {
        if (outside(order[i], slots)) return i;
        level[order[i]] = power(talk + i * FRAME, FRAME);
    }
    return n;
}

/* Who talks, by the level of each leg against its noise; the rules are those of `voice.py`, and
 * `changed` gets who begins or ends. Returns how many do. */
int64_t tb_follow(const double *level, int64_t n, double *noise, uint8_t *talking, int32_t *streak,
                  const double *rules, int64_t *changed) {
    double times = rules[0], start = rules[1], fall = rules[2], rise = rules[3];
    double low = rules[4], high = rules[5], starts = rules[6], stops = rules[7];
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        double over = noise[i] * times, ease = talking[i] ? 0.5 : 1.0;
        uint8_t talk = level[i] > (over > start ? over : start) * ease;
        streak[i] = talk == talking[i] ? 0 : streak[i] + 1;
        if (streak[i] >= (talking[i] ? stops : starts)) {
            talking[i] = !talking[i];
            streak[i] = 0;
            changed[count++] = i;
        }
        double now = level[i] < noise[i] ? noise[i] + (level[i] - noise[i]) * fall : noise[i] * rise;
        noise[i] = now < low ? low : now > high ? high : now;
    }
    return count;
}

CLONES static void saturate(const int32_t *restrict total, int16_t *restrict frame) {
    for (int j = 0; j < FRAME; j++) {
        int32_t sum = total[j];
        frame[j] = (int16_t)(sum < SAMPLE_MIN ? SAMPLE_MIN : sum > SAMPLE_MAX ? SAMPLE_MAX : sum);
    }
}

/* Frame filled[i] of block i = total[row[i]], saturated; row -1: silence. The mixes of recordings.
 * Returns how many blocks are full then, or -1 where something points outside. */
int64_t tb_tap(const int32_t *total, int64_t groups, const int64_t *row, int64_t n, int16_t *blocks,
               int64_t frames, int64_t *filled) {
    int64_t full = 0;
    for (int64_t i = 0; i < n; i++) {
        if (row[i] < -1 || row[i] >= groups || outside(filled[i], frames)) return -1;
        int16_t *frame = blocks + (i * frames + filled[i]) * FRAME;
        if (row[i] < 0) memset(frame, 0, FRAME * sizeof *frame);
        else saturate(total + row[i] * FRAME, frame);
        full += ++filled[i] == frames;
    }
    return full;
}
