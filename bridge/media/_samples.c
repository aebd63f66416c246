/* The media plane's loops over samples: decode, frames by conference, sums, encode.
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

enum { VERSION = 7, AHEAD = 4 };
enum { BIAS = 132, CLIP = 32635 }; /* of mu-law: 33 and 8159 in the standard, which has 14 bits */

/* The bits of 128.0, where a code's exponent is 0; and a code's place among the bits of a float. */
enum { ORIGIN = (127 + 7) << 23, PLACE = 19, HALF_A_STEP = 1 << 18 };

/* Of whom to subtract where nobody is: see tb_encode. */
static const int16_t nobody[FRAME];

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
CLONES static void to_ulaw(const int32_t *restrict total, const int16_t *restrict own,
                           uint8_t *restrict codes) {
    for (int j = 0; j < FRAME; j++) {
        int32_t sum = within((int32_t)((uint32_t)total[j] - (uint32_t)own[j]), -CLIP, CLIP);
        int32_t minus = sum < 0 ? 0x80 : 0, size = sum < 0 ? -sum : sum;
        codes[j] = (uint8_t)(code_of(size + BIAS) ^ minus ^ 0xFF);
    }
}

CLONES static void to_alaw(const int32_t *restrict total, const int16_t *restrict own,
                           uint8_t *restrict codes) {
    for (int j = 0; j < FRAME; j++) {
        int32_t sum = within((int32_t)((uint32_t)total[j] - (uint32_t)own[j]), -32768, 32767);
        int32_t minus = sum < 0 ? 0x80 : 0, size = sum < 0 ? ~sum : sum;
        codes[j] = (uint8_t)((size < 256 ? size >> 4 : code_of(size)) ^ minus ^ 0xD5);
    }
}

CLONES static void add(const int16_t *restrict frame, int32_t *restrict total) {
    for (int j = 0; j < FRAME; j++) total[j] = (int32_t)((uint32_t)total[j] + (uint32_t)frame[j]);
}

/* Among several voices a negative zero is a zero. */
CLONES static void clean(int16_t *frame) {
    for (int j = 0; j < FRAME; j++) frame[j] = (int16_t)(frame[j] + (frame[j] == -1));
}

static int silent(const int16_t *frame) {
    uint64_t word, any = 0;
    for (int j = 0; j < FRAME && !any; j += 4) { /* mostly one turn */
        memcpy(&word, frame + j, sizeof word);
        any |= word;
    }
    return !any;
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

/* talk[i] = ring[cell[order[i]]]. */
int64_t tb_take(const int16_t *ring, int64_t cells, const int64_t *cell, int64_t slots,
                const int64_t *order, int64_t n, int16_t *talk) {
    for (int64_t i = 0, next = AHEAD; i < n; i++, next++) {
        if (outside(order[i], slots) || outside(cell[order[i]], cells)) return i;
        if (next < n && !outside(order[next], slots) && !outside(cell[order[next]], cells))
            expect(ring + cell[order[next]] * FRAME, FRAME * sizeof *ring);
        memcpy(talk + i * FRAME, ring + cell[order[i]] * FRAME, FRAME * sizeof *talk);
    }
    return n;
}

/* total[group[i]] += talk[i] of who says something and is not quiet; other frames become zero.
 * voices: how many speak in each group. */
int64_t tb_sum(int16_t *talk, int64_t n, const int64_t *order, const uint8_t *quiet, int64_t slots,
               const int64_t *group, int64_t groups, int32_t *total, int32_t *voices,
               uint8_t *speaks) {
    memset(total, 0, (size_t)groups * FRAME * sizeof *total);
    memset(voices, 0, (size_t)groups * sizeof *voices);
    for (int64_t i = 0; i < n; i++) {
        int16_t *frame = talk + i * FRAME;
        if (outside(order[i], slots) || outside(group[i], groups)) return i;
        speaks[i] = !silent(frame) && !quiet[order[i]];
        if (!speaks[i]) memset(frame, 0, FRAME * sizeof *frame);
        voices[group[i]] += speaks[i];
    }
    for (int64_t i = 0; i < n; i++) {
        if (!speaks[i]) continue;
        if (voices[group[i]] > 1) clean(talk + i * FRAME);
        add(talk + i * FRAME, total + group[i] * FRAME);
    }
    return n;
}

/* codes[i] = total[group[i]] less talk[own[i]]; own NULL: less talk[i]; talk NULL: as it is. */
int64_t tb_encode(const int32_t *total, int64_t groups, const int64_t *group, const int16_t *talk,
                  int64_t rows, const int64_t *own, const uint8_t *codec, int64_t n,
                  uint8_t *codes) {
    for (int64_t i = 0; i < n; i++) {
        int64_t mine = own ? own[i] : i;
        if (outside(group[i], groups) || (talk && outside(mine, rows))) return i;
        (codec && codec[i] ? to_alaw : to_ulaw)(
            total + group[i] * FRAME, talk ? talk + mine * FRAME : nobody, codes + i * FRAME);
    }
    return n;
}

/* The mean square of each frame of `size` samples: sums are whole, and exact in any order. */
CLONES int64_t tb_power(const int16_t *restrict frames, int64_t n, int64_t size,
                        double *restrict power) {
    for (int64_t i = 0; i < n; i++, frames += size) {
        int64_t sum = 0;
        for (int64_t j = 0; j < size; j++) sum += (int32_t)frames[j] * frames[j];
        power[i] = (double)sum / (double)size;
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
