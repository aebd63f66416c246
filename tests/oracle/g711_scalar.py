"""G.711 one sample at a time, as ITU-T G.711 tables 1a to 2b lay it out."""


def ulaw_decode(code: int) -> int:
    inverted = ~code & 0xFF
    segment, step = inverted >> 4 & 7, inverted & 15
    value = ((2 * step + 33) << segment) - 33  # 14 bits
    return 4 * (-value if inverted & 0x80 else value)


def ulaw_encode(sample: int) -> int:
    """Return the code whose interval holds the sample; decision values as in table 2a."""
    magnitude = min(abs(sample), 32_635)
    best = 0
    for index in range(128):
        segment, step = index >> 4, index & 15
        if magnitude >= 4 * (((2 * step + 32) << segment) - 33):
            best = index
    code = 0xFF - best
    return code & 0x7F if sample < 0 else code


def alaw_decode(code: int) -> int:
    even = code ^ 0x55
    segment, step = even >> 4 & 7, even & 15
    value = 2 * step + 1 if segment == 0 else ((2 * step + 33) << segment - 1)
    return 8 * (value if even & 0x80 else -value)


def alaw_encode(sample: int) -> int:
    """Return the code whose interval holds the sample: [lower edge, upper edge) of magnitude."""
    positive = sample >= 0
    magnitude = sample if positive else -sample - 1
    best = 0
    for index in range(128):
        segment, step = index >> 4, index & 15
        low = 16 * step if segment == 0 else (16 * step + 256) << segment - 1
        if magnitude >= low:
            best = index
    return (best | 0x80 if positive else best) ^ 0x55
