/* Packets that are just what was expected, taken in one after the other: whose each one is, whether
 * it is the next of its stream, and all that it changes, while it is in the cache. `steady.py` says
 * the same of all packets at once, with numpy, and is the reference; `steady_c.py` calls this and
 * checks types and lengths. All numbers lie as the machine has them, little endian.
 */
#include <string.h>

#include "_samples.h"

enum { CELLS = 32, AHEAD = 6, TRANSIT_JUMP = 5 * 8000, NS_PER_SAMPLE = 125000, NS_PER_S = 1000000000, STOPPED = 255 };

/* One row, or one number, a leg slot: as `Plane`, `Steady`, `Jitter` and `Reception` have them. */
typedef struct {
    int64_t slots;
    const uint64_t *latched;
    const int64_t *port;
    const uint8_t *codec;
    uint32_t *head, *ts, *first, *rest;
    uint8_t *here;
    int64_t *highest, *received, *jitter;
    int32_t *transit;
    const uint32_t *play_ts;
    const int64_t *play_cell;
    int32_t *low;
    uint32_t *stamp;
    uint8_t *ragged;
    int16_t *ring;
    int64_t *last_ns;
    uint8_t *silent;
    int64_t *after; /* who came after each the last time; one more: who came first */
    uint8_t *seen;  /* packets of this tick taken in, or STOPPED */
    int64_t ahead_end, header_at, length, rounds;
} Legs;

/* Slots by key, as `sources.Table`: one place each, and the few that found it taken by order. */
typedef struct {
    const uint64_t *keys;
    const int64_t *slots;
    int64_t shift, more_count;
    const uint64_t *more;
    const int64_t *more_slots;
} Table;

/* What came in one tick; numbers of packet i lie `step` bytes after those of the one before. */
typedef struct {
    int64_t count;
    const uint8_t *data;
    int64_t data_step;
    const uint8_t *length;
    int64_t length_step;
    const uint8_t *source;
    int64_t source_step;
    const int64_t *port, *stamp; /* stamp: seconds and nanoseconds; NULL: now */
    int64_t stamp_step;
    int64_t now_ns, due_ns; /* due_ns below 0: not known */
    int64_t ragged;         /* whether some cell may be */
} Packets;

static inline uint32_t word(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t source_of(const Packets *packets, int64_t i) {
    uint64_t value;
    memcpy(&value, packets->source + i * packets->source_step, sizeof value);
    return value;
}

static int64_t arrived_at(const Packets *packets, int64_t i) {
    const char *stamp = (const char *)packets->stamp + i * packets->stamp_step;
    int64_t seconds, nanos;
    if (!packets->stamp) return packets->now_ns;
    memcpy(&seconds, stamp, sizeof seconds);
    memcpy(&nanos, stamp + sizeof seconds, sizeof nanos);
    return seconds * NS_PER_S + nanos;
}

static uint32_t clock_of(int64_t ns) {
    return (uint32_t)(ns / NS_PER_SAMPLE - (ns % NS_PER_SAMPLE < 0));
}

static int32_t within(int32_t waits) { return waits < 0 ? 0 : waits > FRAME ? FRAME : waits; }

static int64_t slot_of(const Table *table, uint64_t key) {
    uint64_t place = key * 0x9E3779B97F4A7C15u >> table->shift;
    if (table->keys[place] == key) return table->slots[place];
    int64_t low = 0, high = table->more_count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (table->more[middle] < key) low = middle + 1; else high = middle;
    }
    return low < table->more_count && table->more[low] == key ? table->more_slots[low] : -1;
}

/* Whose each packet is, -1 for nobody's. Phones come in the same order tick by tick, mostly: who
 * came after the last one is looked at first, and that saves a look into the table, which is large
 * and cold. */
static int64_t find(const Legs *legs, const Table *table, const Packets *packets, int64_t *slot) {
    int64_t last = legs->slots;
    for (int64_t i = 0; i < packets->count; i++) {
        uint64_t source = source_of(packets, i);
        int64_t port = packets->port[i], one = legs->after[last];
        if (outside(one, legs->slots) || legs->latched[one] != source || legs->port[one] != port) {
            one = slot_of(table, source - 2 + (uint64_t)port);
            if (one >= legs->slots) return i;
        }
        slot[i] = one;
        if (one < 0) continue;
        legs->after[last] = one;
        last = one;
    }
    return packets->count;
}

/* Whether a packet of a leg is the expected one, and neither too early nor too late. */
static int fits(const Legs *legs, const Packets *packets, int64_t i, int64_t one) {
    const uint8_t *head = packets->data + i * packets->data_step + legs->header_at;
    return legs->seen[one] < legs->rounds && legs->first[one] && word(head) == legs->first[one] &&
           word(head + 4) == legs->rest[2 * one] && word(head + 8) == legs->rest[2 * one + 1] &&
           word(packets->length + i * packets->length_step) == legs->length &&
           legs->latched[one] == source_of(packets, i) &&
           legs->ts[one] - legs->play_ts[one] < legs->ahead_end;
}

static int64_t cell_of(const Legs *legs, int64_t one) {
    int64_t slack = (legs->ts[one] - legs->play_ts[one]) / FRAME;
    return ((legs->play_cell[one] + slack) & (CELLS - 1)) * legs->slots + one;
}

static void count_in(const Legs *legs, int64_t one, uint32_t arrived) {
    int32_t transit = (int32_t)(arrived - legs->ts[one]);
    uint32_t moved = (uint32_t)transit - (uint32_t)legs->transit[one];
    if (moved >> 31) moved = -moved;
    if (moved > TRANSIT_JUMP) moved = 0;
    legs->jitter[one] += (int64_t)moved - ((legs->jitter[one] + 8) >> 4);
    legs->transit[one] = transit;
    legs->highest[one]++;
    legs->received[one]++;
}

static void follow(const Legs *legs, int64_t one) {
    uint32_t head = legs->head[one];
    legs->head[one] = head = (head & 0xFFFF0000u) | ((head + 1) & 0xFFFFu);
    legs->first[one] = __builtin_bswap32(head);
    legs->ts[one] += FRAME;
    legs->rest[2 * one] = __builtin_bswap32(legs->ts[one]);
}

/* slot[i], whose packet i is, and same[i], whether it was the expected one and was taken in.
 * Returns how many were not, or -1 where something points outside. */
int64_t tb_steady(const Legs *legs, const Table *table, const Packets *packets, int64_t *slot,
                  uint8_t *same) {
    int64_t n = packets->count, taken = 0;
    uint32_t due = clock_of(packets->due_ns);
    memset(legs->here, 0, (size_t)legs->slots);
    memset(legs->seen, 0, (size_t)legs->slots);
    if (find(legs, table, packets, slot) < n) return -1;
    for (int64_t i = 0; i < n; i++) {
        int64_t one = slot[i], next = i + AHEAD < n ? slot[i + AHEAD] : -1;
        if (next >= 0) {
            expect(legs->ring + cell_of(legs, next) * FRAME, FRAME * sizeof *legs->ring);
            expect(packets->data + (i + AHEAD) * packets->data_step, (size_t)legs->length);
        }
        same[i] = one >= 0 && fits(legs, packets, i, one);
        if (!same[i]) {
            if (one >= 0) legs->seen[one] = STOPPED; /* what follows goes the same way */
            continue;
        }
        uint32_t arrived = clock_of(arrived_at(packets, i));
        int32_t waits = packets->due_ns < 0 ? 0 : within((int32_t)(due - arrived));
        int64_t cell = cell_of(legs, one), slack = (legs->ts[one] - legs->play_ts[one]) / FRAME;
        if (slack * FRAME + waits < legs->low[one]) legs->low[one] = (int32_t)(slack * FRAME + waits);
        count_in(legs, one, arrived);
        (legs->codec[one] ? tb_from_alaw : tb_from_ulaw)(
            packets->data + i * packets->data_step + legs->header_at + 12, legs->ring + cell * FRAME);
        legs->stamp[cell] = legs->ts[one];
        if (packets->ragged) legs->ragged[cell] = 0;
        legs->last_ns[one] = packets->now_ns;
        legs->silent[one] = 0;
        legs->here[one] = 1;
        legs->seen[one]++;
        follow(legs, one);
        taken++;
    }
    return n - taken;
}
