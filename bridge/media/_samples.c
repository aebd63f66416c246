/* The media plane's loops over samples, and over legs: G.711, what plays next, packets to send.
 *
 * `samples_numpy.py` says the same with numpy and is the reference; `samples_c.py` calls this and
 * checks types and lengths. Indices are checked here, one comparison a frame: a function returns
 * how many rows it did, and that is fewer than asked for when the next one points outside.
 *
 * G.711 is done by arithmetic on floats: a code is sign, exponent and four bits of mantissa, just
 * as a float is, so one becomes the other by a shift (ITU-T G.711, tables 1a to 2b). All numbers
 * are whole and below 2^24: nothing is ever rounded. Python.h is not needed.
 */
#include <string.h>

#include "_clones.h"
#include "_samples.h"

enum { VERSION = 8, AHEAD = 4 };
enum { BIAS = 132, CLIP = 32635 }; /* of mu-law: 33 and 8159 in the standard, which has 14 bits */

/* The bits of 128.0, where a code's exponent is 0; and a code's place among the bits of a float. */
enum { ORIGIN = (127 + 7) << 23, PLACE = 19, HALF_A_STEP = 1 << 18 };

int64_t tb_version(void) { return VERSION << 16 | FRAME; }

static inline int32_t middle_of(int32_t code) {
    int32_t bits = (code << PLACE) + ORIGIN + HALF_A_STEP;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (int32_t)value;
}

static inline int32_t code_of(int32_t size) {
    float value = (float)size;
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits - ORIGIN) >> PLACE;
}

static inline int32_t within(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

/* The negative zero, 0x7F, is -1 here: decoded and encoded it is itself again. */
CLONES void tb_from_ulaw(const uint8_t *restrict codes, int16_t *restrict samples) {
    for (int j = 0; j < FRAME; j++) {
        int32_t code = codes[j] ^ 0xFF, minus = -(code >> 7);
        int32_t size = middle_of(code & 0x7F) - BIAS;
        samples[j] = (int16_t)((size ^ minus) - (size ? minus : 0));
    }
}

CLONES void tb_from_alaw(const uint8_t *restrict codes, int16_t *restrict samples) {
    for (int j = 0; j < FRAME; j++) {
        int32_t code = codes[j] ^ 0xD5, minus = -(code >> 7);
        int32_t size = middle_of(code & 0x7F), straight = (code & 0x7F) * 16 + 8;
        size = straight < 256 ? straight : size; /* the first segment is as fine as the second */
        samples[j] = (int16_t)((size ^ minus) - minus);
    }
}

/* Sums less what a leg says itself; unsigned, where the difference may go round. */
CLONES void tb_to_ulaw(const int32_t *restrict total, const int16_t *restrict own,
                       uint8_t *restrict codes) {
    for (int j = 0; j < FRAME; j++) {
        int32_t sum = within((int32_t)((uint32_t)total[j] - (uint32_t)own[j]), -CLIP, CLIP);
        int32_t minus = sum < 0 ? 0x80 : 0, size = sum < 0 ? -sum : sum;
        codes[j] = (uint8_t)(code_of(size + BIAS) ^ minus ^ 0xFF);
    }
}

CLONES void tb_to_alaw(const int32_t *restrict total, const int16_t *restrict own,
                       uint8_t *restrict codes) {
    for (int j = 0; j < FRAME; j++) {
        int32_t sum = within((int32_t)((uint32_t)total[j] - (uint32_t)own[j]), -32768, 32767);
        int32_t minus = sum < 0 ? 0x80 : 0, size = sum < 0 ? ~sum : sum;
        codes[j] = (uint8_t)((size < 256 ? size >> 4 : code_of(size)) ^ minus ^ 0xD5);
    }
}

/* ring[cell[i]] = the payload at data[row[i]], by codec[i]; codec NULL: all mu-law. */
int64_t tb_decode(const uint8_t *data, int64_t stride, int64_t rows, const int64_t *row,
                  const uint8_t *codec, int64_t n, const int64_t *cell, int16_t *ring,
                  int64_t cells) {
    for (int64_t i = 0, next = AHEAD; i < n; i++, next++) {
        if (outside(row[i], rows) || outside(cell[i], cells)) return i;
        if (next < n && !outside(row[next], rows) && !outside(cell[next], cells)) {
            expect(data + row[next] * stride, FRAME);
            expect(ring + cell[next] * FRAME, FRAME * sizeof *ring);
        }
        (codec && codec[i] ? tb_from_alaw : tb_from_ulaw)(data + row[i] * stride, ring + cell[i] * FRAME);
    }
    return n;
}

/* Row i of data becomes the next packet of leg slots[i], with the frame codes[pick[slots[i]]]. */
int64_t tb_lay(uint8_t *data, int64_t stride, const int64_t *slots, const uint32_t *kind, int64_t n,
               int64_t legs, uint16_t *seq, const uint32_t *ts, uint32_t *sent, uint32_t *octets,
               const uint8_t *codes, int64_t rows, const int64_t *pick) {
    for (int64_t i = 0; i < n; i++, data += stride) {
        int64_t leg = slots[i];
        if (outside(leg, legs) || outside(pick[leg], rows)) return i;
        if (i + AHEAD < n) expect(data + AHEAD * stride, (size_t)stride);
        uint32_t head[2] = {__builtin_bswap32(kind[i] | seq[leg]), __builtin_bswap32(ts[leg])};
        memcpy(data, head, sizeof head);
        memcpy(data + 12, codes + pick[leg] * FRAME, FRAME);
        seq[leg]++;
        sent[leg]++;
        octets[leg] += FRAME;
    }
    return n;
}

/* cell[i] = the row of the ring that slot i plays next, and good[i], whether it holds that frame.
 * Returns how many do, or -1 where something points outside. */
int64_t tb_due(const int64_t *play_cell, const uint32_t *play_ts, const uint8_t *started,
               const uint32_t *stamp, int64_t cells, int64_t legs, int64_t n, int64_t *cell,
               uint8_t *good) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (outside(play_cell[i], cells / legs)) return -1;
        cell[i] = play_cell[i] * legs + i;
        good[i] = started[i] && stamp[cell[i]] == play_ts[i];
        count += good[i];
    }
    return count;
}

/* Each of n legs plays the next frame of its ring of `cells`, a power of two. */
int64_t tb_step(uint32_t *restrict play_ts, int64_t *restrict play_cell, int64_t n, int64_t cells) {
    for (int64_t i = 0; i < n; i++) {
        play_ts[i] += FRAME;
        play_cell[i] = (play_cell[i] + 1) & (cells - 1);
    }
    return n;
}

/* The clocks of n legs go on by `samples` of 1/8,000 s, each at its own rate. */
int64_t tb_clock(uint32_t *restrict ts, const uint32_t *restrict rate, int64_t n, int64_t samples) {
    for (int64_t i = 0; i < n; i++) ts[i] += (uint32_t)samples * rate[i];
    return n;
}
