"""Prompts, music and tones that play to legs and groups; knows clips by name and their samples.

While a clip plays to a leg, the leg hears it alone (D3). A clip of a group is mixed into what
everybody there hears; what is said to one group comes one after the other.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bridge.media import g711, tones
from bridge.media.dtmf import Key
from bridge.media.masks import where
from bridge.media.shape import FRAME

SPARE_FRAMES: Final = 60_000
"""Room for clips that are added later: twenty minutes, 500 names and some announcements. The
oldest of them make way."""

ADDED_FRAMES_MAX: Final = 6_000
"""Longest clip that is added: two minutes."""


_NOBODY: Final[NDArray[np.int64]] = np.zeros(0, np.int64)
_NOTHING: Final[NDArray[np.int16]] = np.zeros((0, FRAME), np.int16)


class Clips:
    """All clips in one array, each padded with silence to whole frames.

    Attributes:
        samples: (B,) int16, linear PCM. The first frame is silence.
        codes: (2, B) uint8, the same encoded, by codec.
        span: name to (start, end) in samples.
    """

    def __init__(self, clips: Mapping[str, NDArray[np.int16]]) -> None:
        parts = [np.zeros(FRAME, np.int16)]
        self.span: dict[str, tuple[int, int]] = {}
        at = FRAME
        for name, samples in clips.items():  # bounded by the prompts there are
            padded = np.zeros(-(-len(samples) // FRAME) * FRAME, np.int16)
            padded[: len(samples)] = samples
            self.span[name] = (at, at + len(padded))
            parts.append(padded)
            at += len(padded)
        self._spare = self._next = at
        self._added: dict[str, tuple[int, int]] = {}
        # The spare room is touched, and so takes memory, only where a clip is added.
        self.samples = np.zeros(at + SPARE_FRAMES * FRAME, np.int16)
        np.concatenate(parts, out=self.samples[:at])
        self.codes = np.empty((2, len(self.samples)), np.uint8)
        self._encode(0, at)
        self._frames = self.codes.reshape(2, -1, FRAME)

    def _encode(self, at: int, end: int) -> None:
        for codec in range(2):  # PCMU and PCMA
            self.codes[codec, at:end] = g711.ENCODE[codec][self.samples[at:end].view(np.uint16)]

    def add(self, name: str, samples: NDArray[np.int16]) -> bool:
        """Add a clip, or replace one that was added; False when it is too long for the room.

        What lay where it goes is forgotten.
        """
        size = -(-len(samples) // FRAME) * FRAME
        if not 0 < size <= ADDED_FRAMES_MAX * FRAME:
            return False
        at = self._next if self._next + size <= len(self.samples) else self._spare
        self._next = end = at + size
        covered = [old for old, span in self._added.items() if span[0] < end and at < span[1]]
        for old in {*covered, name} & self._added.keys():  # bounded by the frames of the room
            del self._added[old], self.span[old]
        self.samples[at:end] = 0
        self.samples[at : at + len(samples)] = samples
        self._encode(at, end)
        self.span[name] = self._added[name] = (at, end)
        return True

    def encoded(self, codec: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the encoded frames, (n, S) uint8, that start at samples `at`, by codec."""
        return self._frames[codec, at // FRAME]

    def linear(self, at: NDArray[np.int64]) -> NDArray[np.int16]:
        """Return the frames, (n, S) int16, that start at samples `at`."""
        return self.samples.reshape(-1, FRAME)[at // FRAME]


GROUP_CLIPS_MAX: Final = 24
"""Clips that wait to be heard by one group; more are left out, for they would come too late."""


@dataclass(slots=True)
class _Play:
    """A list of clips that one leg hears: which comes next, and what to say at the end."""

    spans: list[tuple[int, int]]
    token: int
    loop: bool
    following: int


class Plays:
    """What plays to each leg and to each group.

    Attributes:
        at: (L,) int64, the sample a leg's clip is at; -1 when nothing plays.
        end: (L,) int64, where that clip ends.
    """

    def __init__(self, clips: Clips, legs_max: int) -> None:
        self.clips = clips
        self.at: NDArray[np.int64] = np.full(legs_max, -1, np.int64)
        self.end: NDArray[np.int64] = np.zeros(legs_max, np.int64)
        self._lists: dict[int, _Play] = {}
        self._group: dict[int, deque[tuple[int, int]]] = {}  # group number -> (at, end) of each

    def start(self, slot: int, names: tuple[str, ...], *, token: int, loop: bool) -> list[str]:
        """Play clips to a leg instead of what plays now; return the names that are not known.

        Unknown clips are left out. A play of nothing ends at the next tick.
        """
        span = self.clips.span
        spans = [span[name] for name in names if name in span and span[name][1] > span[name][0]]
        self._lists[slot] = _Play(spans, token, loop and bool(spans), 1)
        self.at[slot], self.end[slot] = spans[0] if spans else (0, 0)
        return [name for name in names if name not in span]

    def stop(self, slot: int) -> None:
        """Stop what plays to a leg, if anything does."""
        self._lists.pop(slot, None)
        self.at[slot] = -1

    def start_group(self, group: int, names: tuple[str, ...]) -> str:
        """Mix clips into a group, behind what is said there already; return why not, or "".

        Unknown clips are left out.
        """
        span = self.clips.span
        spans = [span[name] for name in names if name in span and span[name][1] > span[name][0]]
        waiting = self._group.get(group, deque())
        if len(waiting) + len(spans) > GROUP_CLIPS_MAX:
            return "group_play_full"
        if spans:
            waiting.extend(spans)
            self._group[group] = waiting
        return "" if all(name in span for name in names) else "unknown_clip"

    def sound(
        self, keys: Iterable[Key], group: NDArray[np.int64], heard: NDArray[np.bool_]
    ) -> None:
        """Have groups hear keys as tones; `heard`, (L,) bool, says whose, `group` is (L,)."""
        for slot, key, _ in keys:  # bounded by the keys pressed in a tick
            if heard[slot]:
                self.start_group(int(group[slot]), (tones.clip_name(key),))

    def playing(self, count: int) -> NDArray[np.int64]:
        """Return the slots that hear a clip this tick."""
        return where(self.at[:count] >= 0) if self._lists else _NOBODY

    def finish(self, count: int) -> list[tuple[int, int]]:
        """Move legs whose clip is over to their next one; return (slot, token) of ended plays."""
        if not self._lists:
            return []
        at = self.at[:count]
        over = where((at >= 0) & (at >= self.end[:count]))
        done = []
        for slot in over.tolist():  # bounded by clips that end in this tick
            play = self._lists[slot]
            if play.following >= len(play.spans) and play.loop:
                play.following = 0
            if play.following < len(play.spans):
                self.at[slot], self.end[slot] = play.spans[play.following]
                play.following += 1
            else:
                self.stop(slot)
                done.append((slot, play.token))
        return done

    def advance(self, playing: NDArray[np.int64], frames: int) -> None:
        """Go on by `frames`, never past a clip's end."""
        self.at[playing] = np.minimum(self.at[playing] + frames * FRAME, self.end[playing])

    def group_frames(
        self, dense: Mapping[int, int], frames: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """Return dense groups and frames of the clips mixed in this tick, and go on by `frames`.

        `dense` names the groups that have legs; a clip of another runs on unheard.
        """
        if not self._group:
            return _NOBODY, _NOTHING
        here = [(dense[group], said[0][0]) for group, said in self._group.items() if group in dense]
        for group, said in list(self._group.items()):  # bounded by the groups something is said to
            at, end = said.popleft()
            if at + frames * FRAME < end:
                said.appendleft((at + frames * FRAME, end))
            elif not said:
                del self._group[group]
        heard = np.array(here, np.int64).reshape(-1, 2)
        return heard[:, 0], self.clips.linear(heard[:, 1])
