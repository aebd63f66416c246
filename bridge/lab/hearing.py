"""Listening: records what callers receive until what they must hear is heard, then judges.

`hears` may take a while (a prompt comes first), so it is waited for; `not_hears` holds for every
moment from the beginning of the listening to its end.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from bridge.errors import InputError
from bridge.lab.audibility import LOST_MAX, Hearing, Window, analyse, only_tones
from bridge.lab.callers import Caller, CallFailed
from bridge.lab.clips import PROMPT_SHARE, find_clips, known_pcm, prompt_heard, sound_pcm, sounds_in
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

FIRST_S: Final = 0.2
"""What was under way when we began to listen passes: the jitter buffers' depth."""

CONTEXT_NS: Final = 400 * NS_PER_MS
"""Heard before and after what is judged, so that a prompt cut by the edge is recognised."""

PATIENCE_S: Final = 15.0
"""How long what must be heard is waited for, and as long again as the prompts take."""

MUSIC_SHARE: Final = 0.9
SAID_MS: Final = 800
"""A caller who speaks is heard when so much of what he says is; he says it over and over."""

ABSENT_MS: Final = 100
OWN_DBFS: Final = -45.0
"""Whoever hears others never hears himself: half of all blocks would have his voice at 29 dB below
what he says. `not_hears` with his own name looks closer."""


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
class Listener:
    """One caller's listening.

    Attributes:
        tones: all callers' tones, by name.
        acted_ns: when the last action of the story was: prompts are looked for from there.
        languages: what is spoken to the story's callers beside English (R19).
        said: what callers say who sound no tone, by name.
        levels: of the callers' tones, in dBFS.
    """

    caller: Caller
    audio: Audio
    tones: Mapping[str, int]
    acted_ns: int
    languages: frozenset[str] = frozenset()
    said: Mapping[str, Pcm] = field(default_factory=dict)
    levels: Mapping[str, int] = field(default_factory=dict)

    async def listen(self) -> Heard:
        """Listen until what must be heard is heard or patience ends; then judge all of it."""
        begin_ns = time.monotonic_ns() + int(FIRST_S * NS_PER_S)
        end_ns = begin_ns + int(LISTEN_S * NS_PER_S)
        spoken_s = sum(map(self._least_s, self._due()))
        last_ns = begin_ns + int((PATIENCE_S + spoken_s) * NS_PER_S)
        while True:
            try:
                latest = await self._analyse(
                    end_ns - int(LISTEN_S * NS_PER_S), end_ns, self._asked()
                )
                prompts = await self._prompts(end_ns)
            except CallFailed as failure:
                return Heard(False, str(failure))
            missing = self._missing(latest, prompts)
            if not missing or self.audio.silence or end_ns >= last_ns:
                break
            end_ns = max(end_ns + 200 * NS_PER_MS, time.monotonic_ns())
        asked = self._sounds((*self.audio.not_hears, *self.audio.hears))
        named = {name: self._clip(name) for name in asked}
        sounds = {**sounds_in(self.languages), **self.said, **named}
        whole = await self._analyse(begin_ns, end_ns, sounds)
        wrong = self._wrong(whole) + await self._leaked_keys(end_ns) + await self._poor(end_ns)
        faults = list(dict.fromkeys(missing + wrong))
        return Heard(
            ok=not faults,
            observed=self._observed(whole, prompts, faults),
            faults=tuple(faults),
            hearing=whole,
            prompts=prompts,
            from_ns=begin_ns,
            to_ns=end_ns,
        )

    def _asked(self) -> Mapping[str, Pcm]:
        """Return the sounds to look for while we wait: a search for all of them takes long."""
        music = {HOLD_MUSIC: sound_pcm()[HOLD_MUSIC]} if HOLD_MUSIC in self.audio.hears else {}
        return {**music, **self.said}

    def _clip(self, name: str) -> Pcm:
        return self.said[name] if name in self.said else known_pcm()[name]

    async def _analyse(self, from_ns: int, to_ns: int, clips: Mapping[str, Pcm]) -> Hearing:
        window = await self.caller.heard(from_ns - CONTEXT_NS, to_ns + CONTEXT_NS)
        frames = CONTEXT_NS // FRAME_NS
        likely = [f"{language}/waiting" for language in self.languages]
        likely += [*self._sounds(self.audio.hears), *self.said]
        return await asyncio.to_thread(
            analyse, window, self.tones, clips, context_frames=frames, likely=likely
        )

    def _sounds(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name not in self.tones and name != DTMF]

    async def _leaked_keys(self, end_ns: int) -> list[str]:
        """Return the keys that were heard as tones since the story's last action began."""
        if DTMF not in self.audio.not_hears:
            return []
        window = (await self.caller.heard(self.acted_ns, end_ns)).narrow()
        pcm = window.pcm.astype(np.float64)
        rest = pcm
        if not only_tones(pcm, self.tones):
            sounds = {**sounds_in(self.languages), **self.said}
            rest, _ = await asyncio.to_thread(take_out, pcm, sounds, self.tones.values())
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

    async def _prompts(self, end_ns: int) -> Mapping[str, SoundReport]:
        """Return the prompts that were heard since the story's last action."""
        due = {name: self._clip(name) for name in self._due()}
        played_s = (end_ns - self.acted_ns) / NS_PER_S
        clips = {name: due[name] for name in due if played_s >= self._least_s(name)}
        if not clips:
            return {name: SoundReport() for name in due}
        window = await self.caller.heard(self.acted_ns, end_ns)
        found = await asyncio.to_thread(find_clips, window, clips, self.tones, self.said)
        return {name: found.get(name, SoundReport()) for name in due}

    def _due(self) -> list[str]:
        """Return the prompts, and what callers say, that must be heard since the last action."""
        return [name for name in self._sounds(self.audio.hears) if name != HOLD_MUSIC]

    def _least_s(self, name: str) -> float:
        """Return how long it takes at least until a sound counts as heard."""
        if name in self.said:
            return SAID_MS / MS_PER_S
        return PROMPT_SHARE * len(self._clip(name)) / SAMPLE_RATE_HZ

    def _missing(self, latest: Hearing, prompts: Mapping[str, SoundReport]) -> list[str]:
        """Return what should be heard and is not (yet)."""
        missing = []
        for name in self.audio.hears:
            if name in self.tones:
                heard = latest.tones[name].heard_of(self.levels.get(name, TONE_DBFS))
            elif name == HOLD_MUSIC:
                heard = latest.sounds[name].share >= MUSIC_SHARE
            elif name in self.said:
                heard = prompts[name].matched_ms >= SAID_MS
            else:
                heard = prompt_heard(prompts[name])
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
