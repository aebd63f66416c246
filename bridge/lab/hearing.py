"""Listening: records what callers receive until what they must hear is heard, then judges.

`hears` may take a while (a prompt comes first), so it is waited for; `not_hears` holds for every
moment from the beginning of the listening to its end. The story goes on once the waiting is over:
what was received is judged while its next steps are carried out.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from bridge.errors import InputError
from bridge.lab.audibility import LOST_MAX, USUAL, Context, Hearing, Window, analyse, only_tones
from bridge.lab.callers import Caller
from bridge.lab.clips import PROMPT_SHARE, find_clips, known_pcm, sound_pcm, sounds_in
from bridge.lab.dtmf import keys_heard
from bridge.lab.expectations import DTMF, Audio
from bridge.lab.sounds import Pcm, SoundReport, take_out
from bridge.lab.spoken import SCORED_S, pesq, score
from bridge.lab.voice import TONE_DBFS
from bridge.prompts import read_wav
from bridge.units import FRAME_NS, FRAME_SAMPLES, MS_PER_S, NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ

HOLD_MUSIC: Final = "hold-music"
LISTEN_S: Final = 1.0
"""A voice must be there for this long without a gap."""

FIRST_S: Final = 0.3
"""What was under way when we began to listen passes: a jitter buffer of 240 ms, its greatest
depth, and packets."""

LISTEN_NS: Final = int(LISTEN_S * NS_PER_S)
STEP_NS: Final = 200 * NS_PER_MS
"""Until we look again for what is not heard yet."""

CONTEXT_NS: Final = 400 * NS_PER_MS
"""Heard before and after what is judged, so that a prompt cut by the edge is recognised. To see
whether the story can go on, what comes after is not waited for: the judgement has it."""

BEFORE: Final = Context(before=CONTEXT_NS // FRAME_NS)
AROUND: Final = Context(before=CONTEXT_NS // FRAME_NS, after=CONTEXT_NS // FRAME_NS)

PATIENCE_S: Final = 15.0
"""How long what must be heard is waited for, and as long again as the prompts take."""

MUSIC_SHARE: Final = 0.9
SAID_MS: Final = 800
"""A caller who speaks is heard when so much of what he says is; he says it over and over."""

ABSENT_MS: Final = 100
OWN_DBFS: Final = -45.0
"""Whoever hears others never hears himself: half of all blocks would have his voice at 29 dB below
what he says. `not_hears` with his own name looks closer."""


_BEHIND: Final = ThreadPoolExecutor(1, "judging")
"""Where it is judged while the story goes on: one at a time, so that it hinders nobody's ticks."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Whether a caller heard what he must, and what he heard.

    Attributes:
        faults: what was not as it must be, "ann is not heard".
        hearing: all that was measured; None when he could not listen.
        prompts: those that were asked for, since the story's last action.
        from_ns, to_ns: monotonic, when he listened.
        measured: what was measured beyond that, in words, as it must be or not.
    """

    ok: bool
    observed: str
    faults: tuple[str, ...] = ()
    hearing: Hearing | None = None
    prompts: Mapping[str, SoundReport] = field(default_factory=dict)
    from_ns: int = 0
    to_ns: int = 0
    measured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listened:
    """One caller's listening in a story: the line that asked, what was asked, what he heard."""

    line: int
    name: str
    audio: Audio
    heard: Heard


@dataclass(slots=True)
class Sought:
    """Prompts, and what callers say, that must be heard since the story's last action.

    Attributes:
        clips: what is looked for, by name; of the names in `said`, any part is enough.
        found: what was found of each, up to now.
        next_ns: monotonic; before that not all of it can have been heard.
    """

    clips: Mapping[str, Pcm]
    said: Mapping[str, Pcm]
    acted_ns: int
    found: dict[str, SoundReport] = field(init=False)
    next_ns: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing heard."""
        self.found = {name: SoundReport() for name in self.clips}
        self._expect_after(self.acted_ns)

    def left_s(self, name: str) -> float:
        """Return how long it takes at least until a sound counts as heard; 0 once it does."""
        one = self.found[name]
        if name in self.said:
            return max(SAID_MS - one.matched_ms, 0) / MS_PER_S
        length_s = len(self.clips[name]) / SAMPLE_RATE_HZ
        return max(PROMPT_SHARE - one.of_sound, 0) * length_s

    def unheard(self) -> list[str]:
        """Return what was not heard yet."""
        return [name for name in self.clips if self.left_s(name)]

    def due(self, now_ns: int) -> Mapping[str, Pcm]:
        """Return what may have been heard by now and was not found yet."""
        return {name: self.clips[name] for name in self.unheard()} if now_ns >= self.next_ns else {}

    def add(self, found: Mapping[str, SoundReport], now_ns: int) -> None:
        """Take what was found of them up to now."""
        self.found.update(found)
        self._expect_after(now_ns)

    def _expect_after(self, now_ns: int) -> None:
        left_s = max((self.left_s(name) for name in self.clips), default=0.0)
        self.next_ns = now_ns + int(left_s * NS_PER_S)


@dataclass(frozen=True, slots=True)
class Waited:
    """One caller's waiting, which is over: what he received then can be judged.

    Attributes:
        begin_ns, end_ns: monotonic, from when to when he listened.
        sought: the prompts that were asked for, and what was found of them.
        lasting: all voices, and the music, that must be heard all the time were, in its last
            second. That is settled: looked at anew, cut a frame later, a second that a voice
            begins in would be another.
        poor: what is wrong with how well a voice is heard.
    """

    begin_ns: int
    end_ns: int
    sought: Sought
    lasting: bool = False
    poor: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """What a caller received, with its context, and what he received since the last action."""

    window: Window
    since_action: Window | None


@dataclass(slots=True)
class Listener:
    """One caller's listening: `wait`, then `receive`, then `judge`.

    The story goes on once he has waited; the rest needs no more of it but that he keeps his port.

    Attributes:
        tones: all callers' tones, by name.
        acted_ns: when the last action of the story was: prompts are looked for from there.
        languages: what is spoken to the story's callers beside English (R19).
        said: what callers say who sound no tone, by name.
        levels: of the callers' tones, in dBFS.
        thorough: look for all known sounds, and say which were heard. Otherwise that is done only
            where something seems wrong: a voice that is not in all that was received is not in
            what is left without the sounds.
    """

    caller: Caller
    audio: Audio
    tones: Mapping[str, int]
    acted_ns: int
    languages: frozenset[str] = frozenset()
    said: Mapping[str, Pcm] = field(default_factory=dict)
    levels: Mapping[str, int] = field(default_factory=dict)
    thorough: bool = True

    async def wait(self) -> Waited:
        """Listen until what must be heard is heard, or patience ends.

        Raises:
            CallFailed: he cannot listen.
        """
        begin_ns = time.monotonic_ns() + int(FIRST_S * NS_PER_S)
        end_ns = begin_ns + LISTEN_NS
        due = [name for name in self.audio.hears if name != HOLD_MUSIC]
        sought = Sought(self._clips(due), self.said, self.acted_ns)
        spoken_s = sum(map(sought.left_s, sought.clips))
        last_ns = begin_ns + int((PATIENCE_S + spoken_s) * NS_PER_S)
        while not (heard := await self._all_heard(sought, end_ns)) and end_ns < last_ns:
            end_ns = max(end_ns + STEP_NS, min(sought.next_ns, last_ns), time.monotonic_ns())
        lasting = heard and bool(self.audio.hears)
        return Waited(begin_ns, end_ns, sought, lasting, tuple(await self._poor(end_ns)))

    async def _all_heard(self, sought: Sought, end_ns: int) -> bool:
        """Return whether all that must be heard was, up to a moment, once that has come."""
        if not self.audio.hears:
            await asyncio.sleep(max(end_ns - time.monotonic_ns(), 0) / NS_PER_S)
            return True
        await self.caller.until(end_ns)
        if clips := sought.due(end_ns):
            window = await self.caller.heard(self.acted_ns, end_ns)
            found = await asyncio.to_thread(find_clips, window, clips, self.tones, self.said)
            sought.add(found, end_ns)
        if sought.unheard():
            return False
        lasting = [name for name in self.audio.hears if name in self.tones or name == HOLD_MUSIC]
        if not lasting:
            return True
        window = await self.caller.heard(end_ns - LISTEN_NS - CONTEXT_NS, end_ns)
        latest = await asyncio.to_thread(
            analyse, window, self.tones, self._asked(), context=BEFORE, likely=self._likely()
        )
        return not self._missing(latest)

    async def receive(self, waited: Waited) -> Received:
        """Return what he received while he waited, once what comes after it is there, too.

        Raises:
            CallFailed: he made no call.
        """
        spans = [(waited.begin_ns - CONTEXT_NS, waited.end_ns + CONTEXT_NS)]
        if DTMF in self.audio.not_hears:
            spans.append((self.acted_ns, waited.end_ns))
        whole, *since = await asyncio.gather(*(self.caller.heard(*span) for span in spans))
        return Received(whole, since[0].narrow() if since else None)

    async def judge(self, waited: Waited, received: Received) -> Heard:
        """Judge all that he received while he waited."""
        return await asyncio.get_running_loop().run_in_executor(
            _BEHIND, self._judge, waited, received
        )

    def _judge(self, waited: Waited, received: Received) -> Heard:
        missing = [f"{name} is not heard" for name in waited.sought.unheard()]
        if not waited.lasting:
            last = received.window.last(LISTEN_S + 2 * CONTEXT_NS / NS_PER_S)
            missing += self._missing(self._analyse(last, self._asked()))
        missing += [*self._leaked_keys(received.since_action), *waited.poor]
        whole = self._whole(received.window, thorough=self.thorough or bool(missing))
        faults = list(dict.fromkeys([*missing, *self._wrong(whole)]))
        return Heard(
            ok=not faults,
            observed=self._observed(whole, waited.sought.found, faults),
            faults=tuple(faults),
            hearing=whole,
            prompts=waited.sought.found,
            from_ns=waited.begin_ns,
            to_ns=waited.end_ns,
        )

    def _whole(self, window: Window, *, thorough: bool) -> Hearing:
        """Return what was heard in a window, and beside ever more sounds while that seems wrong."""
        clips = self._clips(self.audio.not_hears)
        asked = {**clips, **self._clips(self.audio.hears)}
        usual = {name: known_pcm()[name] for name in [*USUAL, *self._waiting()]}
        for few in () if thorough else (clips, {**usual, **asked}):
            heard = self._analyse(window, few)
            if not self._wrong(heard):
                return heard
        return self._analyse(window, {**sounds_in(self.languages), **self.said, **asked})

    def _waiting(self) -> list[str]:
        return [f"{language}/waiting" for language in self.languages]

    def _asked(self) -> Mapping[str, Pcm]:
        """Return the sounds to look for while we wait: a search for all of them takes long."""
        music = {HOLD_MUSIC: sound_pcm()[HOLD_MUSIC]} if HOLD_MUSIC in self.audio.hears else {}
        return {**music, **self.said}

    def _clips(self, names: Sequence[str]) -> dict[str, Pcm]:
        return {
            name: self.said[name] if name in self.said else known_pcm()[name]
            for name in self._sounds(names)
        }

    def _likely(self) -> list[str]:
        return [*self._waiting(), *self._sounds(self.audio.hears), *self.said]

    def _analyse(self, window: Window, clips: Mapping[str, Pcm]) -> Hearing:
        return analyse(window, self.tones, clips, context=AROUND, likely=self._likely())

    def _sounds(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self.tones and name != DTMF]

    def _leaked_keys(self, window: Window | None) -> list[str]:
        """Return the keys that were heard as tones since the story's last action began."""
        if window is None:
            return []
        pcm = window.pcm.astype(np.float64)
        rest = pcm
        if not only_tones(pcm, self.tones):
            sounds = {**sounds_in(self.languages), **self.said}
            rest, _ = take_out(pcm, sounds, self.tones.values())
        keys = keys_heard(rest, self.tones.values())
        return [f"the tones of keys {keys} are heard"] if keys else []

    async def _poor(self, end_ns: int) -> list[str]:
        """Return what is wrong with how well the one voice is heard, if that was asked for."""
        least = self.audio.quality
        if least is None:
            return []
        (name,) = self.audio.hears
        from_ns = time.monotonic_ns()
        window = await self.caller.heard(from_ns, from_ns + int((SCORED_S + 0.5) * NS_PER_S))
        try:
            got = await asyncio.to_thread(score, window, self.said[name], pesq())
        except InputError as missing:
            return [str(missing)]
        if got is None:
            return [f"{name} is not heard for {SCORED_S:.0f} s without anybody else"]
        return [] if got >= least else [f"{name} is heard with a PESQ of {got:.2f}"]

    def _missing(self, latest: Hearing) -> list[str]:
        """Return what should be heard all the time and is not (yet)."""
        missing = []
        for name in self.audio.hears:
            if name in self.tones:
                heard = latest.tones[name].heard_of(self.levels.get(name, TONE_DBFS))
            elif name == HOLD_MUSIC:
                heard = latest.sounds[name].share >= MUSIC_SHARE
            else:
                continue
            if not heard:
                missing.append(f"{name} is not heard")
        if self.audio.silence and not latest.silent:
            missing.append(_no_silence(latest))
        return missing

    def _wrong(self, whole: Hearing) -> list[str]:
        """Return what was heard at any moment and must not be."""
        wrong = []
        for name in self.audio.not_hears:
            if name == DTMF:  # see _leaked_keys
                continue
            if name in self.tones:
                absent = whole.tones[name].absent
            else:
                absent = whole.sounds[name].matched_ms <= ABSENT_MS
            if not absent:
                wrong.append(f"{name} is heard")
        own = self.caller.name
        if self.audio.hears and own in self.tones and own not in self._named:
            loud = whole.tones[own].median_dbfs >= OWN_DBFS and whole.lost <= LOST_MAX
            wrong += [f"{own} hears himself"] if loud else []
        if self.audio.silence and not whole.silent:
            wrong.append(_no_silence(whole))
        return wrong

    @property
    def _named(self) -> tuple[str, ...]:
        return (*self.audio.hears, *self.audio.not_hears)

    def _observed(
        self, whole: Hearing, prompts: Mapping[str, SoundReport], faults: list[str]
    ) -> str:
        parts = [f"{name} {tone}" for name, tone in whole.tones.items() if not tone.absent]
        found = {**whole.sounds, **prompts}
        parts += [f"{name} {one}" for name, one in found.items() if one.matched_ms > ABSENT_MS]
        heard = ", ".join(parts) or f"silence ({whole.level_dbfs:.0f} dBFS)"
        lost = f", {whole.lost:.0%} of frames lost" if whole.lost else ""
        text = f"in {whole.seconds:.1f} s: {heard}{lost}"
        return f"{'; '.join(faults)} ({text})" if faults else text


def _no_silence(hearing: Hearing) -> str:
    """Return why a window is not silent."""
    if hearing.lost > LOST_MAX:
        return f"no silence but a dead line: {hearing.lost:.0%} of frames lost"
    return f"no silence: up to {hearing.peak_dbfs:.0f} dBFS"


def window_of(file: Path) -> Window:
    """Return a recording as one window, every frame of it present."""
    pcm = read_wav(file)
    whole = len(pcm) // FRAME_SAMPLES
    return Window(pcm[: whole * FRAME_SAMPLES], np.ones(whole, np.bool_))
