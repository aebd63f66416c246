"""Mix-minus with one loop per leg and sample."""

from collections.abc import Sequence


def clip(value: int) -> int:
    return max(-32_768, min(32_767, value))


def mix_minus(
    frames: Sequence[Sequence[int]], groups: Sequence[int], quiet: Sequence[bool]
) -> list[list[int] | None]:
    """Return what each leg hears; None for one in no group."""
    speaking = [
        group >= 0 and not mute and any(frame)
        for frame, group, mute in zip(frames, groups, quiet, strict=True)
    ]
    return [heard(leg, frames, groups, speaking) for leg in range(len(groups))]


def heard(
    leg: int,
    frames: Sequence[Sequence[int]],
    groups: Sequence[int],
    speaking: Sequence[bool],
) -> list[int] | None:
    """Return what a leg hears; None when it is in no group.

    A negative zero (-1) is a zero, but where it is the only voice.
    """
    if groups[leg] < 0:
        return None
    voices = [n for n in range(len(groups)) if groups[n] == groups[leg] and speaking[n]]
    out = []
    for sample in range(len(frames[leg])):
        total = 0
        for voice in voices:
            value = frames[voice][sample]
            if voice != leg:
                total += 0 if value == -1 and len(voices) > 1 else value
        out.append(clip(total))
    return out
