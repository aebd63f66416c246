"""How long a leg is billed for (D7); knows seconds, not prices."""


def billed_seconds(seconds: int, *, minimum_s: int, increment_s: int) -> int:
    """Raise whole seconds to the contract's minimum and increment (D7).

    Increments count from the end of the minimum. Zero seconds are never raised (D5).

    >>> billed_seconds(31, minimum_s=30, increment_s=6)
    36
    >>> billed_seconds(61, minimum_s=60, increment_s=60)
    120
    >>> billed_seconds(0, minimum_s=60, increment_s=60)
    0
    """
    if seconds <= 0:
        return 0
    if seconds <= minimum_s:
        return minimum_s
    over = seconds - minimum_s
    return minimum_s + (over + increment_s - 1) // increment_s * increment_s


def growth(
    marks_ms: tuple[int, ...] | list[int], *, minimum_s: int, increment_s: int
) -> list[tuple[int, int]]:
    """Return (billable, billed) seconds of each part between elapsed `marks_ms` (D8).

    Each part gets the growth of the whole leg's seconds, so that the parts always add up to it.

    >>> growth([0, 90_000, 300_000], minimum_s=60, increment_s=60)
    [(90, 120), (210, 180)]
    """
    parts: list[tuple[int, int]] = []
    whole_before = billed_before = 0
    for mark in marks_ms[1:]:
        whole = mark // 1_000
        billed = billed_seconds(whole, minimum_s=minimum_s, increment_s=increment_s)
        parts.append((whole - whole_before, billed - billed_before))
        whole_before, billed_before = whole, billed
    return parts
