/* What the files of the library share: the length of a frame, and G.711 (see _samples.c). */
#include <stddef.h>
#include <stdint.h>

enum { FRAME = 160, LINE = 64 };

void tb_from_ulaw(const uint8_t *codes, int16_t *samples);
void tb_from_alaw(const uint8_t *codes, int16_t *samples);
void tb_to_ulaw(const int32_t *total, const int16_t *own, uint8_t *codes);
void tb_to_alaw(const int32_t *total, const int16_t *own, uint8_t *codes);

static inline int outside(int64_t index, int64_t end) { return index < 0 || index >= end; }

/* What lies anywhere, and no longer in the cache: asked for in time, it costs a third. */
static inline void expect(const void *at, size_t bytes) {
    for (size_t line = 0; line < bytes; line += LINE) __builtin_prefetch((const char *)at + line);
}
